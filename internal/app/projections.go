package app

import (
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/projections/customers"
	"github.com/daybook-dev/daybook/projections/orderdetails"
	"github.com/daybook-dev/daybook/projections/orderevents"
	"github.com/daybook-dev/daybook/projections/orderlist"
	"github.com/daybook-dev/daybook/projections/products"
	"github.com/daybook-dev/daybook/projections/sales"
	"github.com/daybook-dev/daybook/projections/salesbyproduct"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

// Projections is every read model: a new one is a folder and a line here.
func Projections() []projection.Projection {
	return []projection.Projection{
		customers.Projection, orderdetails.Projection, orderevents.Projection, orderlist.Projection,
		products.Projection, sales.Projection, salesbyproduct.Projection, stocklevels.Projection,
	}
}
