package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// checker holds a document to a shape. It looks at no more of it than is needed: not into what is too many, and at nothing
// any more once enough is wrong.
type checker struct {
	doc    *document
	faults *faults
	path   []step // from the root to the value that is looked at
	form   bool   // only whether the value has this form counts: its members are looked at elsewhere
}

// step is a member, by the place of its name in the document, or an item.
type step struct {
	name, item int32
}

func (c *checker) fault(code, format string, args ...any) {
	c.faults.add(c.pointer(), code, format, args...)
}

// on tells whether to go on.
func (c *checker) on() bool { return !c.faults.full() && c.doc.work.do(0) }

func (c *checker) pointer() string {
	var b strings.Builder
	b.WriteString("#")
	for _, s := range c.path {
		b.WriteByte('/')
		if s.name < 0 {
			fmt.Fprintf(&b, "%d", s.item)
			continue
		}
		name := c.doc.values[s.name]
		name.end = min(name.end, name.start+4*longestToken) // an escape may be cut in two, and is then not read
		if name.end < c.doc.values[s.name].end {
			b.WriteString(clip(strings.ToValidUTF8(string(c.doc.raw(name)[1:]), ""), longestToken) + "…")
			continue
		}
		b.WriteString(escapePointer(clip(c.doc.text(name), longestToken)))
	}
	return clip(b.String(), longestPointer)
}

var typeNames = map[byte]string{'{': "object", '[': "array", '"': "string", '0': "integer", 't': "boolean", 'f': "boolean", 'n': "null"}

// check looks at the value at a place; any will do if s is nil.
func (c *checker) check(at int32, s *shape) {
	if !c.on() {
		return
	}
	if s == nil {
		s = &shape{maxLength: endless, maxItems: endless, maxMembers: endless}
	}
	v := c.doc.values[at]
	if !c.kind(v, s) {
		return
	}
	for _, one := range s.all {
		c.check(at, one)
	}
	c.choices(at, s)
	switch v.kind {
	case '{':
		c.object(at, s)
	case '[':
		c.array(at, s)
	case '"':
		if c.doc.work.do(int(v.end - v.start)) {
			for _, f := range s.textFaults(c.doc.text(v)) {
				c.fault(f.code, "%s", f.detail)
			}
		}
	case '0':
		if c.doc.work.do(int(v.end - v.start)) {
			for _, f := range s.numberFaults(wholeOf(c.doc.raw(v))) {
				c.fault(f.code, "%s", f.detail)
			}
		}
	}
}

// kind tells whether a value is of a type that the shape takes.
func (c *checker) kind(v value, s *shape) bool {
	kind := typeNames[v.kind]
	switch {
	case len(s.types) > 0 && !slices.Contains(s.types, kind):
		if kind == "null" {
			c.fault("nullable", "must not be null")
		} else {
			c.fault("type", "must be of type %s", strings.Join(s.types, " or "))
		}
		return false
	case (s.options != nil || s.null) && v.kind != '"' && (v.kind != 'n' || !s.null):
		c.fault("enum", "must be one of %v", s.options)
		return false
	}
	return true
}

// choices holds a value to anyOf, oneOf and not.
func (c *checker) choices(at int32, s *shape) {
	about := ""
	if s.about != "" {
		about = ": " + s.about
	}
	if s.any != nil && c.fit(at, s.any, 1) == 0 {
		c.fault("anyOf", "has none of the forms that are taken%s", about)
	}
	if s.one != nil {
		switch c.fit(at, s.one, 2) {
		case 0:
			c.fault("oneOf", "has none of the forms that are taken%s", about)
		case 2:
			c.fault("oneOf", "has several of the forms of which one is taken%s", about)
		}
	}
	if s.not != nil && c.fit(at, []*shape{s.not}, 1) == 1 {
		c.fault("not", "has a form that is not taken%s", about)
	}
}

// fit counts the shapes that a value has, up to a number.
func (c *checker) fit(at int32, of []*shape, upTo int) (n int) {
	for _, s := range of {
		if one := (&checker{doc: c.doc, faults: &faults{most: 1}, form: true}); n < upTo && c.on() {
			if one.check(at, s); len(one.faults.list) == 0 {
				n++
			}
		}
	}
	return n
}

func (c *checker) array(at int32, s *shape) {
	v := c.doc.values[at]
	switch n := int(v.size); {
	case n > s.maxItems:
		c.fault("maxItems", "must have at most %d items", s.maxItems)
		return
	case n < s.minItems:
		c.fault("minItems", "must have at least %d items", s.minItems)
	}
	depth := len(c.path)
	for item, n := at+1, int32(0); item < v.next && c.on(); item, n = c.doc.values[item].next, n+1 {
		c.path = append(c.path, step{-1, n})
		c.check(item, s.items)
		c.path = c.path[:depth]
	}
}

func (c *checker) object(at int32, s *shape) {
	v := c.doc.values[at]
	if n := int(v.size); n > s.maxMembers {
		c.fault("maxProperties", "must have at most %d members", s.maxMembers)
		return
	} else if n < s.minMembers {
		c.fault("minProperties", "must have at least %d members", s.minMembers)
	}
	seen := map[string]bool{}
	depth := len(c.path)
	for name := at + 1; name < v.next && c.on(); name = c.doc.values[name+1].next {
		c.path = append(c.path, step{name: name})
		c.member(name, s, seen)
		c.path = c.path[:depth]
	}
	for _, name := range s.required {
		if !seen[name] && c.on() {
			c.faults.add(c.pointer()+"/"+escapePointer(name), "required", "is required")
		}
	}
	for name, others := range s.together {
		for _, other := range others {
			if seen[name] && !seen[other] && c.on() {
				c.faults.add(c.pointer()+"/"+escapePointer(other), "required", "is required beside %s", name)
			}
		}
	}
}

// member checks a member of an object, by the place of its name.
func (c *checker) member(at int32, s *shape, seen map[string]bool) {
	if !c.doc.work.do(int(c.doc.values[at].end - c.doc.values[at].start)) {
		return
	}
	name := c.doc.text(c.doc.values[at])
	below, known := s.members[name]
	if !known && s.closed {
		c.fault("unknown", "is not a field here")
		return
	}
	if seen[name] {
		c.fault("duplicate", "occurs twice")
		return
	}
	seen[name] = true
	wrong := nul(name)
	if !known && s.names != nil {
		wrong = append(wrong, s.names.textFaults(name)...)
	}
	for _, f := range wrong {
		if !c.form {
			c.fault(f.code, "%s", f.detail)
		}
	}
	if !known {
		below = s.others
	}
	c.check(at+1, below)
}

// finding is something wrong with a scalar.
type finding struct{ code, detail string }

func nul(text string) []finding {
	if strings.IndexByte(text, 0) >= 0 {
		return []finding{{"nul", "contains U+0000"}}
	}
	return nil
}

// textFaults is what is wrong with a text.
func (s *shape) textFaults(text string) []finding {
	found := nul(text)
	if found != nil {
		return found
	}
	add := func(code, format string, args ...any) {
		found = append(found, finding{code, fmt.Sprintf(format, args...)})
	}
	n := len(text)
	if n > s.maxLength || n < 4*s.minLength {
		n = utf8.RuneCountInString(text)
	}
	switch {
	case n > s.maxLength:
		add("maxLength", "must have at most %d characters", s.maxLength)
		return found // and is not looked through
	case n < s.minLength:
		add("minLength", "must have at least %d characters", s.minLength)
		return found // one fault is enough
	}
	if s.pattern != nil && !s.pattern.MatchString(text) {
		add("pattern", "%s", cmp.Or(s.says, "must match "+s.pattern.String()))
	}
	if s.format != nil {
		if wrong := s.format(text); wrong != "" {
			add("format", "%s", wrong)
		}
	}
	if (s.options != nil || s.null) && !slices.Contains(s.options, text) {
		add("enum", "%s", cmp.Or(s.says, fmt.Sprintf("must be one of %v", s.options)))
	}
	return found
}

// numberFaults is what is wrong with a number.
func (s *shape) numberFaults(n number) []finding {
	switch {
	case !n.whole && (len(s.types) == 0 || slices.Contains(s.types, "integer")):
		return []finding{{"type", "must be a whole number"}}
	case s.min != nil && (n.huge && n.value < 0 || !n.huge && n.value < *s.min):
		return []finding{{"minimum", fmt.Sprintf("must be at least %d", *s.min)}}
	case s.max != nil && (n.huge && n.value > 0 || !n.huge && n.value > *s.max):
		return []finding{{"maximum", fmt.Sprintf("must be at most %d", *s.max)}}
	case n.huge:
		return []finding{{"format", "is too large"}}
	}
	return nil
}
