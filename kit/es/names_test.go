package es_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/kit/es"
)

func TestStreamNames(t *testing.T) {
	for s, name := range map[es.StreamID]string{
		{Category: "order", Key: "O"}:          "order-O",
		{Category: "shipment", Key: "O", N: 2}: "shipment-O.2",
		{Category: "stock", Key: "a-b_C9"}:     "stock-a-b_C9",
		{Category: "stock", Key: "a.1"}:        "stock-a~2E1",
		{Category: "stock", Key: "a.1", N: 1}:  "stock-a~2E1.1",
		{Category: "stock", Key: "~"}:          "stock-~7E",
		{Category: "stock", Key: "é"}:          "stock-~C3~A9",
		{Category: "stock", Key: "\x00 /"}:     "stock-~00~20~2F",
		{Key: "$all"}:                          "$all",
		{Category: "$$order", Key: "O"}:        "$$order-O",
	} {
		if got := s.String(); got != name {
			t.Errorf("%+v is named %s, want %s", s, got, name)
		}
		if got := es.AnyStreamID(name); got != s {
			t.Errorf("%s is read as %+v, want %+v", name, got, s)
		}
	}
	for _, name := range []string{"", "order", "-O", "order-", "order-O.0", "order-O.01", "order-O.-1", "order-O.x", "order-O.1.2", "order-~41", "order-~e9",
		"order-~4", "order-~", "order-a b", "order-é", "order-O.99999999999999999999", "$ce-order.x"} {
		s := es.AnyStreamID(name)
		if s.Category != "" || s.Key != name || s.String() != name || s.Partition() != name {
			t.Errorf("%q is of another form, and is read as %+v", name, s)
		}
		if _, err := es.ParseStreamID(name); err == nil {
			t.Errorf("ParseStreamID(%q) took it", name)
		}
	}
}

func TestStreamNameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := es.StreamID{
			Category: rapid.StringMatching(`[$]{0,2}[a-z_.]{1,8}`).Draw(t, "category"),
			Key:      string(rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "key")),
			N:        rapid.IntRange(0, 1<<40).Draw(t, "n"),
		}
		name := s.String()
		got, err := es.ParseStreamID(name)
		if err != nil || got != s {
			t.Fatalf("%+v is named %q, which is read as %+v, %v", s, name, got, err)
		}
		if _, key, _ := strings.Cut(name, "-"); strings.ContainsFunc(key, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-~.", r)
		}) {
			t.Fatalf("%+v is named %q", s, name)
		}
		if s.N = 0; s.Partition() != got.Partition() {
			t.Fatalf("%q and its number are in different partitions", name)
		}
	})
}

func FuzzStreamName(f *testing.F) {
	for _, s := range []string{"order-O", "shipment-O.1", "a-~41", "$$x-y", "-", "a-.1", "a-b.01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s := es.AnyStreamID(name)
		if s.String() != name {
			t.Errorf("%q is read as %+v, which is named %q", name, s, s.String())
		}
		if again := es.AnyStreamID(s.String()); again != s {
			t.Errorf("%+v is read again as %+v", s, again)
		}
		if own := strings.HasPrefix(name, "$"); (es.Record{Stream: s, Type: "a.b"}).Relayed() == own {
			t.Errorf("%q: whether it is the store's own is not seen", name)
		}
	})
}

func TestRelayed(t *testing.T) {
	for typ, want := range map[string]struct{ recorded, relayed bool }{
		"order.placed": {true, true}, "$metadata": {false, false}, "": {true, true}, "a$": {true, true},
		"saga.stepped": {true, false}, "sagas.heard": {true, true}, "order.saga.": {true, true},
	} {
		r := es.Record{Stream: es.AnyStreamID("order-O"), Type: typ}
		if r.Recorded() != want.recorded || r.Relayed() != want.relayed {
			t.Errorf("type %q: recorded %v, relayed %v", typ, r.Recorded(), r.Relayed())
		}
	}
}

func TestUUID(t *testing.T) {
	u := es.EffectID("placement-O", "reserve", "1", 1, es.Do)
	if u[6]>>4 != 5 || u[8]>>6 != 2 {
		t.Errorf("%s is no UUIDv5", u)
	}
	for _, other := range []es.UUID{
		es.EffectID("placement-O", "reserve", "1", 1, es.Undo), es.EffectID("placement-O", "reserve", "1", 2, es.Do),
		es.EffectID("placement-O", "reserve", "", 1, es.Do), es.EffectID("placement-O", "reserve1", "", 1, es.Do), es.EffectID("placement-", "Oreserve", "1", 1, es.Do),
	} {
		if other == u {
			t.Error("two effects share an id")
		}
	}
	if es.CommandID("a", "b", "c", "d") == es.CommandID("a", "b", "c|d", "") || es.CommandID("a", "", "b", "c") == es.CommandID("", "a", "b", "c") {
		t.Error("two commands share an id")
	}
	if got := es.CommandID("caller", "operation", "resource", "key").String(); got != "365dc2bd-d112-5ab0-8529-5bbce4934049" {
		t.Errorf("command ids have changed: %s. What was sent before would be done again", got)
	}
	back, err := es.ParseUUID(u.String())
	if err != nil || back != u {
		t.Errorf("%s is read as %s, %v", u, back, err)
	}
	b, err := json.Marshal(map[es.UUID]es.UUID{u: u})
	var m map[es.UUID]es.UUID
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil || m[u] != u {
		t.Errorf("%s: %v, %v", b, m, err)
	}
	for _, bad := range []string{"", "x", u.String()[1:], u.String() + "0", strings.ReplaceAll(u.String(), "-", "0"), "g" + u.String()[1:]} {
		if _, err := es.ParseUUID(bad); err == nil {
			t.Errorf("%q was taken for a UUID", bad)
		}
		before := u
		if _ = u.UnmarshalText([]byte(bad)); u != before {
			t.Errorf("%q changed the id it could not replace", bad)
		}
	}
}
