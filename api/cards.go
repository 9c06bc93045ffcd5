package api

import "strings"

// refuseCards finds a card number anywhere below a field named payment: 13 to 19 digits that pass Luhn's check, with spaces or
// dashes between them or not. The problem names the field, never the value.
func (d *document) refuseCards() *Problem {
	payment, ok := d.member(0, "payment")
	if !ok {
		return nil
	}
	c := checker{doc: d, path: []step{{name: payment - 1}}}
	if !c.hasCard(payment) {
		return nil
	}
	return NewProblem("card_number_refused", "a payment field holds a card number; send the payment provider's token instead").
		At(c.pointer(), "card_number", "looks like a card number")
}

// hasCard tells whether a value, or the name of something in it, looks like a card number. If so, the path leads to it.
func (c *checker) hasCard(at int32) bool {
	v := c.doc.values[at]
	if !c.doc.work.do(int(v.end-v.start) / maxDepth) {
		return false
	}
	switch v.kind {
	case '{':
		for name := at + 1; name < v.next; name = c.doc.values[name+1].next {
			if isCardNumber(c.doc.text(c.doc.values[name])) || c.hasCardBelow(step{name: name}, name+1) {
				return true
			}
		}
	case '[':
		n := int32(0)
		for item := at + 1; item < v.next; item = c.doc.values[item].next {
			if c.hasCardBelow(step{-1, n}, item) {
				return true
			}
			n++
		}
	case '"':
		return isCardNumber(c.doc.text(v))
	case '0':
		return isCardNumber(string(c.doc.raw(v)))
	}
	return false
}

func (c *checker) hasCardBelow(s step, at int32) bool {
	c.path = append(c.path, s)
	if c.hasCard(at) {
		return true
	}
	c.path = c.path[:len(c.path)-1]
	return false
}

var separators = strings.NewReplacer(" ", "", "-", "", ".", "")

func isCardNumber(s string) bool {
	s = separators.Replace(s)
	if len(s) < 13 || len(s) > 19 {
		return false
	}
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if d < 0 || d > 9 {
			return false
		}
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
