package onlineretail

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// bazaar is a file of so many invoices of a few products and buyers, with shipping and credits.
func bazaar(invoices int) string {
	odds := rand.New(rand.NewPCG(7, 11)) //nolint:gosec // a test
	var file strings.Builder
	file.WriteString(Header + "\n")
	for i := range invoices {
		at := time.Date(2011, 1, 1, 9, 10*i, 0, 0, time.UTC).Format("2006-01-02 15:04:05")
		customer := strconv.Itoa(100 + odds.IntN(20))
		line := func(invoice, sku string, quantity, price int) {
			fmt.Fprintf(&file, "%s,%s,Thing %s,%d,%s,%d.00,%s,France\n", invoice, sku, sku, quantity, at, price, customer)
		}
		for j := range 1 + odds.IntN(6) {
			line(strconv.Itoa(500000+i), fmt.Sprintf("S%d%d", j, odds.IntN(3)), 1+odds.IntN(5), 1+odds.IntN(3))
		}
		line(strconv.Itoa(500000+i), "BACK", 5, 9)
		if i%7 == 0 {
			line(strconv.Itoa(500000+i), "POST", 1, 3)
		}
		if i%5 == 0 {
			line(fmt.Sprint("C", 500000+i), "BACK", -1-odds.IntN(4), 9)
		}
	}
	return file.String()
}

// streams is what each stream of the domain says, in its order, but for when it was recorded.
func (w world) streams() map[string][]string {
	w.t.Helper()
	all := map[string][]string{}
	for r, err := range w.store.ReadAll(w.t.Context(), 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		all[r.Stream.String()] = append(all[r.Stream.String()], fmt.Sprintf("%s %s", r.Type, r.Data))
	}
	return all
}
