package secrets

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// EventStoreUser is the user as whom we call the embedded event store.
const EventStoreUser = "admin"

const (
	eventStorePassword    = "eventstore.password"
	eventStoreCertificate = "eventstore.crt"
	eventStoreKey         = "eventstore.pem"
)

// EventStore is what the embedded event store needs to ask who calls.
type EventStore struct {
	Password string
	// KeyPair is a file with its certificate, which vouches for itself, and its key; Certificate one with the certificate alone, for
	// clients.
	KeyPair, Certificate string
}

// LoadEventStore reads the secrets of the embedded event store, and makes those that are missing.
func LoadEventStore(dir string) (s EventStore, err error) {
	if s.Password, err = Text(filepath.Join(dir, eventStorePassword)); err != nil {
		return s, fmt.Errorf("password of the event store: %w", err)
	}
	s.KeyPair, s.Certificate = filepath.Join(dir, eventStoreKey), filepath.Join(dir, eventStoreCertificate)
	pair, err := keep(s.KeyPair, keyPair)
	if err != nil {
		return s, fmt.Errorf("certificate of the event store: %w", err)
	}
	block, _ := pem.Decode([]byte(pair))
	if block == nil || block.Type != "CERTIFICATE" {
		return s, fmt.Errorf("certificate of the event store: %s does not begin with one", s.KeyPair)
	}
	if _, err := keep(s.Certificate, func() ([]byte, error) { return pem.EncodeToMemory(block), nil }); err != nil {
		return s, fmt.Errorf("certificate of the event store: %w", err)
	}
	return s, nil
}

// keyPair makes a certificate that vouches for itself, for this machine, and its key.
func keyPair() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	const years = 20
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "daybook event store"},
		NotBefore: time.Now().AddDate(0, 0, -1), NotAfter: time.Now().AddDate(years, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		template.DNSNames = append(template.DNSNames, name)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})...), nil
}

// Address is the embedded event store's connection string, without user and password: those who may read the secrets add them.
func (s EventStore) Address(host string) string {
	path := (&url.URL{Path: s.Certificate}).EscapedPath()
	return "esdb://" + host + "?tls=true&tlsCaFile=" + strings.NewReplacer("&", "%26", "+", "%2B", ";", "%3B").Replace(path)
}

// WithLogin adds user and password to the connection string of an embedded event store: they are beside the certificate that it
// names. Any other one stays as it is.
func WithLogin(connection string) (string, error) {
	u, err := url.Parse(connection)
	if err != nil || u.User != nil {
		return connection, nil //nolint:nilerr // connecting reports what is wrong with it
	}
	certificate := u.Query().Get("tlsCaFile")
	if filepath.Base(certificate) != eventStoreCertificate {
		return connection, nil
	}
	password, err := read(filepath.Join(filepath.Dir(certificate), eventStorePassword))
	if err != nil {
		return "", fmt.Errorf("password of the event store: %w", err)
	}
	scheme, rest, _ := strings.Cut(connection, "://")
	return scheme + "://" + url.UserPassword(EventStoreUser, password).String() + "@" + rest, nil
}
