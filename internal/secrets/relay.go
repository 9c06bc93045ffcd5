package secrets

import (
	"fmt"
	"path/filepath"
)

// RelayKeys makes relay.key in dir if it is not there, and gives what reads it: the keys by which the relay signs its
// messages and consumers verify them. The first signs, all verify. To change the key, add the new one below the old one on
// every machine, then move it to the first line, then remove the old one. Only the relay, the engines that read the topic and the
// doctor need it.
func RelayKeys(dir string) (read func() ([][]byte, error), err error) {
	path := filepath.Join(dir, "relay.key")
	if _, err := keys(dir, "", "relay.key"); err != nil {
		return nil, fmt.Errorf("relay key: %w", err)
	}
	return func() ([][]byte, error) { return keys(dir, path, "") }, nil
}
