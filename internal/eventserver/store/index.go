package store

import (
	"bytes"
	"slices"
)

// index is the entries of a group beside its records, by key. Pebble's memtable is a list that it searches from where it last
// inserted: in order, entries cost it half of what they cost as they come.
type index struct {
	bytes   []byte
	entries []entry
}

type entry struct{ key, value, end int }

func (x *index) reset() { x.bytes, x.entries = x.bytes[:0], x.entries[:0] }

func (x *index) key(e entry) []byte   { return x.bytes[e.key:e.value] }
func (x *index) value(e entry) []byte { return x.bytes[e.value:e.end] }

// add takes the entry that key and value append.
func (x *index) add(key, value func([]byte) []byte) {
	e := entry{key: len(x.bytes)}
	x.bytes = key(x.bytes)
	e.value = len(x.bytes)
	x.bytes = value(x.bytes)
	e.end = len(x.bytes)
	x.entries = append(x.entries, e)
}

func (x *index) sort() {
	slices.SortFunc(x.entries, func(a, b entry) int {
		if c := bytes.Compare(x.key(a), x.key(b)); c != 0 {
			return c
		}
		return bytes.Compare(x.value(a), x.value(b)) // an id twice: the later position counts
	})
}
