package text_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/kit/text"
)

// cards are the schemes' published test numbers.
var cards = []string{
	"4111111111111111", "4242424242424242", "4222222222222", "4012888888881881", "4000000000000000006", "5555555555554444", "5105105105105100",
	"2223003122003222", "378282246310005", "371449635398431", "6011111111111117", "6011000990139424", "30569309025904", "38520000023237",
	"3530111333300000", "3566002020360505", "6200000000000005", "6759649826438453", "5019717010103742", "6304000000000000", "6362970000457013",
}

// scripts begin the digits of several scripts; circled ones begin with 1.
var scripts = []rune{'0', '０', '٠', '۰', '०', '০', '𝟎', '𝟘'}

func TestCardNumbersAreFound(t *testing.T) {
	for _, number := range cards {
		for _, s := range []string{
			number, " " + number + " ", "card:" + number + ".", "tok_" + number, number + "_x", "x" + number + "x", "(" + number + ")", "12 " + number, number + " 12/28 123",
			strings.Join(strings.Split(number, ""), " "), strings.Join(strings.Split(number, ""), "_"), strings.Join(strings.Split(number, ""), "\u00a0"),
			number[:4] + " - " + number[4:], number[:4] + "\t" + number[4:8] + "/" + number[8:], number[:4] + "\u200b" + number[4:8] + "\u2060.\u2060" + number[8:],
			number[:4] + "😀" + number[4:], number[:6] + "\r\n" + number[6:],
		} {
			if !text.Card(s) {
				t.Errorf("%q passes", s)
			}
		}
		for _, zero := range scripts {
			s := strings.Map(func(r rune) rune { return zero + r - '0' }, number)
			if !text.Card(s) || !text.CardID(s) {
				t.Errorf("%q passes", s)
			}
		}
		if !text.CardID(number) || !text.CardID("order-"+number) || !text.CardID(number[:4]+"-"+number[4:8]+"_"+number[8:]) {
			t.Errorf("an id with %s passes", number)
		}
	}
	if !text.Card("④①①①①①①①①①①①①①①①") {
		t.Error("circled digits pass")
	}
	if !text.Card("99411111111111111112") {
		t.Error("a card's number between other digits passes")
	}
}

// A card's number is found whatever is round it and between its digits.
func TestCardNumbersAreFoundInAnyText(t *testing.T) {
	letters := rapid.StringOfN(rapid.RuneFrom(nil, unicode.L), 0, 30, -1)
	separators := rapid.StringOfN(rapid.RuneFrom([]rune(" -_./\t\n\u00a0\u200b\u2013,:;*#|'\"()"), unicode.P, unicode.Zs), 0, 5, -1)
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString(rapid.String().Draw(t, "before") + letters.Draw(t, "letters") + " ")
		for i, r := range rapid.SampledFrom(cards).Draw(t, "number") {
			if i > 0 {
				b.WriteString(separators.Draw(t, "separators"))
			}
			b.WriteRune(rapid.SampledFrom(scripts).Draw(t, "script") + r - '0')
		}
		b.WriteString(" " + letters.Draw(t, "more") + rapid.String().Draw(t, "after"))
		if s := b.String(); !text.Card(s) {
			t.Fatalf("%q passes", s)
		}
	})
}

// A number whose length and check digit are a card's is taken for one in a free text, whichever network issues such numbers.
func TestAnyNumberThatPassesTheCheckIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[1-9][0-9]{11,17}`).Draw(t, "digits")
		number += checkDigit(number)
		if !text.Card("it is " + number) {
			t.Fatalf("%s passes", number)
		}
	})
}

func checkDigit(digits string) string {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return strconv.Itoa((10 - sum%10) % 10)
}

func TestOtherNumbersAreNoCards(t *testing.T) {
	for _, s := range []string{
		"", "4111111111111112", "411111111111", "0000000000000000", "4111 1111 letters 1111 1111", "2011-01-04 10:00:00 and 12:30",
		"tok_slow_500", "N1 1AA", "12 High Street, London", "1000001", "+44 20 7946 0958", "00000000000000000000",
	} {
		if text.Card(s) {
			t.Errorf("%q is taken for a card", s)
		}
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's
	for range 100_000 {
		var b [16]byte
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		if s := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]); text.CardID(s) {
			t.Fatalf("the UUID %s is taken for a card", s)
		}
	}
	for n := range int64(1000) { // milliseconds since 1970 in the years to come
		if s := fmt.Sprint("order-", 1_790_000_000_000+n*12_345_678); text.CardID(s) {
			t.Fatalf("%s is taken for a card", s)
		}
	}
}

func TestTradeItemsAndTelephones(t *testing.T) {
	for s, want := range map[string]bool{"4006381333931": true, "5012345678900": true, "05012345678900": true, "4006381333932": false, "400638133393": false, "4222222222222": false, "": false} {
		if text.GTIN(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
	for s, want := range map[string]bool{"+49 151 23456789": true, "+44 (20) 7946-0958": true, "+4111111111111111": false, "4111111111111": false, "+49": false} {
		if text.Phone(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func FuzzCard(f *testing.F) {
	f.Add("a", "b", 0)
	f.Fuzz(func(t *testing.T, before, after string, which int) {
		number := cards[(which%len(cards)+len(cards))%len(cards)]
		if s := before + " " + number + " " + after; !text.Card(s) {
			t.Errorf("%q passes", s)
		}
	})
}

func BenchmarkCard(b *testing.B) {
	digits := strings.Repeat("4111111111111112 ", 1000)
	b.SetBytes(int64(len(digits)))
	for b.Loop() {
		text.Card(digits)
	}
}
