package openapi

import "encoding/json"

// PersonalText is a personal field of an answer. The zero value was not given, and is left out.
type PersonalText struct {
	Text string
	// Withheld: something was given, and cannot be shown.
	Withheld bool
}

// ShownText is a field as it was given; nil was not given.
func ShownText(s *string) PersonalText {
	if s == nil {
		return PersonalText{}
	}
	return PersonalText{Text: *s}
}

// MarshalJSON writes null for what cannot be shown.
func (p PersonalText) MarshalJSON() ([]byte, error) {
	if p.Withheld {
		return []byte("null"), nil
	}
	return json.Marshal(p.Text)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *PersonalText) UnmarshalJSON(b []byte) error {
	p.Withheld = string(b) == "null"
	return json.Unmarshal(b, &p.Text)
}
