//go:build mutant

package mutant

import (
	"fmt"
	"os"
	"slices"
)

// awake is read as the program starts, so that a misspelt name cannot pass for a mutant that nobody notices.
var awake = chosen()

func chosen() Name {
	n := Name(os.Getenv("DAYBOOK_MUTANT"))
	if n != "" && !slices.Contains(All(), n) {
		fmt.Fprintf(os.Stderr, "DAYBOOK_MUTANT: there is no mutant %q; there are:\n", n)
		for _, known := range All() {
			fmt.Fprintln(os.Stderr, "\t"+known)
		}
		os.Exit(2)
	}
	return n
}

// On tells whether the program is to be wrong in this way.
func On(n Name) bool { return n == awake }
