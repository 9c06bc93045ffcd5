package chaos_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/topic"
	"github.com/daybook-dev/daybook/kit/es"
)

// overheard is a test that notes what is wrong, and goes on.
type overheard struct {
	testing.TB

	said []string
}

func (o *overheard) Helper() {}
func (o *overheard) Errorf(format string, a ...any) {
	o.said = append(o.said, fmt.Sprintf(format, a...))
}

// The mirror finds what a relay must never publish, and nothing where records were only deleted or repeated.
func TestTheMirrorSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	stream := es.StreamID{Category: "order", Key: "O"}
	p := topic.PartitionOf("O", topic.DefaultPartitions)
	var log []es.Record
	for i := range uint64(5) {
		log = append(log, es.Record{Stream: stream, Revision: i, Position: i + 1, ID: es.DerivedID(es.UUID{}, int64(i))}) //nolint:gosec // small
	}
	at := func(offset int64, position, prev uint64) seen {
		return seen{topic.Message{Record: log[position-1], Prev: prev}, offset, 0}
	}
	for name, c := range map[string]struct {
		messages []seen
		wrong    string
		copies   int
	}{
		"in order":                   {[]seen{at(0, 1, 0), at(1, 2, 1), at(2, 3, 2)}, "", 0},
		"repeated":                   {[]seen{at(0, 1, 0), at(1, 2, 1), at(2, 1, 0), at(3, 2, 1), at(4, 3, 2)}, "", 2},
		"read twice":                 {[]seen{at(0, 1, 0), at(1, 2, 1), at(0, 1, 0), at(1, 2, 1), at(2, 3, 2)}, "", 0},
		"records deleted":            {[]seen{at(0, 1, 0), at(4, 5, 4)}, "", 0},
		"one left out":               {[]seen{at(0, 1, 0), at(1, 3, 2)}, "comes before 2", 0},
		"one too late":               {[]seen{at(0, 1, 0), at(1, 3, 2), at(2, 2, 1)}, "comes before 2", 1},
		"a ce_prev that hides a gap": {[]seen{at(0, 1, 0), at(2, 3, 1)}, "ce_prev", 0},
		"another event":              {[]seen{{topic.Message{Record: es.Record{Stream: stream, Position: 1, ID: es.DerivedID(es.UUID{}, "x")}}, 0, 0}}, "is not the log's", 0},
	} {
		heard := &overheard{TB: t}
		m := &mirror{t: heard}
		m.partitions[p] = c.messages
		_, copies := m.firstCopies(log)
		said := strings.Join(heard.said, "; ")
		if (said != "") != (c.wrong != "") || !strings.Contains(said, c.wrong) || copies != c.copies || m.again() != copies {
			t.Errorf("%s: %d copies (%d while under way), %q; want %d and %q", name, copies, m.again(), said, c.copies, c.wrong)
		}
	}
}
