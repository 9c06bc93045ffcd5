package main

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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

// loopbackCertificate writes a fresh self-signed one.
func loopbackCertificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
	return certFile, keyFile
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEventstoreSecured: a secured server does for admins and operators what is theirs, and for no other user; no password is shown.
func TestEventstoreSecured(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := loopbackCertificate(t, dir)
	admin, ops, wrong := filepath.Join(dir, "admin"), filepath.Join(dir, "ops"), filepath.Join(dir, "wrong")
	write(t, admin, "hunter2-admin\n")
	write(t, ops, "hunter2-ops\n")
	write(t, wrong, "changeit\n")
	flags := []string{"--tls-cert", cert, "--tls-key", key, "--admin-password-file", admin, "--ops-password-file", ops, "--log-level", "debug"}
	s := serveStore(t, filepath.Join(dir, "data"), flags...)
	if s.said["Secured:"] == "" || !strings.HasPrefix(s.said["connect"], "esdb://USER:PASSWORD@127.0.0.1:") {
		t.Errorf("the banner says %v", s.said)
	}
	server := "esdb://" + s.said["listens"] + "?tls=true&tlsCAFile=" + cert
	as := func(user, file string) []string {
		return []string{"--eventstore", server, "--user", user, "--password-file", file}
	}
	c := clienttest.Connect(t, strings.Replace(server, "esdb://", "esdb://admin:hunter2-admin@", 1))
	for i := range 20 {
		if _, err := appendOne(clienttest.Within(t), c, "s", esdb.Any{}); err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
	}
	m := esdb.StreamMetadata{}
	m.SetMaxCount(5)
	if _, err := c.SetStreamMetadata(clienttest.Within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, m); err != nil {
		t.Fatal(err)
	}
	tarball := filepath.Join(dir, "b.tar")
	for _, x := range []struct {
		who  []string
		what []string
		ok   bool
	}{
		{[]string{"--eventstore", server}, []string{"backup", "--to", tarball}, false},
		{[]string{"--eventstore", server}, []string{"verify"}, false},
		{[]string{"--eventstore", server}, []string{"scavenge"}, false},
		{[]string{"--eventstore", server}, []string{"dump"}, false},
		{[]string{"--eventstore", server}, []string{"import"}, false},
		{as("admin", wrong), []string{"verify"}, false},
		{as("nobody", wrong), []string{"verify"}, false},
		{as("ops", wrong), []string{"verify"}, false},
		{as("ops", ops), []string{"backup", "--to", tarball}, false},
		{as("ops", ops), []string{"import"}, false},
		{as("ops", ops), []string{"dump"}, false},
		{as("ops", ops), []string{"verify"}, true},
		{as("admin", admin), []string{"backup", "--to", tarball}, true},
		{as("admin", admin), []string{"import"}, true},
		{as("admin", admin), []string{"dump"}, true},
		{as("ops", ops), []string{"scavenge"}, true},
	} {
		args := append(x.what, x.who...)
		out, errs, err := run(t, nil, args...)
		if (err == nil) != x.ok || !x.ok && !strings.Contains(errs, "the server refuses") {
			t.Errorf("%s: %v %s", strings.Join(args, " "), err, errs)
		}
		if x.ok && x.what[0] == "scavenge" && !strings.HasPrefix(out, "scavenged: 15 events of 1 streams") {
			t.Error(out)
		}
	}
	fails(t, "certificate", "verify", "--eventstore", "esdb://admin:hunter2-admin@"+s.said["listens"]+"?tls=true")
	s.stop(t)
	// The first passwords are those of a new store only, and none is needed for an old one. A restored one has the same users.
	does(t, nil, "restore", "--from", tarball, "--data-dir", filepath.Join(dir, "restored"))
	for _, data := range []string{"data", "restored"} {
		again := serveStore(t, filepath.Join(dir, data), flags[:4]...)
		connection := fmt.Sprintf("esdb://admin:hunter2-admin@%s?tls=true&tlsCAFile=%s", again.said["listens"], cert)
		does(t, nil, "verify", "--eventstore", connection)
		again.stop(t)
	}
	if said := s.errs.String() + fmt.Sprint(s.said); strings.Contains(said, "hunter2") {
		t.Errorf("a password is shown: %s", said)
	}
}

// TestEventstoreSocket: the store can be reached through a socket of its user's, also after a server that was killed left one behind.
func TestEventstoreSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "daybook") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	for range 2 {
		s := serveStore(t, filepath.Join(dir, "data"), "--socket", socket)
		if s.said["socket"] != "unix:"+socket {
			t.Errorf("the banner says %v", s.said)
		}
		does(t, strings.NewReader(dumpOf(10)), "import", "--eventstore", s.said["socket"])
		if out := does(t, nil, "dump", "--eventstore", s.said["socket"]); strings.Count(out, "\n") != 11 {
			t.Error(out)
		}
		if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
		fails(t, "--socket: another server listens", "serve", "--data-dir", filepath.Join(dir, "other"), "--listen", "127.0.0.1:0", "--admin-listen", "none", "--socket", socket)
		s.kill()
	}
	write(t, filepath.Join(dir, "file"), "x")
	fails(t, "--socket: ", "serve", "--data-dir", filepath.Join(dir, "other"), "--listen", "127.0.0.1:0", "--admin-listen", "none", "--socket", filepath.Join(dir, "file"))
}

// TestEventstoreScavenge: on a running server and on the directory of a stopped one.
func TestEventstoreScavenge(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := serveStore(t, dir)
	c := clienttest.Connect(t, s.said["connect"])
	for i := range 30 {
		if _, err := appendOne(clienttest.Within(t), c, fmt.Sprintf("s-%d", i%3), esdb.Any{}); err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
	}
	if _, err := c.DeleteStream(clienttest.Within(t), "s-0", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}}); err != nil {
		t.Fatal(err)
	}
	if out := does(t, nil, "scavenge", "--eventstore", s.said["connect"]); !strings.HasPrefix(out, "scavenged: 10 events of 1 streams") {
		t.Error(out)
	}
	if _, err := c.TombstoneStream(clienttest.Within(t), "s-1", esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}}); err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	if out := does(t, nil, "scavenge", "--data-dir", dir, "--json"); out != `{"streams":1,"events":10,"bytes":80}`+"\n" {
		t.Error(out)
	}
	does(t, nil, "verify", "--data-dir", dir)
	// What is left of a scavenged store is taken in as the part that it is.
	part := does(t, nil, "dump", "--data-dir", dir)
	to := filepath.Join(t.TempDir(), "other")
	does(t, strings.NewReader(part), "import", "--data-dir", to, "--partial")
	does(t, nil, "verify", "--data-dir", to)
}
