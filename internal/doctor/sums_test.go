package doctor

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"
)

// Two texts have one sum exactly when they mean the same, however they are written.
func TestSumsOfJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := anything(t, 3)
		b := a
		if rapid.Bool().Draw(t, "another") {
			b = anything(t, 3)
		}
		one, two := written(t, a), written(t, b)
		x, ok := sumJSON(one)
		y, too := sumJSON(two)
		if !ok || !too {
			t.Fatalf("not read: %s and %s", one, two)
		}
		same := bytes.Equal(canonical(pgtype.JSONBOID, append([]byte{1}, one...)), canonical(pgtype.JSONBOID, append([]byte{1}, two...)))
		if (x == y) != same {
			t.Fatalf("%s and %s: sums %x and %x", one, two, x, y)
		}
	})
}

// What is made of the same parts in another way is not the same.
func TestSumsTellStructure(t *testing.T) {
	t.Parallel()
	seen := map[uint64]string{}
	for _, text := range []string{
		`{}`, `[]`, `""`, `null`, `"null"`, `1`, `"1"`, `[1]`, `["1"]`, `[[]]`, `[{}]`, `[[],[]]`, `[[[]]]`, `[1,2]`, `[2,1]`, `[1,1]`, `[[1],2]`, `[1,[2]]`,
		`{"a":"b"}`, `{"b":"a"}`, `{"a":1,"b":2}`, `{"a":2,"b":1}`, `{"a":{"b":1}}`, `{"a":{},"b":1}`, `{"a":[1,2]}`, `{"a":[2,1]}`, `[{"a":1},{"b":2}]`, `[{"a":1,"b":2}]`,
		`{"a":{"c":1},"b":{"c":2}}`, `{"a":{"c":2},"b":{"c":1}}`, `{"a":null}`, `{"":null}`, `{"null":"a"}`, `["a","b"]`, `{"a":"a"}`, `{"a":"a","b":"b"}`, `["a",{"b":"b"}]`,
	} {
		sum, ok := sumJSON([]byte(text))
		if before, twice := seen[sum]; twice || !ok {
			t.Errorf("%s has the sum %x of %s; read: %t", text, sum, before, ok)
		}
		seen[sum] = text
	}
}

func anything(t *rapid.T, deep int) any {
	kinds := 6
	if deep == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]any{nil, true, false}).Draw(t, "word")
	case 1:
		return json.Number(rapid.SampledFrom([]string{"0", "1", "-1", "12", "1.50", "9007199254740993"}).Draw(t, "number"))
	case 2, 3:
		return text(t)
	case 4:
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) any { return anything(t, deep-1) }), 0, 3).Draw(t, "array")
	}
	object := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		object[text(t)] = anything(t, deep-1)
	}
	return object
}

func text(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "b", "ab", `"`, `\`, "<a>&", "é\u2028\n", "1", "null", "{}", "[", "a\",\"b", "👍"}).Draw(t, "text")
}

// written is one of the ways to write a value.
func written(t *rapid.T, v any) []byte {
	var b bytes.Buffer
	blank := func() { b.WriteString(rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "blank")) }
	quoted := func(s string) {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(rapid.Bool().Draw(t, "escaped"))
		_ = enc.Encode(s) // a string always encodes; the line's end is a blank
	}
	var write func(v any)
	write = func(v any) {
		blank()
		defer blank()
		switch v := v.(type) {
		case string:
			quoted(v)
		case []any:
			b.WriteByte('[')
			for i, one := range v {
				if i > 0 {
					b.WriteByte(',')
				}
				write(one)
			}
			b.WriteByte(']')
		case map[string]any:
			b.WriteByte('{')
			for i, name := range rapid.Permutation(slices.Sorted(maps.Keys(v))).Draw(t, "order") {
				if i > 0 {
					b.WriteByte(',')
				}
				quoted(name)
				b.WriteByte(':')
				write(v[name])
			}
			b.WriteByte('}')
		default:
			raw, _ := json.Marshal(v)
			b.Write(raw)
		}
	}
	write(v)
	return b.Bytes()
}

func TestBrokenJSONHasNoSum(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", "{", "[", "]", `{"a"}`, `{"a":}`, `{"a":1,}`, "[1,]", "[1 2]", "[,1]", `{,"a":1}`, `{1:2}`, `"a`, `"\x"`, "1 2", "{}}", `"a" "b"`,
		strings.Repeat("[", 100_000)} {
		if sum, ok := sumJSON([]byte(text)); ok {
			t.Errorf("%.20q has the sum %x", text, sum)
		}
	}
	if sum, ok := sumJSON([]byte(strings.Repeat("[", 50) + strings.Repeat("]", 50))); !ok {
		t.Errorf("nested lists were not read: %x", sum)
	}
	if a, b := sumRaw(pgtype.JSONBOID, []byte("\x01{")), sumRaw(pgtype.JSONBOID, []byte("\x01[")); a == b {
		t.Error("what cannot be read is compared byte by byte")
	}
}
