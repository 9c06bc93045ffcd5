package projection_test

import (
	"database/sql"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/projectiontest"
)

type counted struct {
	SKUs []string `json:"skus"`
	N    int64    `json:"n"`
}
type renamed struct{ Name string }

func (counted) EventType() string { return "parcel.counted" }
func (renamed) EventType() string { return "label.renamed" }

type row struct {
	Name  string `db:"name"`
	Sum   int64  `db:"sum"`
	Times int64  `db:"times"`
}

func table(on ...projection.Fold[row]) projection.Table[row] {
	return projection.Table[row]{Name: "parcels", Version: 1, Stream: "parcel", Schema: "create table parcels (like engine)", On: on}
}

var sum = projection.On(func(r *row, e counted, _ es.Recorded) { r.Sum += e.N; r.Times++ })

func TestRowsStandUnderTheEventsKey(t *testing.T) {
	t.Parallel()
	perSKU := projection.OnKeys(func(e counted, _ es.Recorded) []string { return e.SKUs },
		func(r *row, sku string, e counted, _ es.Recorded) { r.Name, r.Sum, r.Times = sku, r.Sum+e.N, r.Times+1 })
	rows := projectiontest.Given(t, table(perSKU),
		projectiontest.Past("parcel-a", counted{[]string{"x", "y", "x"}, 2}, counted{[]string{"y"}, 3}),
		projectiontest.Past("parcel-b", counted{[]string{"x"}, 7}, counted{nil, 9}))
	rows.ThenRow("a/x", row{"x", 2, 1}) // named twice by one event, changed once
	rows.ThenRow("a/y", row{"y", 5, 2})
	rows.ThenRow("b/x", row{"x", 7, 1})
	rows.ThenNoRow("b")
}

func TestSharedRowsStandUnderTheirPartition(t *testing.T) {
	t.Parallel()
	total := table(projection.OnKey(func(counted, es.Recorded) string { return "GBP" },
		func(r *row, e counted, _ es.Recorded) { r.Sum += e.N }))
	total.Shared = true
	plans, err := plan.Compile(total)
	if err != nil {
		t.Fatal(err)
	}
	b := plans[0].Begin(7)
	for _, stream := range []string{"parcel-a", "parcel-b"} {
		keys, err := b.Touch(projectiontest.Past(stream, counted{N: 1})[0])
		if want := []plan.Key{{Key: "7", Suffix: "GBP"}}; err != nil || !slices.Equal(keys, want) {
			t.Errorf("%s touches %v, %v; want %v", stream, keys, err, want)
		}
	}
}

func TestStreamWithoutKeyTouchesNothing(t *testing.T) {
	t.Parallel()
	plans, err := plan.Compile(table(sum))
	if err != nil {
		t.Fatal(err)
	}
	// "a.b" and parcel-a~2Eb have one key as people write it, and different partitions.
	keys, err := plans[0].Begin(0).Touch(es.Recorded{Event: counted{N: 1}, Stream: es.AnyStreamID("a.b"), Position: 1})
	if len(keys) != 0 || err != nil {
		t.Errorf("touches %v, %v", keys, err)
	}
}

func TestStampGrowsOnBothAxes(t *testing.T) {
	t.Parallel()
	minute := func(m int) time.Time { return time.Date(2011, 1, 1, 0, m, 0, 0, time.UTC) }
	past := projectiontest.Past("parcel-a", counted{N: 1}, counted{N: 1}, counted{N: 1})
	past[1].Meta.OccurredAt, past[2].Meta.OccurredAt = minute(50), minute(20) // a late fact
	past[2].Created = minute(0)                                               // a clock that went back
	label := projectiontest.Past("label-a", renamed{"new"})
	named := projection.On(func(r *row, e renamed, _ es.Recorded) { r.Name = e.Name })

	rows := projectiontest.Given(t, table(sum, named), past, label)
	rows.ThenRow("a", row{"new", 3, 3})
	rows.ThenStamp("a", projection.Stamp{Version: 3, Revision: 2, Position: 4, ValidFrom: minute(50), RecordedFrom: minute(1)})
}

func TestPanicIsAnErrorThatNamesTheEvent(t *testing.T) {
	t.Parallel()
	plans, err := plan.Compile(table(projection.On(func(*row, counted, es.Recorded) { panic("out of paper") })))
	if err != nil {
		t.Fatal(err)
	}
	b, e := plans[0].Begin(0), projectiontest.Past("parcel-a", counted{})[0]
	keys, err := b.Touch(e)
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if err = b.Apply(keys[0], e); err == nil || !strings.Contains(err.Error(), "parcel-a@0") || !strings.Contains(err.Error(), "out of paper") {
		t.Errorf("got %v", err)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	ok := table(sum)
	change := func(f func(*projection.Table[row])) projection.Table[row] { p := ok; f(&p); return p }
	type untagged struct{ Name string }
	type engine struct {
		Key string `db:"key"`
	}
	for name, ps := range map[string][]projection.Projection{
		"folded twice":        {change(func(p *projection.Table[row]) { p.On = append(p.On, p.On...) })},
		"lower case":          {change(func(p *projection.Table[row]) { p.Name = `x"; drop` })},
		"needs a version":     {change(func(p *projection.Table[row]) { p.Version = 0 })},
		"totals have no":      {change(func(p *projection.Table[row]) { p.Shared, p.History = true, true })},
		"totals change":       {change(func(p *projection.Table[row]) { p.Shared, p.Once = true, true })},
		"is given twice":      {ok, ok},
		"no db tag":           {projection.Table[untagged]{Name: "x", Version: 1, Schema: "s", On: []projection.Fold[untagged]{projection.On(func(*untagged, counted, es.Recorded) {})}}},
		"key is the engine's": {projection.Table[engine]{Name: "x", Version: 1, Schema: "s", On: []projection.Fold[engine]{projection.On(func(*engine, counted, es.Recorded) {})}}},
		"a row is a struct":   {projection.Table[int]{Name: "x", Version: 1, Schema: "s", On: []projection.Fold[int]{projection.On(func(*int, counted, es.Recorded) {})}}},
	} {
		if _, err := plan.Compile(ps...); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	next := change(func(p *projection.Table[row]) { p.Version = 2 })
	if _, err := plan.Compile(ok, next); err != nil {
		t.Errorf("two versions side by side: %v", err)
	}
}

// Which columns the history keeps once follows from their types: values of any length in parts, and none that is one value.
func TestWideColumns(t *testing.T) {
	t.Parallel()
	type columns struct {
		Text  string           `db:"text"`
		Flag  *bool            `db:"flag"`
		At    *time.Time       `db:"at"`
		ID    es.UUID          `db:"id"`
		Maybe sql.NullString   `db:"maybe"`
		Lines []string         `db:"lines"`
		Sums  map[string]int64 `db:"sums"`
		Note  *es.Sealed       `db:"note"`
		Bytes []byte           `db:"bytes"`
		Raw   json.RawMessage  `db:"raw"`
		Any   any              `db:"any"`
	}
	all, err := plan.Columns(reflect.TypeFor[columns]())
	if err != nil {
		t.Fatal(err)
	}
	var wide []string
	for _, c := range all {
		if c.Wide() {
			wide = append(wide, c.Name)
		}
	}
	if diff := cmp.Diff([]string{"lines", "sums", "note", "bytes", "raw", "any"}, wide); diff != "" {
		t.Errorf("wide columns (-want +got)\n%s", diff)
	}
}
