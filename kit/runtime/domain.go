package runtime

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/internal/deployment"
	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/reactor"
	"github.com/daybook-dev/daybook/kit/saga"
	"github.com/daybook-dev/daybook/kit/saga/machine"
)

// Domain is what a team writes: its facts, and all that follows from them. Only Catalog is needed.
type Domain struct {
	Catalog     []es.Definition
	Projections []projection.Projection
	Sagas       []saga.Saga
	Reactors    []Reactor
	// Routes make the handler of the API, in a process that has one of the roles of APIs.
	Routes func(*Services) (http.Handler, error)
	// APIs are the roles of the domain's own; nil: the role "api", which decides and reads.
	APIs []API
	// Elsewhere is where others' parts of the domain are that this process calls, by their names in run.json.
	Elsewhere map[string]string
	// Servers are embedded servers beside the event store, Kafka and Postgres.
	Servers []Server
	// Document is the path at which the API describes itself, for people; it may be empty.
	Document string
	// SchemaPath is where the API serves the schema of an event; nil: it serves none.
	SchemaPath func(eventType string, version int) string
	// Checks are what the doctor looks at beside what it knows of every domain. They are made anew for each examination. nil: there are none.
	Checks func(Addresses) []doctor.Check
	// Lost looks at what the event store has lost, for what must not be given out or done a second time. nil: nothing must not.
	Lost func(context.Context, Loss) (Amends, error)
	// Problems write what is refused before it reaches the handler of Routes; zero: as plain problem+json.
	Problems Problems
	// Fronted: the handler of Routes does itself what Services.Front would.
	Fronted bool
}

// Reactor is an effect by its name, which every process knows, and how it is made in one that has the role reactors.
type Reactor struct {
	Name string
	// Within bounds one call of the outside world: an attempt under way for longer is overdue.
	Within time.Duration
	New    func(*Services) (reactor.Reactor, error)
}

// API is a role that serves at Config.Listen.
type API struct {
	Role    string
	Address string // the name in run.json; "api" is that of the one to show to people
	Decides bool   // it sends commands and seals personal data
	Reads   bool   // it asks read models and opens personal data
}

// Server is an embedded server of the domain's own.
type Server struct {
	Role, Label string
	Port        string // the usual one; if it is taken, a free one
	Elsewhere   string // the address of one that is not started here
	Listen      string // where it listens; empty: the usual port on loopback
	Address     string // the name in run.json
	Start       func(ctx context.Context, at Place) (Running, error)
}

// Running is an embedded server that was started. It may have Health() error as well.
type Running interface {
	Addr() string
	URL() string
	Done() <-chan struct{}
	Err() error
	Close() error
}

// Problems write refusals in the form that the domain's API has.
type Problems struct {
	// Refuse answers a request that is not let in.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, code, detail string)
	// Unread is the answer to what cannot be read as a request.
	Unread func(status int, detail string) (mediaType string, body []byte)
}

const (
	roleAPI    = "api"
	addressAPI = "api"
)

func (d Domain) apis() []API {
	if d.APIs == nil {
		return []API{{Role: roleAPI, Address: addressAPI, Decides: true, Reads: true}}
	}
	return d.APIs
}

// Roles is every role, in the order in which they start.
func (d Domain) Roles() []string {
	all := []string{RoleEventStore, RoleKafka, RolePostgres}
	for _, s := range d.Servers {
		all = append(all, s.Role)
	}
	all = append(all, RoleRelay, RoleProjections, RoleSagas, RoleReactors)
	for _, a := range d.apis() {
		all = append(all, a.Role)
	}
	return all
}

func (d Domain) isServer(role string) bool {
	return slices.Contains([]string{RoleEventStore, RoleKafka, RolePostgres}, role) ||
		slices.ContainsFunc(d.Servers, func(s Server) bool { return s.Role == role })
}

// serves tells whether a process of some roles has one of the domain's own that is as asked.
func (d Domain) serves(roles []string, is func(API) bool) bool {
	return slices.ContainsFunc(d.apis(), func(a API) bool { return slices.Contains(roles, a.Role) && is(a) })
}

func decides(a API) bool { return a.Decides }
func reads(a API) bool   { return a.Reads }
func everyAPI(API) bool  { return true }

// AllEvents is every event of the domain, the engines' own included.
func (d Domain) AllEvents() (*es.Catalog, error) {
	return es.NewCatalog(d.Catalog, machine.Catalog(), deployment.Catalog(), operation.Catalog())
}

func (d Domain) sagaNames() (names []string) {
	machines, _ := machine.Compile(d.Sagas...) // deploy reports what is wrong with them
	for _, m := range machines {
		if !slices.Contains(names, m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

func (d Domain) projectionNames() (names []string) {
	plans, _ := plan.Compile(d.Projections...) // the worker reports what is wrong with them
	for _, p := range plans {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

func (d Domain) reactorNames() (names []string) {
	for _, r := range d.Reactors {
		names = append(names, r.Name)
	}
	return names
}
