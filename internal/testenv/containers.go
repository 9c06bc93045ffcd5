package testenv

import "testing"

func (s *Servers) contained(t testing.TB) {
	t.Helper()
	t.Skip("SKIP: no servers in containers")
}
