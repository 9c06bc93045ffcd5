package api

import (
	"encoding/json"
	"strings"
)

// refuseCards finds a card number anywhere below a field named payment: 13 to 19 digits that pass Luhn's check, with spaces or
// dashes between them or not. The problem names the field, never the value.
func refuseCards(v any) *Problem {
	obj, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	if at := cardNumber(obj["payment"], "#/payment"); at != "" {
		return NewProblem("card_number_refused", "a payment field holds a card number; send the payment provider's token instead").
			At(at, "card_number", "looks like a card number")
	}
	return nil
}

func cardNumber(v any, at string) string {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if isCardNumber(k) {
				return at
			}
			if found := cardNumber(e, at+"/"+k); found != "" {
				return found
			}
		}
	case []any:
		for _, e := range v {
			if found := cardNumber(e, at); found != "" {
				return found
			}
		}
	case string:
		if isCardNumber(v) {
			return at
		}
	case json.Number:
		if isCardNumber(v.String()) {
			return at
		}
	}
	return ""
}

func isCardNumber(s string) bool {
	s = strings.NewReplacer(" ", "", "-", "", ".", "").Replace(s)
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
