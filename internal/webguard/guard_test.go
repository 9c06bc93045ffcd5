package webguard_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/webguard"
)

// serve is a server on an address of this machine, that answers "in" to what is let in.
func serve(t *testing.T, address string) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	g := webguard.Guard{
		Names: []string{"shop.example.com"}, Origins: []string{"https://www.example.com"},
		Refuse: func(w http.ResponseWriter, _ *http.Request, status int, code, _ string) { http.Error(w, code, status) },
	}
	s := httptest.NewUnstartedServer(g.In(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in\n") })))
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
		"shop.example.com": 200, "SHOP.example.com:443": 200,
		"evil.example": 421, "evil.example:" + port: 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "shop.example.com.evil.example": 421,
		"10.0.0.1": 421, "[2001:db8::1]": 421, "0.0.0.0": 421, "2130706433": 421, "0x7f.1": 421, "example.com": 421, "localhost.": 421,
	} {
		if status, _, body := say(t, at, "GET / HTTP/1.1", "Host: "+host); status != want {
			t.Errorf("Host: %s: %d %s, want %d", host, status, body, want)
		}
	}
	if status, _, _ := say(t, at, "GET http://evil.example/ HTTP/1.1", "Host: localhost"); status != 421 {
		t.Errorf("another host in the request line: %d", status)
	}
	if status, _, _ := say(t, at, "GET / HTTP/1.0"); status != 200 {
		t.Errorf("no Host in HTTP/1.0: %d", status)
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
