package query

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Change is a field that is not the same in two JSON values. Before and After are nil where the field is not there; null is a value.
type Change struct {
	Pointer       string // RFC 6901
	Before, After json.RawMessage
}

// Changes compares two JSON values field by field; nil is a value that is not there. Objects and lists are compared by their members: by
// name, and by number.
func Changes(before, after json.RawMessage) (all []Change, err error) {
	err = compare("", bytes.TrimSpace(before), bytes.TrimSpace(after), func(c Change) { all = append(all, c) })
	return all, err
}

func compare(at string, before, after json.RawMessage, found func(Change)) error {
	was, err := members(before)
	if err != nil {
		return err
	}
	is, err := members(after)
	if err != nil {
		return err
	}
	leaf := Change{Pointer: at}
	if len(was) == 0 {
		leaf.Before = before
	}
	if len(is) == 0 {
		leaf.After = after
	}
	if alike := was != nil && is != nil && before[0] == after[0]; !alike && !bytes.Equal(leaf.Before, leaf.After) {
		found(leaf)
	}
	names := slices.Collect(maps.Keys(was))
	for name := range is {
		if _, both := was[name]; !both {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, inOrder)
	for _, name := range names {
		if err := compare(at+"/"+escape.Replace(name), was[name], is[name], found); err != nil {
			return err
		}
	}
	return nil
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// inOrder compares numbers by their value, and names, which come after them.
func inOrder(a, b string) int {
	n, notA := strconv.Atoi(a)
	m, notB := strconv.Atoi(b)
	switch {
	case notA == nil && notB == nil && n != m:
		return cmp.Compare(n, m)
	case notA == nil && notB != nil:
		return -1
	case notA != nil && notB == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// members are those of an object or list; none of anything else.
func members(value json.RawMessage) (all map[string]json.RawMessage, err error) {
	switch {
	case len(value) == 0:
	case value[0] == '{':
		err = json.Unmarshal(value, &all)
	case value[0] == '[':
		var items []json.RawMessage
		err = json.Unmarshal(value, &items)
		all = make(map[string]json.RawMessage, len(items))
		for i, item := range items {
			all[strconv.Itoa(i)] = item
		}
	}
	if err != nil {
		return nil, fmt.Errorf("compare JSON: %w", err)
	}
	return all, nil
}
