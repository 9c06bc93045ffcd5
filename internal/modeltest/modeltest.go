// Package modeltest runs the packages whose tests try a model with random commands.
package modeltest

import (
	"flag"
	"os"
	"testing"
)

// Main is the TestMain of such a package: each model is tried with 2,000 sequences of commands, with 50,000 where DAYBOOK_LONG is set,
// or with as many as the flag rapid.checks says.
func Main(m *testing.M) {
	flag.Parse()
	checks := "2000"
	if os.Getenv("DAYBOOK_LONG") != "" {
		checks = "50000"
	}
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
