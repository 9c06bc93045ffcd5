package eventserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver"
)

// certificate is a fresh self-signed one for loopback.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLSAndUsers(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	s := start(t, func(cfg *eventserver.Config) {
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		cfg.Users = map[string]string{"admin": "changeit", "empty": ""}
	})
	for _, x := range []struct {
		user, password string
		ok             bool
	}{{"admin", "changeit", true}, {"admin", "wrong", false}, {"nobody", "", false}, {"nobody", "changeit", false}, {"", "", false}} {
		cfg, err := esdb.ParseConnectionString(fmt.Sprintf("esdb://%s?tls=true", s.Addr()))
		must(t, err)
		cfg.RootCAs, cfg.Username, cfg.Password = pool, x.user, x.password
		cfg.Logger = func(esdb.LogLevel, string, ...any) {}
		c, err := esdb.NewClient(cfg)
		must(t, err)
		defer c.Close()
		_, err = c.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, event(1))
		if ok := err == nil; ok != x.ok || !ok && code(err) != esdb.ErrorCodeUnauthenticated {
			t.Errorf("append as %q/%q: %v", x.user, x.password, err)
		}
		err = firstOf(t, c, "s")
		if ok := err == nil; ok != x.ok {
			t.Errorf("read as %q/%q: %v", x.user, x.password, err)
		}
		err = c.CreatePersistentSubscription(within(t), "s", "g", esdb.PersistentStreamSubscriptionOptions{})
		if ok := err == nil; ok != x.ok {
			t.Errorf("create a group as %q/%q: %v", x.user, x.password, err)
		}
	}
	cfg, err := esdb.ParseConnectionString(fmt.Sprintf("esdb://%s?tls=false&maxDiscoverAttempts=1", s.Addr()))
	must(t, err)
	cfg.Logger = func(esdb.LogLevel, string, ...any) {}
	plain, err := esdb.NewClient(cfg)
	must(t, err)
	defer plain.Close()
	if _, err := plain.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, event(1)); err == nil {
		t.Error("a client without TLS was served")
	}
}
