package stock

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/text"
)

// Receive puts units on the shelf, once per receipt id.
type Receive struct {
	SKU, ReceiptID string
	Quantity       int
}

func (Receive) CommandType() string { return "stock.receive" }
func (c Receive) Key() string       { return c.SKU }

func (c Receive) Decide(s Stock) ([]es.Event, error) {
	before, known := s.Receipts[c.ReceiptID]
	switch {
	case !text.Ref(c.ReceiptID):
		return es.Reject(Invalid, "%q is no id of a receipt", c.ReceiptID)
	case c.Quantity <= 0 || s.tooMany(c.Quantity):
		return es.Reject(Invalid, "a receipt of %s needs a quantity above 0 that can be counted", c.SKU)
	case known && before == c.Quantity:
		return es.Nothing()
	case known:
		return es.Reject(ReceiptDiffers, "receipt %s of %s is of %d, not %d", c.ReceiptID, c.SKU, before, c.Quantity)
	}
	return es.Facts(events.StockReceived{SKU: c.SKU, Location: events.MainLocation, ReceiptID: c.ReceiptID, Quantity: c.Quantity})
}

// Restock puts returned units back on the shelf, once per restock id.
type Restock struct {
	SKU, RestockID, OrderID string
	Quantity                int
	Recorded                bool
}

func (Restock) CommandType() string { return "stock.restock" }
func (c Restock) Key() string       { return c.SKU }

func (c Restock) Decide(s Stock) ([]es.Event, error) {
	before, known := s.Restocks[c.RestockID]
	switch {
	case c.Quantity <= 0 || c.RestockID == "" || s.tooMany(c.Quantity):
		return es.Reject(Invalid, "a restock of %s needs an id and a quantity above 0 that can be counted", c.SKU)
	case known && before == c.Quantity:
		return es.Nothing()
	case known:
		return es.Reject(RestockDiffers, "restock %s of %s is of %d, not %d", c.RestockID, c.SKU, before, c.Quantity)
	}
	return es.Facts(events.StockRestocked{
		SKU: c.SKU, Location: events.MainLocation, RestockID: c.RestockID, OrderID: c.OrderID, Quantity: c.Quantity, Recorded: c.Recorded,
	})
}
