package iso_test

import (
	"fmt"

	"github.com/daybook-dev/daybook/kit/iso"
)

func Example() {
	decimals, ok := iso.Currency("JPY")
	fmt.Println(decimals, ok)
	fmt.Println(iso.Country("GB"), iso.Country("UK"))
	// Output:
	// 0 true
	// true false
}
