package text

import (
	"regexp"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Card tells whether a free text holds the number of a payment card, whatever is written round it: 13 to 19 digits of any script
// that pass Luhn's check, with up to separators characters that are not letters between any two of them. Where further digits
// adjoin them, they must also begin as the numbers of a card scheme do and be as long.
func Card(s string) bool { return scan(s, false) }

// CardID does the same for an id, which may be many digits for reasons of its own: digits count as a card's only if they begin as
// a card scheme's do, are as long, and no other digits adjoin them.
func CardID(s string) bool { return !uuid.MatchString(s) && scan(s, true) }

// mostSeparators is how many characters may stand between two digits of one number.
const mostSeparators = 5

var (
	uuid  = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	phone = regexp.MustCompile(`^\+([ ()./-]*[0-9]){8,13}[ ()./-]*$`)
	gtin  = regexp.MustCompile(`^[0-9]{13,14}$`)
)

// Phone tells whether s is an international telephone number that is too short for any card number that is still issued.
func Phone(s string) bool { return phone.MatchString(s) }

// GTIN tells whether s is a trade item number (EAN-13, GTIN-14) by its check digit.
func GTIN(s string) bool {
	if !gtin.MatchString(s) {
		return false
	}
	sum := 0
	for i := range len(s) {
		weight := 1
		if (len(s)-i)%2 == 0 {
			weight = 3
		}
		sum += weight * int(s[i]-'0')
	}
	return sum%10 == 0
}

const shortest, longest = 13, 19

// run is digits that may belong to one number, since no letter and few characters stand between them.
type run struct {
	digits []int8
	begins []bool // nothing but what is no digit comes before it
	// sums are Luhn's over the first digits: with every digit at an odd place doubled, and at an even one.
	sums [2][]int
}

func (r *run) add(digit int8, begins bool) {
	i := len(r.digits)
	r.digits, r.begins = append(r.digits, digit), append(r.begins, begins)
	doubled := 2 * int(digit)
	if doubled > 9 {
		doubled -= 9
	}
	for odd := range 2 {
		d := int(digit)
		if i%2 != odd {
			d = doubled
		}
		before := 0
		if i > 0 {
			before = r.sums[odd][i-1]
		}
		r.sums[odd] = append(r.sums[odd], before+d)
	}
}

func (r *run) reset() { *r = run{r.digits[:0], r.begins[:0], [2][]int{r.sums[0][:0], r.sums[1][:0]}} }

// What of a text matters to scan, beside digits.
const (
	separator int8 = -1 - iota
	letter
)

// symbols reads a text as digits, separators and letters. What is a digit but for its look counts as one: a circled one, say.
func symbols(s string) []int8 {
	out := make([]int8, 0, len(s))
	for _, r := range s {
		if d, ok := digit(r); ok {
			out = append(out, d)
			continue
		}
		digits := len(out)
		if r > unicode.MaxLatin1 {
			for _, part := range norm.NFKC.String(string(r)) {
				if d, ok := digit(part); ok {
					out = append(out, d)
				}
			}
		}
		switch {
		case len(out) > digits:
		case unicode.IsLetter(r):
			out = append(out, letter)
		default:
			out = append(out, separator)
		}
	}
	return out
}

// scan goes once over s and looks at the numbers that end at each digit.
func scan(s string, id bool) bool {
	if len(s) < shortest {
		return false
	}
	var r run
	gap := 0
	all := symbols(s)
	for i, d := range all {
		if d < 0 {
			if gap++; d == letter || gap > mostSeparators {
				r.reset()
			}
			continue
		}
		r.add(d, gap > 0 || len(r.digits) == 0)
		gap = 0
		if r.card(i+1 == len(all) || all[i+1] < 0, id) {
			return true
		}
	}
	return false
}

// card tells whether a number ends with the last digit. ends: no further digit adjoins it.
func (r *run) card(ends, id bool) bool {
	last := len(r.digits) - 1
	sums := r.sums[last%2] // the last digit is not doubled
	for n := shortest; n <= min(last+1, longest); n++ {
		first, sum := last+1-n, sums[last]
		if first > 0 {
			sum -= sums[first-1]
		}
		if sum%10 != 0 || sum == 0 { // nothing but zeros is no number
			continue
		}
		whole := ends && r.begins[first]
		if whole && !id || (whole || !id) && scheme(r.digits[first:], n) {
			return true
		}
	}
	return false
}

// scheme tells whether digits begin as a card scheme's numbers of n digits do (ISO/IEC 7812, ranges as the schemes publish them).
func scheme(digits []int8, n int) bool {
	prefix := 0
	for _, d := range digits[:4] {
		prefix = prefix*10 + int(d)
	}
	two := prefix / 100
	switch {
	case prefix/1000 == 4: // Visa
		return n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55, prefix >= 2221 && prefix <= 2720: // Mastercard
		return n == 16
	case two == 34, two == 37: // American Express
		return n == 15
	case prefix >= 3528 && prefix <= 3589: // JCB
		return n >= 16
	case two == 30, two == 36, two == 38, two == 39: // Diners Club
		return n >= 14
	case prefix == 2014, prefix == 2149: // Diners Club enRoute
		return n == 15
	case prefix >= 2200 && prefix <= 2205: // Mir
		return n >= 16
	case prefix == 9792: // Troy
		return n == 16
	case two == 81, two == 82: // RuPay
		return n == 16
	case two == 50, two >= 56 && two <= 59, prefix/1000 == 6: // Maestro, Discover, UnionPay, RuPay, Elo, Hipercard
		return true
	}
	return false
}

// digit is the value of a decimal digit of any script.
func digit(r rune) (int8, bool) {
	if r <= unicode.MaxLatin1 {
		return int8(r - '0'), r >= '0' && r <= '9' //nolint:gosec // it is a digit then
	}
	if !unicode.Is(unicode.Nd, r) {
		return 0, false
	}
	zero := r // the ten digits of a script follow one another, and only those of the mathematical alphabets follow others
	for unicode.Is(unicode.Nd, zero-1) {
		zero--
	}
	return int8((r - zero) % 10), true //nolint:gosec // below 10
}
