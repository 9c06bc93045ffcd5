package e2e_test

import (
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// Buyers pay while the shop is down, for longer than they have for it. The time of the outage does not count, nor the time in which the
// sagas run again and the reactors, who alone can learn of the payment, do not: a due timer is put off. The orders are confirmed when all is
// up again. An unpaid order still ends.
func TestOutageDoesNotCountAgainstTheBuyer(t *testing.T) {
	t.Parallel()
	servers := testenv.Start(t, testenv.Options{Roles: "eventstore,kafka,postgres,simulator", Args: testenv.AnyPorts()})
	var within time.Duration // and longer than a pause that is no outage
	shopRoles := func(roles string) testenv.Options {
		return testenv.Options{
			DataDir: servers.DataDir, Roles: roles,
			Args: []string{"--action-within", within.String(), "--authorise-within", "10m", "--not-found-after", "1s"},
		}
	}
	const withoutReactors = "relay,projections,sagas,command-api,query-api,gateway"
	s := &till{}
	// The outage has to begin while half of the buyers' time is left. A machine that is too slow for that gets more time.
	var paid, unpaid string
	for within = 7 * time.Second; ; within *= 2 {
		s.shop = openShop(t, shopRoles(withoutReactors+",reactors"))
		var at struct {
			PaymentProvider string `json:"payment_provider"`
		}
		s.Addresses(&at)
		s.provider = at.PaymentProvider
		s.stock(t, "LAMP", 10)
		paid, unpaid = "paid-"+within.String(), "unpaid-"+within.String()
		began := time.Now()
		for _, id := range []string{paid, unpaid} {
			s.c.Post(t, 201, "/v1/orders", "place-"+id, testenv.Order(id, "tok_action", testenv.Line("LAMP", 1)))
		}
		for _, id := range []string{paid, unpaid} {
			s.until(t, id, "waiting for the buyer", func(o placed) bool {
				return o.Payment.Status == "action_required" || o.Status != "" && o.Status != "placed"
			})
		}
		s.Kill()
		if time.Since(began) < within/2 {
			break
		}
		if within > 2*time.Minute {
			t.Fatalf("two orders take longer than %s", within/2)
		}
	}
	s.act(t, paid, "approve")
	<-time.After(within + time.Second) // the outage itself
	s.shop = openShop(t, shopRoles(withoutReactors))
	for timers := func(outcome string) (n float64) {
		for _, m := range s.Metrics()["daybook_saga_timers_total"].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" && l.GetValue() == outcome {
					n += m.GetCounter().GetValue()
				}
			}
		}
		return n
	}; timers("put_off") < 2; <-time.After(20 * time.Millisecond) {
		if timers("fired") > 0 {
			t.Fatal("a timer fired although the reactors are away")
		}
	}
	testenv.Start(t, shopRoles("reactors"))
	if o := s.ended(t, paid); o.Status != "confirmed" {
		t.Errorf("paid during the outage: %s, %+v", o, o.Rejection)
	}
	if o := s.ended(t, unpaid); o.Status != "rejected" || o.Rejection == nil || o.Rejection.Code != "payment_timed_out" {
		t.Errorf("never paid: %s, %+v", o, o.Rejection)
	}
}
