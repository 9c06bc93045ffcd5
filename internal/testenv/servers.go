package testenv

import (
	"testing"
)

// Kind says what a system's event store, Kafka and Postgres are.
type Kind string

const (
	// Embedded servers are those that the program brings.
	Embedded Kind = "embedded"
	// External is an Apache Kafka from its published jars and a Postgres, each a server process of its own; or those at
	// DAYBOOK_TEST_KAFKA (brokers) and DAYBOOK_TEST_POSTGRES (URL of a superuser). The event store is that at
	// DAYBOOK_TEST_EVENTSTORE (connection string), which must be empty; else the embedded one.
	External Kind = "external"
	// Containers run all three, from images built as deploy/local says, on the Docker engine that answers.
	Containers Kind = "containers"
)

// Kinds is every kind.
func Kinds() []Kind { return []Kind{Embedded, External, Containers} }

// Servers is where one system finds its event store, Kafka and Postgres. An empty address is one that the program embeds.
type Servers struct {
	Kind       Kind
	EventStore string // connection string
	Kafka      string // brokers
	Postgres   string // URL of a database of this system's own
}

// On gives empty servers of a kind to one system, until the test ends. Where they are not available it skips the test and says why.
func On(t testing.TB, kind Kind) *Servers {
	t.Helper()
	s := &Servers{Kind: kind}
	switch kind {
	case Embedded:
	case External:
		s.external(t)
	case Containers:
		s.contained(t)
	default:
		t.Fatalf("no servers of kind %q", kind)
	}
	return s
}

// OnEach runs a test on servers of each kind, as subtests of the kinds' names: on the embedded ones first, then on the others side
// by side.
func OnEach(t *testing.T, test func(*testing.T, *Servers)) {
	t.Helper()
	for _, kind := range Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			if kind != Embedded {
				t.Parallel()
			}
			test(t, On(t, kind))
		})
	}
}

// Args are the flags by which serve, doctor, demo and the other commands use these servers. Embedded ones listen on ports of
// their own choice, to keep several systems out of each other's way.
func (s *Servers) Args() []string {
	args := []string{
		"--eventstore-listen", anyPort, "--kafka-listen", anyPort, "--postgres-listen", anyPort, "--simulator-listen", anyPort,
	}
	for _, a := range [][2]string{{"--eventstore", s.EventStore}, {"--kafka", s.Kafka}, {"--postgres", s.Postgres}} {
		if a[1] != "" {
			args = append(args, a[0], a[1])
		}
	}
	return args
}

const anyPort = "127.0.0.1:0"
