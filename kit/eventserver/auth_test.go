package eventserver_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"golang.org/x/sync/errgroup"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/internal/testenv/output"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// certificate writes a fresh self-signed one for loopback, and gives those who trust it.
func certificate(t *testing.T) (certFile, keyFile string, trust *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	clienttest.Must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	clienttest.Must(t, err)
	leaf, err := x509.ParseCertificate(der)
	clienttest.Must(t, err)
	secret, err := x509.MarshalECPrivateKey(key)
	clienttest.Must(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	clienttest.Must(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	clienttest.Must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600))
	trust = x509.NewCertPool()
	trust.AddCert(leaf)
	return certFile, keyFile, trust
}

// client connects as somebody, with the trust that it is given.
func client(t *testing.T, connection string, trust *x509.CertPool) *esdb.Client {
	t.Helper()
	return clienttest.Connect(t, connection, func(cfg *esdb.Configuration) { cfg.RootCAs = trust })
}

func tryAppend(t *testing.T, c *esdb.Client) error {
	t.Helper()
	_, err := c.AppendToStream(clienttest.Within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, clienttest.Event(1))
	return err
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, trust := certificate(t)
	s := start(t, func(cfg *eventserver.Config) {
		cfg.CertFile, cfg.KeyFile, cfg.AdminPassword = cert, key, "first"
	})
	for _, x := range []struct {
		login, password string
		ok              bool
	}{{"admin", "first", true}, {"ops", "changeit", true}, {"admin", "changeit", false}, {"nobody", "changeit", false}} {
		c := client(t, fmt.Sprintf("esdb://%s:%s@%s?tls=true", x.login, x.password, s.Addr()), trust)
		err := tryAppend(t, c)
		if ok := err == nil; ok != x.ok || !ok && clienttest.Code(err) != esdb.ErrorCodeUnauthenticated {
			t.Errorf("append as %q/%q: %v", x.login, x.password, err)
		}
	}
	if err := tryAppend(t, client(t, "esdb://admin:first@"+s.Addr()+"?tls=true&maxDiscoverAttempts=1", nil)); err == nil {
		t.Error("an untrusted certificate was taken")
	}
	if err := tryAppend(t, client(t, "esdb://admin:first@"+s.Addr()+"?tls=false&maxDiscoverAttempts=1", nil)); err == nil {
		t.Error("a client without TLS was served")
	}
}

func TestCertificateConfig(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	for _, cfg := range []eventserver.Config{{CertFile: cert}, {KeyFile: key}, {CertFile: key, KeyFile: cert}, {CertFile: cert, KeyFile: filepath.Join(t.TempDir(), "absent")}} {
		cfg.Dir = t.TempDir()
		if s, err := eventserver.Start(t.Context(), cfg); err == nil {
			_ = s.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

// TestFirstUsers: admin and ops get their passwords when a secured server first starts on a directory, whatever it held
// before, and never again, even if somebody deleted them.
func TestFirstUsers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := &output.Buffer{}
	at := func(cfg *eventserver.Config) {
		cfg.Dir = dir
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s := start(t, at)
	clienttest.Append(t, connect(t, s), "s", esdb.NoStream{}, clienttest.Event(0))
	clienttest.Must(t, s.Close())
	if strings.Contains(log.String(), "everybody knows") {
		t.Error("an insecure server created users")
	}
	s = start(t, at, secured(t), func(cfg *eventserver.Config) { cfg.OpsPassword = "mine" })
	if text := log.String(); strings.Count(text, "everybody knows") != 1 || !strings.Contains(text, "user=admin") {
		t.Errorf("the default password was not warned of: %s", text)
	}
	admin := client(t, as(s, "admin", "changeit"), nil)
	clienttest.Must(t, tryAppend(t, admin))
	clienttest.Must(t, tryAppend(t, client(t, as(s, "ops", "mine"), nil)))
	_, err := admin.DeleteStream(clienttest.Within(t), "$user-ops", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
	clienttest.Must(t, err)
	clienttest.Must(t, s.Close())
	s = start(t, at, secured(t), func(cfg *eventserver.Config) { cfg.AdminPassword, cfg.OpsPassword = "other", "other" })
	clienttest.Must(t, tryAppend(t, client(t, as(s, "admin", "changeit"), nil)))
	for _, who := range [][2]string{{"admin", "other"}, {"ops", "mine"}, {"ops", "other"}} {
		if err := tryAppend(t, client(t, as(s, who[0], who[1]), nil)); clienttest.Code(err) != esdb.ErrorCodeUnauthenticated {
			t.Errorf("%s with the password %s: %v", who[0], who[1], err)
		}
	}
}

// TestPasswordsThatHold: the operator who starts the server with passwords that hold is let in with them, whatever became of the users.
func TestPasswordsThatHold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holding := func(password string) *eventserver.Server {
		return start(t, secured(t), func(cfg *eventserver.Config) {
			cfg.Dir, cfg.AdminPassword, cfg.OpsPassword, cfg.PasswordsHold = dir, password, password, true
		})
	}
	s := holding("first")
	admin := client(t, as(s, "admin", "first"), nil)
	clienttest.Must(t, tryAppend(t, admin))
	for _, user := range []string{"$user-ops", "$user-admin"} {
		_, err := admin.DeleteStream(clienttest.Within(t), user, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
		clienttest.Must(t, err)
	}
	clienttest.Must(t, s.Close())
	for _, password := range []string{"first", "second"} {
		s = holding(password)
		for _, user := range []string{"admin", "ops"} {
			clienttest.Must(t, tryAppend(t, client(t, as(s, user, password), nil)))
		}
		if err := tryAppend(t, client(t, as(s, "admin", "another"), nil)); clienttest.Code(err) != esdb.ErrorCodeUnauthenticated {
			t.Errorf("another password: %v", err)
		}
		clienttest.Must(t, s.Close())
	}
}

// TestWrongPasswords: however fast somebody tries passwords, others are served, and no password reaches the log.
func TestWrongPasswords(t *testing.T) {
	t.Parallel()
	log := &output.Buffer{}
	s := start(t, secured(t), func(cfg *eventserver.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	admin := client(t, as(s, "admin", "changeit"), nil)
	clienttest.Must(t, tryAppend(t, admin))
	intruder := client(t, as(s, "admin", "changeit"), nil)
	var g errgroup.Group
	for i := range 8 {
		g.Go(func() error {
			for n := range 60 {
				_, err := intruder.AppendToStream(clienttest.Within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{},
					Authenticated: &esdb.Credentials{Login: "admin", Password: fmt.Sprintf("guess-%d-%d", i, n)}}, clienttest.Event(1))
				if clienttest.Code(err) != esdb.ErrorCodeUnauthenticated {
					return fmt.Errorf("a guess: %w", err)
				}
			}
			return nil
		})
	}
	for range 50 {
		clienttest.Must(t, tryAppend(t, admin))
	}
	clienttest.Must(t, g.Wait())
	for _, secret := range []string{"guess-", "changeit"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// TestStrangeACL: a list that cannot be understood is refused; if it was stored unchecked, it lets only admins in.
func TestStrangeACL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(cfg *eventserver.Config) { cfg.Dir = dir }
	s := start(t, at)
	c := connect(t, s)
	describe := func(c *esdb.Client, stream, json string) error {
		e := clienttest.Event(0)
		e.EventType, e.Data = "$metadata", []byte(json)
		_, err := c.AppendToStream(clienttest.Within(t), stream, esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, e)
		return err
	}
	strange := []string{`{"$acl":7}`, `{"$acl":null}`, `{"$acl":[]}`, `{"$acl":"$admins"}`, `{"$acl":{"$r":7}}`, `{"$acl":{"$r":null}}`, `{"$acl":{"$r":[7]}}`,
		`{"$acl":{"$r":{"a":"b"}}}`, `{"$acl":{"$R":"a"}}`, `{"$acl":{"$r":["` + strings.Repeat("x", 5000) + `"]}}`,
		`{"$acl":{"$r":[` + string(bytes.Repeat([]byte(`"a",`), 5000)) + `"b"]}}`}
	for i, json := range strange {
		stream := fmt.Sprintf("strange-%d", i)
		clienttest.Append(t, c, stream, esdb.NoStream{}, clienttest.Event(0))
		clienttest.Must(t, describe(c, "$$"+stream, json))
	}
	clienttest.Must(t, s.Close())
	s = start(t, at, secured(t))
	admin, ops := client(t, as(s, "admin", "changeit"), nil), client(t, as(s, "ops", "changeit"), nil)
	for i, json := range strange {
		stream := fmt.Sprintf("strange-%d", i)
		if err := clienttest.FirstOf(t, ops, stream); clienttest.Code(err) != esdb.ErrorCodeAccessDenied {
			t.Errorf("%.40s: read by a user: %v", json, err)
		}
		clienttest.Must(t, clienttest.FirstOf(t, admin, stream))
		if err := describe(admin, "$$"+stream, json); err == nil || !strings.Contains(err.Error(), "cannot be understood") {
			t.Errorf("%.40s was accepted: %v", json, err)
		}
		clienttest.Must(t, describe(admin, "$$"+stream, `{"$acl":{"$r":[]},"other":{"$r":7}}`))
		clienttest.Must(t, describe(admin, "$$"+stream, `{"mine":1}`))
		clienttest.Must(t, clienttest.FirstOf(t, ops, stream))
	}
	if err := describe(admin, "$settings", `{"$userStreamAcl":7}`); err == nil {
		t.Error("strange settings were accepted")
	}
}
