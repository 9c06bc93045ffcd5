package order

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const mostDifferences = 5 // listed one by one

// difference lists the fields in which two JSON texts differ: the recorded one and the new one.
func difference(recorded, given []byte) string {
	var all []string
	compare("", read(recorded), read(given), &all)
	if more := len(all) - mostDifferences; more > 0 {
		all = append(all[:mostDifferences], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

func read(b []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil { // it was encoded here
		panic(err)
	}
	return v
}

func compare(path string, a, b any, out *[]string) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			names := maps.Clone(x)
			maps.Copy(names, y)
			for _, name := range slices.Sorted(maps.Keys(names)) {
				compare(strings.TrimPrefix(path+"."+name, "."), x[name], y[name], out)
			}
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			for i := range max(len(x), len(y)) {
				compare(fmt.Sprintf("%s[%d]", path, i+1), at(x, i), at(y, i), out)
			}
			return
		}
	}
	if !equal(a, b) {
		*out = append(*out, fmt.Sprintf("%s: %s → %s", path, brief(a), brief(b)))
	}
}

func equal(a, b any) bool { return bytes.Equal(encoded(a), encoded(b)) }

func at(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func brief(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case map[string]any:
		return fmt.Sprintf("%v of %v", v["quantity"], v["sku"])
	}
	return string(encoded(v))
}
