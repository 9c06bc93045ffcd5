package eventserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// Config says what Start starts. Only Dir is required.
type Config struct {
	// Dir is the data directory; it is created if absent. One server at a time.
	Dir string
	// Listen is the TCP address to serve on; default "127.0.0.1:0", a free port.
	Listen string
	// Socket is the path of a Unix socket to serve on as well; default none.
	Socket string
	// Advertise is the host:port that gossip tells clients, where it is not the one served; default Addr.
	Advertise string
	// Logger takes the server's messages; default none.
	Logger *slog.Logger
	// Registerer takes the server's metrics; default none.
	Registerer prometheus.Registerer
	// TLS makes the server a secured one: it speaks TLS only, within the process too, and asks who calls. Default none: an
	// insecure server, on which everybody may do everything.
	TLS *tls.Config
	// CertFile and KeyFile, PEM, may be given in place of TLS.
	CertFile, KeyFile string
	// AdminPassword and OpsPassword are those that the users admin and ops get when a secured server first starts on a data
	// directory; default "changeit". Later they change nothing.
	AdminPassword, OpsPassword string
	// PasswordsHold makes those the passwords of admin and ops at every start, whatever they were.
	PasswordsHold bool
	// Shutdown is called, in a goroutine of its own, when an operator asks over the network that the server end; it should
	// end the program, or Close the server. Default none: such a request is refused.
	Shutdown func()
	// MaxAppendBytes bounds one append: types, data and metadata of its events; default 1 MiB.
	MaxAppendBytes int
	// Store tunes the storage engine; its Dir, Logger and Metrics are set from the fields above.
	Store store.Config
}

const (
	defaultMaxAppend = 1 << 20
	defaultPassword  = "changeit"
)

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("event store server: no data directory given")
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxAppendBytes == 0 {
		c.MaxAppendBytes = defaultMaxAppend
	}
	if c.MaxAppendBytes < 0 || c.MaxAppendBytes > math.MaxInt32/4 {
		return c, errors.New("event store server: MaxAppendBytes must be between 1 and 512 MiB")
	}
	if c.CertFile != "" || c.KeyFile != "" {
		if c.TLS != nil {
			return c, errors.New("event store server: CertFile and KeyFile are given beside TLS")
		}
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return c, fmt.Errorf("event store server: load its certificate: %w", err)
		}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if c.AdminPassword == "" {
		c.AdminPassword = defaultPassword
	}
	if c.OpsPassword == "" {
		c.OpsPassword = defaultPassword
	}
	c.Store.Dir, c.Store.Logger = c.Dir, c.Logger
	return c, nil
}
