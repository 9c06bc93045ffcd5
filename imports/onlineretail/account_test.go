package onlineretail

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever is in a file, each of its records is accounted for once: an order line, shipping, a return or a reject, on the physical
// line where it begins; and no physical line belongs to two records or to none.
func TestEveryLineIsAccountedForOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.Custom(func(t *rapid.T) string {
			quantity := rapid.SampledFrom([]int{1, 2, 6, 0, -1, 1_000_000, 1_000_001}).Draw(t, "quantity")
			at := time.Date(2011, 3, 27, rapid.IntRange(0, 23).Draw(t, "hour"), 5, 0, 0, time.UTC).Format("2006-01-02 15:04:05")
			text := fmt.Sprintf("%s50000%d,%s,%s,%d,%s,%s,%s,%s",
				rapid.SampledFrom([]string{"", "", "", "C", "A"}).Draw(t, "kind"), rapid.IntRange(1, 5).Draw(t, "invoice"),
				rapid.SampledFrom([]string{"A", "B", "POST", "M", ""}).Draw(t, "sku"),
				rapid.SampledFrom([]string{"Apple", `"Pear, ""large"""`, "\"Two\r\nlines\"", `"open`, `a"b`, `"a"b`, ""}).Draw(t, "name"), quantity, at,
				rapid.SampledFrom([]string{"1.00", "2.5", "0", "-1", "1.001", "90071992547409.91", "99999999999999999999"}).Draw(t, "price"),
				rapid.SampledFrom([]string{"1.0", "2", "", "x"}).Draw(t, "customer"),
				rapid.SampledFrom([]string{"France", "EIRE", "Atlantis"}).Draw(t, "country"))
			switch cut := rapid.IntRange(0, 200).Draw(t, "cut"); {
			case cut < len(text) && cut%3 == 0:
				return text[:cut]
			case cut < len(text) && cut%3 == 1:
				return text[:cut] + `"` + text[cut:]
			}
			return text
		})
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		file := Header + end + strings.Join(rapid.SliceOfN(line, 1, 40).Draw(t, "lines"), end) + end
		h, err := Read(strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		var seen []int
		for _, r := range h.Rejects {
			seen = append(seen, r.Line)
		}
		for _, o := range h.Orders {
			for _, l := range o.source() {
				seen = append(seen, l.n)
			}
		}
		for _, r := range h.Returns {
			for _, l := range r.Lines {
				seen = append(seen, l.Source)
			}
		}
		slices.Sort(seen)
		all, err := readPhysical(strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		var want []int
		for at := 1; at < len(all); {
			rec := nextRecord(all, at)
			if rec.n != at+1 || rec.lines < 1 {
				t.Fatalf("the record at line %d is %+v", at+1, rec)
			}
			want = append(want, rec.n)
			at += rec.lines
		}
		if !slices.Equal(seen, want) || h.Lines != len(want) {
			t.Fatalf("records begin on %v, accounted for are %v, counted %d\n%s", want, seen, h.Lines, file)
		}
	})
}
