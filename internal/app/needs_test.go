package app

import (
	"testing"

	"github.com/daybook-dev/daybook/internal/secrets"
)

// Each role has the secrets that it needs, and no other; a new role has none until it is listed here.
func TestRolesNeedFewSecrets(t *testing.T) {
	want := map[string]secrets.Need{
		RoleCommandAPI: secrets.InstallationKey | secrets.KeyEncryptionKey, RoleQueryAPI: secrets.KeyEncryptionKey,
		RoleReactors: secrets.KeyEncryptionKey, RolePostgres: secrets.PostgresPassword,
	}
	for _, role := range AllRoles() {
		if got := needs([]string{role}); got != want[role] {
			t.Errorf("%s needs %03b, want %03b", role, got, want[role])
		}
	}
}
