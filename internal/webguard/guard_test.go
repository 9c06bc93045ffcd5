package webguard_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/webguard"
)

// serve is a server on an address of this machine, that answers "in" to what is let in.
func serve(t *testing.T, address string, names ...string) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	g := webguard.Guard{
		Names: append(names, "shop.example.com"), Origins: []string{"https://www.example.com", "https://Shop.example.com:443/below"},
		Refuse: func(w http.ResponseWriter, _ *http.Request, status int, code, _ string) { http.Error(w, code, status) },
	}
	s := httptest.NewUnstartedServer(g.At(l).In(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in\n") })))
	_ = s.Listener.Close()
	s.Listener = webguard.Listener(l, func(status int, detail string) (string, []byte) {
		return "application/json", fmt.Appendf(nil, `{"status":%d,"detail":%q}`, status, detail)
	})
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr()
}

// say sends lines to a server and gives its status, type and body.
func say(t *testing.T, at net.Addr, lines ...string) (status int, mediaType, body string) {
	t.Helper()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), strings.TrimSpace(string(b))
}

func TestHostIsOneOfOurs(t *testing.T) {
	at := serve(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(at.String())
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "127.0.0.1": 200, "localhost:" + port: 200, "LocalHost": 200, "localhost:9": 200, "[::1]:" + port: 200, "127.1.2.3": 200,
		"shop.example.com": 200, "SHOP.example.com:443": 200, "shop.example.com.": 200, "localhost.:" + port: 200, "[::ffff:127.0.0.1]:" + port: 200, "localhost:": 200,
		"shop.example.com..": 421, "[localhost]": 421, "[shop.example.com]:80": 421, "[[::1]]": 421, ".": 421, "127.1": 421, "[::": 421,
		"evil.example": 421, "evil.example:" + port: 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "shop.example.com.evil.example": 421,
		"10.0.0.1": 421, "[2001:db8::1]": 421, "0.0.0.0": 421, "2130706433": 421, "0x7f.1": 421, "example.com": 421, "8.8.8.8": 421, "[::]": 421, "[fe80::1%25lo]": 421,
	} {
		if status, _, body := say(t, at, "GET / HTTP/1.1", "Host: "+host); status != want {
			t.Errorf("Host: %s: %d %s, want %d", host, status, body, want)
		}
	}
	if status, _, _ := say(t, at, "GET http://evil.example/ HTTP/1.1", "Host: localhost"); status != 421 {
		t.Errorf("another host in the request line: %d", status)
	}
	for _, lines := range [][]string{
		{"GET / HTTP/1.1", "Host: evil.example", "X-Forwarded-Host: localhost"}, {"GET / HTTP/1.1", "Host: evil.example", "Forwarded: host=localhost"},
		{"GET / HTTP/1.1", "Host: ", "X-Forwarded-Host: localhost"}, {"CONNECT evil.example:80 HTTP/1.1", "Host: localhost"},
	} {
		if status, _, _ := say(t, at, lines...); status != 421 {
			t.Errorf("%q: %d", lines, status)
		}
	}
	if status, _, _ := say(t, at, "GET / HTTP/1.0"); status != 200 {
		t.Errorf("no Host in HTTP/1.0: %d", status)
	}
}

// An address beyond loopback is one of ours if the request arrived at it, or if it is configured: not because some address beyond
// loopback was called.
func TestAddressesBeyondLoopback(t *testing.T) {
	hosts := func(at net.Addr, want map[string]int) {
		t.Helper()
		for host, status := range want {
			if got, _, body := say(t, at, "GET / HTTP/1.1", "Host: "+host); got != status {
				t.Errorf("%s, called by %s: %d %s, want %d", at, host, got, body, status)
			}
		}
	}
	_, port, _ := net.SplitHostPort(serve(t, "127.0.0.1:0", "192.0.2.7", "2001:DB8:0::7", "other.example:8080").String())
	hosts(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: number(port)}, map[string]int{
		"192.0.2.7": 200, "192.0.2.7:1": 200, "[::ffff:192.0.2.7]": 200, "[2001:db8::7]:80": 200, "[2001:db8:0:0::7%25eth0]": 200, "other.example": 200, "192.0.2.8": 421, "[2001:db8::8]": 421, "0.0.0.0": 421,
	})
	everywhere := serve(t, ":0").(*net.TCPAddr) //nolint:forcetypeassert // of a TCP listener
	for _, own := range addresses(t) {
		at := &net.TCPAddr{IP: own.AsSlice(), Port: everywhere.Port}
		hosts(at, map[string]int{
			netip.AddrPortFrom(own, uint16(at.Port)).String(): 200, "127.0.0.1": 200, "[::]:80": 200, "0.0.0.0": 200, //nolint:gosec // a port
			"198.51.100.1": 421, "[2001:db8::1]": 421, "evil.example": 421,
		})
	}
}

// addresses are those of this machine.
func addresses(t *testing.T) (all []netip.Addr) {
	t.Helper()
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() { // which needs a zone to be dialled
			all = append(all, p.Addr())
		}
	}
	return all
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// Over HTTP/2 the name is in :authority.
func TestAuthorityIsOneOfOurs(t *testing.T) {
	g := webguard.Guard{Refuse: func(w http.ResponseWriter, _ *http.Request, status int, code, _ string) { http.Error(w, code, status) }}
	s := httptest.NewUnstartedServer(g.In(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	for host, want := range map[string]int{"localhost": 200, "127.0.0.1:1": 200, "evil.example": 421, "192.0.2.1": 421} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want || res.ProtoMajor != 2 {
			t.Errorf("%s: %s %s, want %d", host, res.Proto, res.Status, want)
		}
	}
}

func TestPagesOfOtherSitesAreKeptOut(t *testing.T) {
	at := serve(t, "127.0.0.1:0")
	for _, c := range []struct {
		method  string
		headers []string
		want    int
	}{
		{"POST", nil, 200}, // a program
		{"GET", []string{"Sec-Fetch-Site: none"}, 200},
		{"POST", []string{"Origin: http://localhost:8080", "Sec-Fetch-Site: same-origin"}, 200},
		{"POST", []string{"Origin: HTTP://LOCALHOST:8080"}, 200},
		{"POST", []string{"Origin: https://www.example.com", "Sec-Fetch-Site: cross-site"}, 200},
		{"GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200}, // a link
		{"POST", []string{"Origin: https://shop.example.com"}, 200},
		{"POST", []string{"Origin: https://shop.example.com:443"}, 200},
		{"GET", []string{"Origin: http://localhost.:8080"}, 200},
		{"POST", []string{"Origin: http://shop.example.com"}, 403}, // not over TLS
		{"POST", []string{"Origin: https://shop.example.com:8443"}, 403},
		{"POST", []string{"Origin: "}, 403},
		{"POST", []string{"Origin: http://localhost:8080/"}, 403}, // no browser writes these
		{"POST", []string{"Origin: http://evil@localhost:8080"}, 403},
		{"POST", []string{"Origin: http://localhost:8080 http://evil.example"}, 403},
		{"POST", []string{"Origin: chrome-extension://localhost:8080"}, 403},
		{"POST", []string{"Origin: http://evil.example", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"}, 403},
		{"GET", []string{"Origin: http://evil.example", "Accept: text/event-stream"}, 403},
		{"GET", []string{"Origin: http://evil.example", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, 403},
		{"POST", []string{"Origin: http://evil.example"}, 403},
		{"POST", []string{"Origin: null"}, 403},
		{"POST", []string{"Origin: http://localhost:3000", "Sec-Fetch-Site: same-site"}, 403}, // another program's page on this machine
		{"POST", []string{"Origin: http://localhost"}, 403},
		{"POST", []string{"Origin: http://localhost:8080", "Origin: http://evil.example"}, 403},
		{"POST", []string{"Origin: http://localhost:8080@evil.example"}, 403},
		{"POST", []string{"Origin: file://"}, 403},
		{"POST", []string{"Origin: https://www.example.com.evil.example"}, 403},
		{"POST", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 403}, // a form
		{"GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, 403},
		{"GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, 403},
		{"GET", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"}, 403},
		{"OPTIONS", []string{"Origin: http://evil.example", "Access-Control-Request-Method: POST"}, 403},
	} {
		lines := append([]string{c.method + " / HTTP/1.1", "Host: localhost:8080", "Content-Length: 0"}, c.headers...)
		if status, _, body := say(t, at, lines...); status != c.want {
			t.Errorf("%s %v: %d %s, want %d", c.method, c.headers, status, body, c.want)
		}
	}
}

// What net/http answers before there is a request has the form of the rest; what a handler answers is left as it is.
func TestUnreadableRequestsAreAnsweredInForm(t *testing.T) {
	at := serve(t, "127.0.0.1:0")
	for name, c := range map[string]struct {
		lines  []string
		status int
	}{
		"an escape":                   {[]string{"GET /v1/products/%zz HTTP/1.1", "Host: localhost"}, 400},
		"no request line":             {[]string{"what is this"}, 400},
		"no Host":                     {[]string{"GET / HTTP/1.1"}, 400},
		"two Hosts":                   {[]string{"GET / HTTP/1.1", "Host: localhost", "Host: evil.example"}, 400},
		"a Host that is none":         {[]string{"GET / HTTP/1.1", "Host: local host/"}, 400},
		"a header without a name":     {[]string{"GET / HTTP/1.1", "Host: localhost", ": x"}, 400},
		"headers that are too large":  {[]string{"GET / HTTP/1.1", "Host: localhost", "X: " + strings.Repeat("x", 2<<20)}, 431},
		"another transfer encoding":   {[]string{"POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: gzip"}, 501},
		"a version that is not known": {[]string{"GET / HTTP/3.0", "Host: localhost"}, 505},
		"a length that is no number":  {[]string{"POST / HTTP/1.1", "Host: localhost", "Content-Length: x"}, 400},
	} {
		status, mediaType, body := say(t, at, c.lines...)
		if status != c.status || mediaType != "application/json" || !strings.HasPrefix(body, fmt.Sprintf(`{"status":%d,"detail":"`, c.status)) {
			t.Errorf("%s: %d %s %s", name, status, mediaType, body)
		}
	}
	if _, mediaType, body := say(t, at, "GET / HTTP/1.1", "Host: localhost", "Connection: close"); body != "in" || !strings.HasPrefix(mediaType, "text/plain") {
		t.Errorf("a handler's answer: %s %s", mediaType, body)
	}
}
