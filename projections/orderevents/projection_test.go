package orderevents_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/projectiontest"
	"github.com/daybook-dev/daybook/projections/orderevents"
)

var money = events.Money{Amount: 2993, Currency: "GBP"}

// Every event of an order and its payment is shown, each in a row of its own.
func TestEveryEventIsShown(t *testing.T) {
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := orderevents.Projection.Plan()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, typ := range plan.Types {
		shown[typ] = true
	}
	for d := range c.Definitions() {
		category, _, _ := strings.Cut(d.Type, ".")
		if want := category == "order" || category == "payment"; shown[d.Type] != want {
			t.Errorf("%s is shown: %v", d.Type, !want)
		}
	}
}

func TestSummaries(t *testing.T) {
	lines := []events.LineQuantity{{Line: 1, Quantity: 2}}
	for want, e := range map[string]es.Event{
		"2 × MUG-BLUE, 29.93 GBP":                                events.OrderPlaced{Lines: []events.OrderLine{{SKU: "MUG-BLUE", Quantity: 2}}, Total: 2993, Currency: "GBP"},
		"1 × A, 2 × B, 3 × C, 2 more lines, 0.01 GBP (recorded)": events.OrderPlaced{Lines: []events.OrderLine{{SKU: "A", Quantity: 1}, {SKU: "B", Quantity: 2}, {SKU: "C", Quantity: 3}, {}, {}}, Total: 1, Currency: "GBP", Recorded: true},
		"confirmed":                                       events.OrderConfirmed{},
		"not confirmed: cancel_requested":                 events.OrderConfirmationRefused{Code: "cancel_requested"},
		"rejected: payment_declined, no_cash":             events.OrderRejected{Code: "payment_declined", DeclineCode: "no_cash"},
		"rejected: out_of_stock":                          events.OrderRejected{Code: "out_of_stock"},
		"cancellation requested, driven by placement":     events.OrderCancelRequested{Driver: "placement"},
		"not cancelled: dispatched":                       events.OrderCancelRefused{Code: "dispatched"},
		"2 units cancelled":                               events.OrderCancelled{Lines: lines},
		"2 units shipped (recorded)":                      events.OrderLinesShipped{Lines: lines, Recorded: true},
		"2 units delivered":                               events.OrderLinesDelivered{Lines: lines},
		"1 unit returned by C2":                           events.OrderLinesReturned{ReturnID: "C2", Lines: []events.ReturnedLine{{Quantity: 1}}},
		"closed":                                          events.OrderClosed{},
		"29.93 GBP to pay":                                events.PaymentInitiated{Total: money},
		"authorisation of 29.93 GBP requested, attempt 1": events.PaymentAuthorisationRequested{Attempt: 1, Amount: money},
		"29.93 GBP authorised":                            events.PaymentAuthorised{Amount: money},
		"declined: no_cash":                               events.PaymentDeclined{Code: "no_cash"},
		"action required: redirect":                       events.PaymentActionRequired{Action: events.PaymentAction{Type: "redirect", URL: "https://secret"}},
		"authorisation of 29.93 GBP expired":              events.PaymentAuthorisationExpired{Amount: money},
		"void of attempt 1 requested":                     events.PaymentVoidRequested{Attempt: 1},
		"29.93 GBP voided":                                events.PaymentVoidSucceeded{Amount: money},
		"nothing to void":                                 events.PaymentVoidSucceeded{},
		"void failed: try_later":                          events.PaymentVoidFailed{Code: "try_later"},
		"authorise: no answer from the provider":          events.PaymentOutcomeUnknown{Operation: "authorise"},
		"payment.authorised reported after declined":      events.PaymentOutcomeContradicted{Reported: "payment.authorised", State: "declined"},
		"29.93 GBP received: import":                      events.PaymentRecorded{Amount: money, Method: "import"},
		"29.93 GBP given back: import":                    events.PaymentRefundRecorded{Amount: money, Method: "import"},
	} {
		category, _, _ := strings.Cut(e.EventType(), ".")
		at := time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC)
		projectiontest.Given(t, orderevents.Projection, projectiontest.Past(category+"-o1", e)).
			ThenRow("o1/00000000000000000001", orderevents.Row{Stream: category + "-o1", Type: e.EventType(), At: at, RecordedAt: at, Summary: want})
	}
}

func TestEnvelope(t *testing.T) {
	past := projectiontest.Past("order-o1", events.OrderPlaced{}, events.OrderClosed{})
	reason := es.Sealed{Subject: "staff", Ciphertext: []byte("because")}
	recorded := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	past[1].Created = recorded
	past[1].Meta.Actor, past[1].Meta.Command.Name = es.Actor{ID: "anna", Kind: "operator"}, "order.close"
	past[1].Meta.Causation, past[1].Meta.Reason = "1-2-3", reason
	projectiontest.Given(t, orderevents.Projection, past).ThenRow(fmt.Sprintf("o1/%020d", 2), orderevents.Row{
		Stream: "order-o1", StreamRevision: 1, Type: "order.closed", At: time.Date(2011, 1, 1, 0, 1, 0, 0, time.UTC), RecordedAt: recorded,
		ActorKind: "operator", ActorID: "anna", Command: "order.close", CausationID: "1-2-3", Reason: &reason, Summary: "closed",
	})
}
