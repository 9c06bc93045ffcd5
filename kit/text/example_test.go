package text_test

import (
	"fmt"

	"github.com/daybook-dev/daybook/kit/text"
)

func Example() {
	fmt.Printf("%q\n", text.Clean("  Ada "))
	fmt.Println(text.Check("a\u200bb", 10) != nil) // invisible
	fmt.Println(text.Card("call 4111 1111 1111 1111"))
	// Output:
	// "Ada"
	// true
	// true
}
