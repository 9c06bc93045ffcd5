package api

import (
	"github.com/daybook-dev/daybook/kit/text"
)

// refuseCards finds the number of a payment card anywhere in a body: in values, in numbers, in names of members. The problem
// names the field, never the value.
func (d *document) refuseCards() *Problem {
	c := checker{doc: d}
	if !c.hasCard(0, "", false) {
		return nil
	}
	return cardRefused(c.pointer())
}

func cardRefused(at string) *Problem {
	return NewProblem("card_number_refused", "a field holds a card number; send the payment provider's token instead").
		At(at, "card_number", "looks like a card number")
}

// hasCard tells whether a value, or the name of something in it, looks like a card number. If so, the path leads to it.
func (c *checker) hasCard(at int32, field string, payment bool) bool {
	v := c.doc.values[at]
	if !c.doc.work.do(int(v.end-v.start) / maxDepth) {
		return false
	}
	switch v.kind {
	case '{':
		for name := at + 1; name < v.next; name = c.doc.values[name+1].next {
			below := c.doc.text(c.doc.values[name])
			if text.Card(below) || c.hasCardBelow(step{name: name}, name+1, below, payment || below == "payment") {
				return true
			}
		}
	case '[':
		n := int32(0)
		for item := at + 1; item < v.next; item = c.doc.values[item].next {
			if c.hasCardBelow(step{-1, n}, item, field, payment) {
				return true
			}
			n++
		}
	case '"':
		return holdsCard(field, c.doc.text(v), payment)
	case '0':
		return holdsCard("id", string(c.doc.raw(v)), payment)
	}
	return false
}

func (c *checker) hasCardBelow(s step, at int32, field string, payment bool) bool {
	c.path = append(c.path, s)
	if c.hasCard(at, field, payment) {
		return true
	}
	c.path = c.path[:len(c.path)-1]
	return false
}

// holdsCard looks at a field of a name. Ids are often many digits, trade items and telephones have numbers as long as cards have;
// below payment nothing is any of these.
func holdsCard(field, value string, payment bool) bool {
	switch {
	case payment:
		return text.Card(value)
	case field == "sku":
		return !text.GTIN(value) && text.CardID(value)
	case field == "id":
		return text.CardID(value)
	case field == "phone" && text.Phone(value):
		return false
	}
	return text.Card(value)
}
