package runtime

import (
	"testing"

	"github.com/daybook-dev/daybook/internal/secrets"
)

// Each role has the secrets that it needs, and no other; one of the domain's own by what it does.
func TestRolesNeedFewSecrets(t *testing.T) {
	d := Domain{APIs: []API{{Role: "command-api", Decides: true}, {Role: "query-api", Reads: true}, {Role: "gateway", Address: addressAPI}}}
	want := map[string]secrets.Need{
		"command-api": secrets.InstallationKey | secrets.KeyEncryptionKey, "query-api": secrets.KeyEncryptionKey,
		RoleReactors: secrets.KeyEncryptionKey, RolePostgres: secrets.PostgresPassword,
	}
	for _, role := range d.Roles() {
		if got := d.needs([]string{role}); got != want[role] {
			t.Errorf("%s needs %03b, want %03b", role, got, want[role])
		}
	}
}
