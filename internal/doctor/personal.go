package doctor

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
)

// sealedUnder is a key that values of the log are sealed with.
type sealedUnder struct{ subject, key string }

// sealedUse is where such values stand.
type sealedUse struct {
	first  es.StreamID
	event  string
	values int
}

// sealedIn notes every sealed value of an event. Sagas copy the events that they heard: what they hold is elsewhere too.
func (h *history) sealedIn(e es.Recorded) {
	note := func(s es.Sealed) {
		if s.IsZero() {
			return
		}
		under := sealedUnder{s.Subject, s.KeyID}
		use := h.sealed[under]
		if use == nil {
			use = &sealedUse{first: e.Stream, event: e.Event.EventType()}
			h.sealed[under] = use
		}
		use.values++
	}
	note(e.Meta.Reason)
	eachSealed(reflect.ValueOf(e.Event), note)
}

var sealedType = reflect.TypeFor[es.Sealed]()

// eachSealed walks the exported fields of a value.
func eachSealed(v reflect.Value, note func(es.Sealed)) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == sealedType {
			if s, ok := reflect.TypeAssert[es.Sealed](v); ok {
				note(s)
			}
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				eachSealed(v.Field(i), note)
			}
		}
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k == reflect.Struct || k == reflect.Pointer || k == reflect.Interface || k == reflect.Slice {
			for i := range v.Len() {
				eachSealed(v.Index(i), note)
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			eachSealed(v.MapIndex(k), note)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			eachSealed(v.Elem(), note)
		}
	}
}

// checkKeys is I9: every key that a value was sealed with is there, or was erased.
func (h *history) checkKeys(ctx context.Context) error {
	if h.cfg.Pool == nil {
		return nil
	}
	rows, err := h.cfg.Pool.Query(ctx, `
		select subject, key_id, wrapped is null from daybook.personal_key
		union all select subject, key_id, false from daybook.personal_key_former f where exists (
			select 1 from daybook.fingerprint where name = 'key-encryption key' and encode(substr(value, 1, 8), 'hex') = f.kek_id
			union all select 1 from daybook.personal_key k where k.wrapped is not null and k.kek_id = f.kek_id)`)
	if err != nil {
		return fmt.Errorf("reading the keys of personal data: %w", err)
	}
	var (
		have   sealedUnder
		erased bool
	)
	keys, gone := map[sealedUnder]bool{}, map[string]bool{}
	if _, err := pgx.ForEachRow(rows, []any{&have.subject, &have.key, &erased}, func() error {
		keys[have] = true
		if erased {
			gone[have.subject] = true
		}
		return nil
	}); err != nil {
		return fmt.Errorf("reading the keys of personal data: %w", err)
	}
	order := func(a, b sealedUnder) int { return strings.Compare(a.subject+" "+a.key, b.subject+" "+b.key) }
	for _, under := range slices.SortedFunc(maps.Keys(h.sealed), order) {
		if keys[under] || gone[under.subject] {
			continue
		}
		if n := len(h.out.MissingKeys); n == 0 || h.out.MissingKeys[n-1] != under.subject {
			h.out.MissingKeys = append(h.out.MissingKeys, under.subject)
		}
		use := h.sealed[under]
		h.out.Find(doctor.Finding{
			Invariant: "I9", Stream: use.first.String(), Row: "daybook.personal_key " + under.subject,
			Problem: fmt.Sprintf("the key of %s is missing: %d personal values cannot be shown, the first in %s", under.subject, use.values, use.event),
		})
	}
	h.out.Checked["personal keys"] = len(h.sealed)
	return nil
}
