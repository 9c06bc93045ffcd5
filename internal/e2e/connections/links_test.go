package connections_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/fleet"
)

// fault is what can be wrong with a connection.
type fault string

const (
	slow     fault = "slow"      // every packet comes late
	cut      fault = "cut"       // connections end, and new ones are refused
	halfOpen fault = "half-open" // connections stand, and nothing comes through
	reset    fault = "reset"     // connections are reset as soon as something is sent
)

func faults() []fault { return []fault{slow, cut, halfOpen, reset} }

// link is the way from one part to another, through a proxy of its own.
type link struct {
	from, to string
	proxy    *toxiproxy.Proxy
}

func (l *link) String() string { return l.from + " → " + l.to }

func (l *link) addr() string { return l.proxy.Listen }

// newLink opens a way to an address, which need not be served yet.
func newLink(t testing.TB, server *toxiproxy.ApiServer, from, to, upstream string) *link {
	t.Helper()
	l := &link{from, to, toxiproxy.NewProxy(server, from+"-"+to, testenv.Address(t), upstream)}
	if err := l.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.proxy.Stop)
	return l
}

// suffer makes something wrong with the link until heal is called.
func (l *link) suffer(t testing.TB, f fault) (heal func()) {
	t.Helper()
	if f == cut {
		l.proxy.Stop()
		return func() {
			if err := l.proxy.Start(); err != nil {
				t.Errorf("%s: %v", l, err)
			}
		}
	}
	toxic := map[fault]string{
		slow:     `"type":"latency","attributes":{"latency":300,"jitter":200}`,
		halfOpen: `"type":"timeout","attributes":{"timeout":0}`,
		reset:    `"type":"reset_peer","attributes":{"timeout":0}`,
	}[f]
	for _, way := range []string{"upstream", "downstream"} {
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name":%q,"stream":%q,%s}`, way, way, toxic))); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, way := range []string{"upstream", "downstream"} {
			if err := l.proxy.Toxics.RemoveToxic(ctx, way); err != nil {
				t.Errorf("%s: %v", l, err)
			}
		}
	}
}

// sortClients serves an address from which each Kafka client is led, by the client id that it sends, to an address of its own. A
// broker advertises one address to all of them.
func sortClients(t testing.TB, to map[string]*link, others string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	lead := func(in net.Conn) {
		defer func() { _ = in.Close() }()
		first, id, err := firstRequest(in)
		if err != nil {
			return
		}
		upstream := others
		if own := to[id]; own != nil {
			upstream = own.addr()
		}
		out, err := net.DialTimeout("tcp", upstream, time.Second)
		if err != nil {
			return
		}
		if _, err := out.Write(first); err == nil {
			fleet.Join(in, out)
		}
		_ = out.Close()
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go lead(in)
		}
	}()
	return l.Addr().String()
}

// firstRequest reads as much of a Kafka client's first request as tells who it is.
func firstRequest(in net.Conn) (read []byte, id string, err error) {
	_ = in.SetReadDeadline(time.Now().Add(30 * time.Second))
	defer func() { _ = in.SetReadDeadline(time.Time{}) }()
	read = make([]byte, 14) // size, key, version, correlation, length of the client id
	if _, err := io.ReadFull(in, read); err != nil {
		return nil, "", err
	}
	name := make([]byte, int16(binary.BigEndian.Uint16(read[12:])))
	if _, err := io.ReadFull(in, name); err != nil {
		return nil, "", err
	}
	return slices.Concat(read, name), string(name), nil
}

// startLinked starts every role as a process of its own, with a proxy on each way from one to another.
func startLinked(t testing.TB) (*fleet.Fleet, []*link) {
	t.Helper()
	quiet := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	var all []*link
	open := func(from, to, upstream string) *link {
		l := newLink(t, quiet, from, to, upstream)
		all = append(all, l)
		return l
	}
	broker := testenv.Address(t)
	clients := map[string]*link{}
	for _, role := range fleet.Engines() {
		clients["daybook-"+role] = open(role, "Kafka", broker)
	}
	f := fleet.StartServers(t, map[string][]string{
		app.RoleKafka: {"--kafka-listen", broker, "--kafka-advertise", sortClients(t, clients, broker)},
	})
	at := f.Addresses()
	postgres := func(role string) string {
		u, err := url.Parse(at.Postgres)
		if err != nil {
			t.Fatal(err)
		}
		u.Host = open(role, "Postgres", u.Host).addr()
		return u.String()
	}
	store, err := url.Parse(at.EventStore)
	if err != nil {
		t.Fatal(err)
	}
	apart := func(role string) []string {
		through := *store
		through.Host = open(role, "event store", store.Host).addr()
		return []string{"--postgres", postgres(role), "--eventstore", through.String()}
	}
	for _, role := range fleet.Engines() {
		args := apart(role)
		if role == app.RoleReactors {
			provider, err := url.Parse(at.PaymentProvider)
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, "--payment-provider", "http://"+open(role, "provider", provider.Host).addr())
		}
		f.Add(role, "", args...)
	}
	commands, queries, gateway := testenv.Address(t), testenv.Address(t), testenv.Address(t)
	f.Add(app.RoleCommandAPI, commands, apart(app.RoleCommandAPI)...)
	f.Add(app.RoleQueryAPI, queries, apart(app.RoleQueryAPI)...)
	f.Add(app.RoleGateway, gateway, append(apart(app.RoleGateway),
		"--command-api", "http://"+open(app.RoleGateway, app.RoleCommandAPI, commands).addr(),
		"--query-api", "http://"+open(app.RoleGateway, app.RoleQueryAPI, queries).addr())...)
	f.API = "http://" + gateway
	f.Ready()
	return f, all
}
