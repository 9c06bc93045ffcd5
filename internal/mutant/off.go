//go:build !mutant

package mutant

// On is false in an ordinary build.
func On(Name) bool { return false }
