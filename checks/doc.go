// Package checks is the shop's part of the doctor: what must hold of orders, money and stock, beside what holds of every domain.
//
//	I4 per order at rest: money held + received − given back is what the order comes to; the provider says the same
//	I5 per SKU: units on hand and units promised are what the events add up to, each promise one of a live order
//
// States of orders and payments are their aggregates' own. Sums are counted here once more, by other code, and are also held to the
// stock read model. The ledger of the payment provider's simulator is compared both ways. While an import has not ended, as many orders
// as its window may lack stock and money.
package checks
