package deployment

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/daybook-dev/daybook/kit/es"
)

// Versions are the newest versions of what a program writes into the log: of each event type, and of each saga.
type Versions struct {
	Events map[string]int `json:"events,omitempty"`
	Sagas  map[string]int `json:"sagas,omitempty"`

	// Of is the domain that they are of, where several share an event store.
	Of string `json:"-"`
}

// VersionsRaised says that a program with newer versions than any before it may write from here on. It holds those that rose.
type VersionsRaised struct {
	Program string `json:"program"` // its version
	Versions
}

// EventType implements es.Event.
func (VersionsRaised) EventType() string { return "deployment.versions_raised" }

// stream is in the event store, as the events are that need a program: it is restored with them.
func (v Versions) stream() es.StreamID {
	if v.Of == "" {
		return es.StreamID{Category: "deployment", Key: "versions"}
	}
	return es.StreamID{Category: "deployment", Key: v.Of + ".versions"}
}

// VersionsOf are those of a catalogue and of sagas, by name.
func VersionsOf(c *es.Catalog, sagas map[string]int) Versions {
	v := Versions{Events: map[string]int{}, Sagas: maps.Clone(sagas)}
	for d := range c.Definitions() {
		v.Events[d.Type] = d.Version
	}
	return v
}

// released is the version of a program that was released: not a commit, nor what was built after a release.
var released = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+$`)

// OlderError says that the log may hold what a program cannot read.
type OlderError struct {
	Of      string // the domain whose program it is; empty: daybook
	Program string // the version of the program that is needed at least, or of the unreleased build that wrote
	Missing []string
}

func (e *OlderError) Error() string {
	if !released.MatchString(e.Program) { // it may be older or newer than this one
		return fmt.Sprintf("this event store was written by an unreleased build (%s) whose events this one does not know: %s; "+
			"what unreleased builds write is read by them alone: run that build, or begin with an empty event store, see docs/upgrading.md",
			cmp.Or(e.Program, "without a version"), strings.Join(e.Missing, ", "))
	}
	return fmt.Sprintf("%s %s or a newer one is needed: it has run on this event store, which may hold %s; "+
		"to go back, restore a backup of before it ran, see docs/upgrading.md", cmp.Or(e.Of, "daybook"), e.Program, strings.Join(e.Missing, ", "))
}

// Check refuses a program that is older than one that may have written, with an *OlderError.
func Check(ctx context.Context, store es.Store, own Versions) error {
	_, err := stand(ctx, store, own)
	return err
}

// Raise is Check, and then states the program's own versions where they are newer. Call it before anything that may append. Of two
// programs that start at once the older one is refused, or was first: what is stated only grows.
func Raise(ctx context.Context, store es.Store, c *es.Catalog, program string, own Versions) error {
	return settle(ctx, store, own.stream(), func() (es.Expected, *es.Proposed, error) {
		have, err := stand(ctx, store, own)
		if err != nil {
			return 0, nil, err
		}
		rise := VersionsRaised{program, Versions{Events: newer(own.Events, have.known.Events), Sagas: newer(own.Sagas, have.known.Sagas)}}
		if len(rise.Events)+len(rise.Sagas) == 0 {
			return 0, nil, nil
		}
		p, err := propose(c, own.stream(), "daybook", rise)
		// Of all that it says: two programs must not take each other's event for theirs.
		p.ID = es.DerivedID(es.UUID{}, own.stream().String(), uint64(have.at+1), p.Data) //nolint:gosec // not negative
		return have.at, &p, err
	})
}

type standing struct {
	known Versions
	at    es.Expected
}

// stand folds what was stated. It reads the events' data alone, so that a newer program may add to them.
func stand(ctx context.Context, store es.Store, own Versions) (standing, error) {
	s := standing{known: Versions{Events: map[string]int{}, Sagas: map[string]int{}}, at: es.NoStream}
	older := &OlderError{Of: own.Of}
	for r, err := range store.Read(ctx, own.stream(), 0) {
		if err != nil {
			return s, fmt.Errorf("read which program this event store needs: %w", err)
		}
		var e VersionsRaised
		if err := json.Unmarshal(r.Data, &e); err != nil {
			return s, fmt.Errorf("read which program this event store needs: %s@%d: %w", own.stream(), r.Revision, err)
		}
		s.at = es.Expected(r.Revision) //nolint:gosec // below 2^63
		missing := append(raise(s.known.Events, e.Events, own.Events, ""), raise(s.known.Sagas, e.Sagas, own.Sagas, "saga ")...)
		if len(missing) > 0 {
			older.Program, older.Missing = e.Program, append(older.Missing, missing...)
		}
	}
	if len(older.Missing) > 0 {
		slices.Sort(older.Missing)
		return s, older
	}
	return s, nil
}

// raise puts the greater versions into known, and names those that own lacks.
func raise(known, by, own map[string]int, kind string) (missing []string) {
	for name, v := range by {
		known[name] = max(known[name], v)
		switch has := own[name]; {
		case has >= v:
		case has == 0:
			missing = append(missing, fmt.Sprintf("%s%s version %d (unknown here)", kind, name, v))
		default:
			missing = append(missing, fmt.Sprintf("%s%s version %d (up to %d here)", kind, name, v, has))
		}
	}
	return missing
}

func newer(own, known map[string]int) map[string]int {
	out := map[string]int{}
	for name, v := range own {
		if v > known[name] {
			out[name] = v
		}
	}
	return out
}
