// Package text says what a text, an id and a SKU are, and finds card numbers in them.
//
// A text is trimmed and in Unicode's normalisation form C once Clean has seen it: both are done silently, since no user sees
// the difference. It has no control or format characters, none that is invisible by default and no line or paragraph
// separators, and something in it can be seen: what differs from that is refused, since two texts that look alike would differ.
// Blanks inside it stay as they are.
//
// Ids and SKUs are addresses. They are never changed, only refused.
package text

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// The forms as regular expressions that Go, ECMAScript and Python read alike: openapi.yaml has the same.
const (
	IDPattern  = `^[A-Za-z0-9_-]{1,64}$`
	SKUPattern = `^[A-Za-z0-9][A-Za-z0-9._~/+-]{0,63}$`
	// RefPattern is of ids that others give to what they send, and of codes: a receipt, a shipping method, a tax class.
	RefPattern = `^[A-Za-z0-9][A-Za-z0-9._:#/+-]{0,63}$`
)

var (
	id  = regexp.MustCompile(IDPattern)
	sku = regexp.MustCompile(SKUPattern)
	ref = regexp.MustCompile(RefPattern)
)

// ID tells whether s can be the id of an order or a customer.
func ID(s string) bool { return id.MatchString(s) }

// SKU tells whether s can be a product's.
func SKU(s string) bool { return sku.MatchString(s) }

// Ref tells whether s can be an id that another system gave, or a code of the configuration.
func Ref(s string) bool { return ref.MatchString(s) }

// hidden are the characters that no text has.
var hidden = []*unicode.RangeTable{
	unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point,
}

// barred tells whether a text may not have r.
func barred(r rune) bool { return unicode.In(r, hidden...) }

// unseen tells whether r is lawful in a text but shows nothing.
func unseen(r rune) bool {
	return unicode.Is(unicode.Zs, r) || unicode.Is(unicode.Variation_Selector, r) || r == brailleBlank
}

const brailleBlank = '\u2800'

// Clean trims a text and brings it into normalisation form C.
func Clean(s string) string {
	return strings.TrimFunc(norm.NFC.String(s), func(r rune) bool { return unicode.Is(unicode.Zs, r) || r == brailleBlank })
}

// Check says why s is no clean text of at most so many characters.
func Check(s string, most int) error {
	seen, n := false, 0
	for _, r := range s {
		n++
		if barred(r) {
			return fmt.Errorf("contains %U, which cannot be seen", r)
		}
		seen = seen || !unseen(r)
	}
	switch {
	case !seen:
		return errors.New("is empty")
	case n > most:
		return fmt.Errorf("has more than %d characters", most)
	case s != Clean(s):
		return errors.New("is not trimmed, or not in normalisation form C")
	}
	return nil
}

// Pattern is the regular expression of what Clean makes a text of, to be found in openapi.yaml.
func Pattern() string {
	not, shown := class(barred), class(func(r rune) bool { return barred(r) || unseen(r) })
	return `^[^` + not + `]*[^` + shown + `][^` + not + `]*$`
}

// EmailPattern is of an address: one @ between characters that can be seen.
func EmailPattern() string {
	part := `[^@` + class(func(r rune) bool { return barred(r) || unseen(r) }) + `]+`
	return `^` + part + `@` + part + `$`
}

// TokenPattern is of what a payment provider gives out.
const TokenPattern = `^[!-~]{1,200}$` //nolint:gosec // it is no token

// class lists the characters of a kind as a regular expression does between brackets. Those below U+0100 are escaped in the one way
// that every engine knows, the others stand there as they are.
func class(of func(rune) bool) string {
	var b strings.Builder
	write := func(r rune) {
		if r < 0x100 {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !of(r) || r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		first := r
		for r < unicode.MaxRune && of(r+1) {
			r++
		}
		write(first)
		if r > first {
			b.WriteByte('-')
			write(r)
		}
	}
	return b.String()
}
