package customer

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/iso"
	"github.com/daybook-dev/daybook/kit/text"
)

// Register opens a customer's record, once. Recorded customers come from another system, without personal fields.
type Register struct {
	CustomerID         string
	Name, Email, Phone es.Sealed
	Country            string
	Recorded           bool
}

func (Register) CommandType() string { return "customer.register" }
func (c Register) Key() string       { return c.CustomerID }

func (c Register) Decide(s Customer) ([]es.Event, error) {
	switch {
	case s.Registered && c.Recorded && c.Country != s.Country: // by whomever: an import is repeated by the customers' ids
		return es.Reject(Differs, "customer %s is recorded with country %q, not %q", c.CustomerID, s.Country, c.Country)
	case s.Registered && c.Recorded:
		return es.Nothing()
	case s.Registered:
		return es.Reject(Exists, "customer %s exists", c.CustomerID)
	case !text.ID(c.CustomerID):
		return es.Reject(Invalid, "a customer needs an id of letters, digits, _ and -, not %q", c.CustomerID)
	case c.Country != "" && !iso.Country(c.Country) && (!c.Recorded || !iso.RecordedCountry(c.Country)):
		return es.Reject(Invalid, "%q is no country of ISO 3166-1", c.Country)
	}
	return es.Facts(events.CustomerRegistered{
		CustomerID: c.CustomerID, Name: c.Name, Email: c.Email, Phone: c.Phone, Country: c.Country, Recorded: c.Recorded,
	})
}
