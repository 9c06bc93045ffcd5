package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/app"
	"github.com/daybook-dev/daybook/internal/testenv"
)

// fleet is a system of which every role is a process of its own: the servers once, each other role once or more.
type fleet struct {
	t       testing.TB
	dir     string
	servers map[string]*testenv.Process
	members map[string][]*member // by role
	api     string               // base URL, in front of the gateways
}

// member is a process with one role that can be killed and started again.
type member struct {
	fleet   *fleet
	role    string
	n       int // from 1
	listen  string
	args    []string
	process *testenv.Process
}

func (m *member) String() string { return fmt.Sprintf("%s %d", m.role, m.n) }

// begin starts the process without waiting for it.
func (m *member) begin() {
	m.fleet.t.Helper()
	args := append([]string{"--not-found-after", "1s", "--provider-timeout", "2s"}, m.args...)
	if m.listen != "" {
		args = append(args, "--listen", m.listen)
	}
	m.process = testenv.Start(m.fleet.t, testenv.Options{DataDir: m.fleet.dir, Roles: m.role, Args: args, NotReady: true})
}

// engines are the roles that carry events on; apis those that answer.
func engines() []string {
	return []string{app.RoleRelay, app.RoleProjections, app.RoleSagas, app.RoleReactors}
}

func apis() []string { return []string{app.RoleCommandAPI, app.RoleQueryAPI, app.RoleGateway} }

// startServers starts servers, all four if none is named, each as a process of its own, with further flags by role.
func startServers(t testing.TB, args map[string][]string, roles ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: testenv.DataDir(t), servers: map[string]*testenv.Process{}, members: map[string][]*member{}}
	if len(roles) == 0 {
		roles = []string{app.RoleEventStore, app.RoleKafka, app.RolePostgres, app.RoleSimulator}
	}
	for _, role := range roles {
		own := args[role]
		if own == nil {
			own = []string{"--" + role + "-listen", "127.0.0.1:0"}
		}
		f.servers[role] = testenv.Start(t, testenv.Options{DataDir: f.dir, Roles: role, Args: own, NotReady: true})
	}
	for _, p := range f.servers {
		p.Ready()
	}
	return f
}

// startFleet starts the servers and n processes of every other role, with a balancer before those that listen.
func startFleet(t testing.TB, n int) *fleet {
	t.Helper()
	f := startServers(t, nil)
	at := map[string][]string{}
	front := map[string]string{}
	for _, role := range apis() {
		for range n {
			at[role] = append(at[role], address(t))
		}
		front[role] = balance(t, at[role]...)
	}
	f.api = front[app.RoleGateway]
	for i := range n {
		for _, role := range engines() {
			f.add(role, "")
		}
		for _, role := range apis() {
			f.add(role, at[role][i], "--command-api", front[app.RoleCommandAPI], "--query-api", front[app.RoleQueryAPI])
		}
	}
	f.ready()
	return f
}

func (f *fleet) add(role, listen string, args ...string) *member {
	f.t.Helper()
	m := &member{fleet: f, role: role, n: len(f.members[role]) + 1, listen: listen, args: args}
	f.members[role] = append(f.members[role], m)
	m.begin()
	return m
}

func (f *fleet) ready() {
	f.t.Helper()
	for _, all := range f.members {
		for _, m := range all {
			m.process.Ready()
		}
	}
}

// balance serves an address from which every connection goes to one of some others that takes it, in turn, as a balancer
// without health checks does. What is under way to one that dies is cut.
func balance(t testing.TB, to ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu   sync.Mutex
		next int
		open = map[net.Conn]bool{}
	)
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			_ = c.Close()
		}
	})
	serve := func(in net.Conn) {
		defer func() { _ = in.Close() }()
		mu.Lock()
		next++
		first := next
		mu.Unlock()
		for i := range to {
			out, err := net.DialTimeout("tcp", to[(first+i)%len(to)], time.Second)
			if err != nil {
				continue
			}
			mu.Lock()
			open[in], open[out] = true, true
			mu.Unlock()
			join(in, out)
			mu.Lock()
			delete(open, in)
			delete(open, out)
			mu.Unlock()
			return
		}
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go serve(in)
		}
	}()
	return "http://" + l.Addr().String()
}

// demoed is a demo that runs in a process of its own beside the test.
type demoed struct {
	done   chan struct{}
	report demonstrated
	err    error
}

// startDemo begins a demo against the fleet. What others sell of the same goods is not looked at.
func (f *fleet) startDemo(args ...string) *demoed {
	d := &demoed{done: make(chan struct{})}
	go func() {
		defer close(d.done)
		out, errs, err := testenv.Run(f.t, append([]string{"demo", "--data-dir", f.dir, "--api", f.api, "--json", demoFile}, args...)...)
		if jsonErr := json.Unmarshal([]byte(out), &d.report); jsonErr != nil {
			d.err = fmt.Errorf("%w\n%s", errors.Join(err, jsonErr), last(errs, 2000))
			return
		}
		d.err = err
	}()
	return d
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

// end waits for the demo and holds it to all that it promises: every order placed and ended right, nothing lost or done twice.
func (d *demoed) end(t testing.TB, orders int) demonstrated {
	t.Helper()
	<-d.done
	r := d.report
	for _, f := range r.Findings {
		t.Errorf("demo: %s", f)
	}
	if d.err != nil {
		t.Errorf("demo: %v", d.err)
	}
	if r.Doctor == nil {
		t.Fatal("the doctor has not looked")
	}
	for _, f := range r.Doctor.Findings {
		t.Errorf("doctor: %s", f)
	}
	c := r.Doctor.Checked
	if r.Ended != orders || c["acknowledged answers"] != orders || c["rows"] == 0 || c["kafka records"] == 0 || c["charges"] == 0 {
		t.Errorf("%d ended; the doctor saw %v", r.Ended, c)
	}
	t.Logf("demo: %v; %.1f asked, %.1f orders/s ended; POST p50 %.1f ms, p99 %.1f ms; placed to ended p50 %.1f ms, p99 %.1f ms; asked again %d times; doctor: %v",
		r.Statuses, r.RateAsked, r.RateEnded, r.Post.P50, r.Post.P99, r.PlacedToEnded.P50, r.PlacedToEnded.P99, r.Retries, c)
	return r
}

// answersWithin asks for something of an API until it is answered, and says when that was.
func answersWithin(ctx context.Context, url string, within time.Duration) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var last error
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return time.Time{}, err
		}
		res, err := client.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode < http.StatusInternalServerError {
				return time.Now(), nil
			}
			err = errors.New(res.Status)
		}
		last = err
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return time.Now(), fmt.Errorf("%s: %w", url, last)
}

// said waits until a process has said all of some words in one line after a moment of its output, and gives when.
func said(p *testenv.Process, from int, within time.Duration, ok func(line string) bool) (time.Time, bool) {
	until := time.Now().Add(within)
	for {
		out := p.Output()
		for line := range strings.Lines(out[min(from, len(out)):]) {
			if ok(line) {
				return time.Now(), true
			}
		}
		if time.Now().After(until) {
			return time.Now(), false
		}
		time.Sleep(20 * time.Millisecond)
	}
}
