package worker_test

import (
	"fmt"
	"testing"

	orders "github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/doctor/doctortest"
	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/internal/worker"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/projections/orderdetails"
	"github.com/daybook-dev/daybook/projections/orderevents"
	"github.com/daybook-dev/daybook/projections/orderlist"
	"github.com/daybook-dev/daybook/projections/sales"
	"github.com/daybook-dev/daybook/projections/salesbyproduct"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

// BenchmarkDiskOfAnOrder posts orders that are placed, paid and confirmed, each event in a transaction of its own, and says what the read
// models and their histories take of the disk for one order, indexes and dead rows included.
func BenchmarkDiskOfAnOrder(b *testing.B) {
	const placed = 200
	models := []projection.Projection{
		orderdetails.Projection, orderevents.Projection, orderlist.Projection, sales.Projection, salesbyproduct.Projection, stocklevels.Projection,
	}
	for _, lines := range []int{1, 12} {
		b.Run(fmt.Sprintf("%d lines", lines), func(b *testing.B) {
			for range b.N {
				w := doctortest.New(b)
				for line := range lines {
					w.Stocked(fmt.Sprintf("SKU-%05d", line), 10*placed)
				}
				for i := range placed {
					if _, err := es.Handle(b.Context(), w.Handler, orders.Place{Order: orderOf(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i), lines)}, es.Call{}); err != nil {
						b.Fatal(err)
					}
					w.Settle("")
				}
				pool := postgrestest.New(b)
				p, err := worker.New(b.Context(), worker.Config{Pool: pool, Projections: models, Catalog: w.Catalog, Log: w.Store, Incarnation: "memory"})
				if err != nil {
					b.Fatal(err)
				}
				p.BePatient()
				var at [topic.DefaultPartitions]uint64
				for _, r := range w.Store.All(0) {
					if !r.Relayed() {
						continue
					}
					n := topic.PartitionOf(r.Stream.Partition(), len(at))
					if err := p.Apply(b.Context(), n, at[n], []es.Record{r}); err != nil {
						b.Fatal(err)
					}
					at[n] = r.Position
				}
				p.Close()
				rows, err := pool.Query(b.Context(), `select b.projection, coalesce(sum(pg_total_relation_size(c.oid)) filter (where c.relname not like '%\_history'), 0)::bigint,
					coalesce(sum(pg_total_relation_size(c.oid)) filter (where c.relname like '%\_history'), 0)::bigint
					from daybook.projection_build b join pg_class c on c.relnamespace = b.schema_name::regnamespace and c.relkind = 'r' group by 1 order by 1`)
				if err != nil {
					b.Fatal(err)
				}
				var all, histories int64
				for rows.Next() {
					var name string
					var table, history int64
					if err := rows.Scan(&name, &table, &history); err != nil {
						b.Fatal(err)
					}
					all, histories = all+table+history, histories+history
					b.Logf("%s: %d bytes per order, %d in the history", name, (table+history)/placed, history/placed)
				}
				if rows.Err() != nil {
					b.Fatal(rows.Err())
				}
				b.ReportMetric(float64(all)/placed, "bytes/order")
				b.ReportMetric(float64(histories)/placed, "bytes-history/order")
			}
		})
	}
}

func orderOf(id string, lines int) events.OrderPlaced {
	sealed := func(field string, length int) es.Sealed {
		return es.Sealed{
			Subject: "guest-" + id, KeyID: "01890a5d-ac96-774b-bcce-b302099a8057", Stream: "order-" + id, Type: "order.placed", Field: field,
			Ciphertext: make([]byte, 12+length+16),
		}
	}
	o := events.OrderPlaced{
		OrderID: id, Number: "1000001", Currency: "GBP", Goods: 250 * int64(lines), Total: 250 * int64(lines),
		Customer: events.Buyer{Guest: true, Name: sealed("customer.name", 12), Email: sealed("customer.email", 20)},
		ShipTo: events.Address{
			Name: sealed("ship_to.name", 12), Line1: sealed("ship_to.line1", 16), City: sealed("ship_to.city", 8), PostalCode: sealed("ship_to.postal_code", 7),
			Country: "GB",
		},
		Shipping: events.Shipping{Method: "standard"},
		Payment:  events.PaymentMeans{Token: sealed("payment.token", 11)},
	}
	for n := range lines {
		o.Lines = append(o.Lines, events.OrderLine{
			Line: n + 1, SKU: fmt.Sprintf("SKU-%05d", n), Name: "White hanging heart t-light holder", Quantity: 1, ListPrice: 250, UnitPrice: 250,
			TaxClass: "zero", Total: 250, ReservationID: fmt.Sprintf("%s/%d/1", id, n+1),
		})
	}
	return o
}
