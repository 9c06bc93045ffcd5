package postgres

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// passfile opens the file of passwords that an address names, if there is no password from elsewhere. Clients pass over one that
// they cannot read, and the server then says only that the password is wrong.
func passfile(address string, cfg *pgx.ConnConfig) error {
	path := parameter(address, "passfile")
	if path == "" || cfg.Password != "" {
		return nil
	}
	f, err := os.Open(path) //nolint:gosec // the administrator names it
	if err != nil {
		return fmt.Errorf("file of passwords that the address of Postgres names (passfile): %w", err)
	}
	return f.Close()
}

// parameter gives what an address sets a parameter to, if it does: a URL, or pairs of key=value.
func parameter(address, name string) string {
	if u, err := url.Parse(address); err == nil && u.Scheme != "" {
		return u.Query().Get(name)
	}
	for pair := range strings.FieldsSeq(address) {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return strings.Trim(value, "'")
		}
	}
	return ""
}
