//go:build !failpoint

package failpoint

// Armed tells whether the build hits anything.
const Armed = false

// Hit does nothing in an ordinary build.
func Hit(Name) {}
