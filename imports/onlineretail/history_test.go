package onlineretail

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const sample = "../../../shared/data/online-retail/online-retail-30k.csv"

// Sums of a file stay within what an amount can be: the invoices beyond that are refused, each by its lines, and the others are taken.
func TestSumsOfAFileAreBounded(t *testing.T) {
	var file strings.Builder
	file.WriteString(Header + "\n")
	for i := range 5 {
		fmt.Fprintf(&file, "%d,A,Pear,1000000,2011-01-0%d 10:00:00,40000000.00,1,France\n", 500001+i, 1+i)
	}
	file.WriteString("500009,A,Pear,1,2011-01-09 10:00:00,1.00,1,France\n")
	h, err := Read(strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, o := range h.Orders {
		sum += o.Total()
	}
	if len(h.Orders) != 3 || sum != 2*4e15+100 || len(h.Rejects) != 3 || h.Rejects[0].Line != 4 || h.Rejects[0].Reason != TooLarge ||
		!strings.Contains(h.Rejects[0].Detail, "invoice 500003: with the orders before it") {
		t.Errorf("%d orders of %d, rejects %+v", len(h.Orders), sum, h.Rejects)
	}
}

// What a correct import of the published sample gives, counted twice independently.
func TestSample(t *testing.T) {
	f, err := os.Open(sample)
	if err != nil {
		t.Skipf("the sample file is not here: %v", err)
	}
	defer func() { _ = f.Close() }()
	h, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	type figures struct {
		lines, orderLines, shipping, returns, rejects                int
		orders, guests, withShipping, products, customers, units     int
		goods, postage, refunded                                     int64
		returned                                                     int
		withoutSale, notGoods, withoutGoods, noPrice, badQty, nobody int
	}
	got := figures{lines: h.Lines, shipping: h.Shipping, rejects: len(h.Rejects), orders: len(h.Orders), products: len(h.Products), customers: len(h.Customers)}
	for _, o := range h.Orders {
		got.orderLines += len(o.Lines)
		got.goods += o.Goods()
		got.postage += o.Shipping
		if o.Customer == "" {
			got.guests++
		}
		if o.Shipping > 0 {
			got.withShipping++
		}
		for _, l := range o.Lines {
			got.units += l.Quantity
		}
	}
	for _, r := range h.Returns {
		got.returns += len(r.Lines)
		got.refunded += r.Refund()
		for _, l := range r.Lines {
			got.returned += l.Quantity
		}
	}
	for _, r := range h.Rejects {
		switch r.Reason {
		case CreditWithoutSale:
			got.withoutSale++
		case NotGoods:
			got.notGoods++
		case ShippingWithoutGoods:
			got.withoutGoods++
		case NoPrice:
			got.noPrice++
		case BadQuantity:
			got.badQty++
		case CreditWithoutCustomer:
			got.nobody++
		}
	}
	want := figures{
		lines: 30000, orderLines: 29235, shipping: 56, returns: 51, rejects: 658,
		orders: 11802, guests: 628, withShipping: 56, products: 2959, customers: 3540, units: 344802,
		goods: 59084479, postage: 773194, refunded: 80257, returned: 292,
		withoutSale: 541, notGoods: 49, withoutGoods: 31, noPrice: 23, badQty: 13, nobody: 1,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
