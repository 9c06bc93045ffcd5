package api

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// canonical is a document with object keys sorted, no white space, and whole numbers in digits: what the digest of a request
// is made of, and what its operation decodes.
func (d *document) canonical() []byte {
	return d.write(make([]byte, 0, len(d.body)), 0)
}

func (d *document) write(b []byte, i int32) []byte {
	v := d.values[i]
	switch v.kind {
	case '{':
		return d.writeObject(b, i)
	case '[':
		b = append(b, '[')
		for item := i + 1; item < v.next; item = d.values[item].next {
			if item > i+1 {
				b = append(b, ',')
			}
			b = d.write(b, item)
		}
		return append(b, ']')
	case '"':
		d.work.do(int(v.end - v.start))
		return appendText(b, d.text(v))
	case '0':
		d.work.do(int(v.end - v.start))
		return appendNumber(b, d.raw(v))
	default:
		return append(b, d.raw(v)...)
	}
}

func (d *document) writeObject(b []byte, i int32) []byte {
	type member struct {
		name string
		at   int32
	}
	o := d.values[i]
	members := make([]member, 0, o.size)
	for at := i + 1; at < o.next; at = d.values[at+1].next {
		d.work.do(int(d.values[at].end - d.values[at].start))
		members = append(members, member{d.text(d.values[at]), at + 1})
	}
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.name, b.name) })
	b = append(b, '{')
	for n, m := range members {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, m.name), ':')
		b = d.write(b, m.at)
	}
	return append(b, '}')
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || strings.IndexByte(`"\<>&`, c) >= 0 {
			enc, _ := json.Marshal(s) // a text always encodes
			return append(b, enc...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendNumber(b, raw []byte) []byte {
	n := wholeOf(raw)
	if !n.whole || n.huge || isDigits(raw) {
		return append(b, raw...)
	}
	return strconv.AppendInt(b, n.value, 10)
}

// number is what a JSON number comes to, where it is a whole one.
type number struct {
	value int64
	whole bool
	huge  bool // beyond int64; value tells the sign
}

func isDigits(raw []byte) bool {
	return !slices.ContainsFunc(raw, func(c byte) bool { return c == '.' || c == 'e' || c == 'E' })
}

// wholeOf reads a JSON number. 12, 12.0 and 1.2e1 are the same; 1e999999999 is never reckoned out.
func wholeOf(raw []byte) number {
	sign, digits := int64(1), string(raw)
	if strings.HasPrefix(digits, "-") {
		sign, digits = -1, digits[1:]
	}
	point := len(digits)
	if e := strings.IndexAny(digits, "eE"); e >= 0 {
		exponent, err := strconv.Atoi(digits[e+1:])
		if err != nil || exponent > 1<<30 || exponent < -1<<30 { // out of any range but that of zero
			exponent = 1 << 30
			if digits[e+1] == '-' {
				exponent = -exponent
			}
		}
		digits = digits[:e]
		point = e + exponent
	}
	if dot := strings.IndexByte(digits, '.'); dot >= 0 {
		point += dot - len(digits)
		digits = digits[:dot] + digits[dot+1:]
	}
	significant := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(significant)
	significant = strings.TrimRight(significant, "0")
	switch {
	case significant == "":
		return number{whole: true}
	case len(significant) > point:
		return number{}
	case point > 19:
		return number{sign, true, true}
	}
	n, err := strconv.ParseInt(significant+strings.Repeat("0", point-len(significant)), 10, 64)
	if err != nil {
		return number{sign, true, true}
	}
	return number{value: sign * n, whole: true}
}
