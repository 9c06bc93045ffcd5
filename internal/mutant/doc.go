// Package mutant tests the tests: testdata holds deliberate bugs, each a patch that breaks one promise, and each is caught by a named test.
//
// A patch is a unified diff without line numbers: what a hunk removes, with the lines around it, is in the file exactly once, or the
// patch does not apply. Patched files take the place of the program's with `go build -overlay`, so that the program itself knows of
// none of this.
//
// Which test catches which is a table in caught_test.go. `make mutants` runs it.
package mutant
