package webguard

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Listener gives what net/http answers by itself, before there is a request (one that cannot be read, headers that are too
// large), the form that wrong gives it: a media type and a body.
func Listener(l net.Listener, wrong func(status int, detail string) (mediaType string, body []byte)) net.Listener {
	return listener{l, wrong}
}

type listener struct {
	net.Listener

	wrong func(int, string) (string, []byte)
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{c, l.wrong}, nil
}

type conn struct {
	net.Conn

	wrong func(int, string) (string, []byte)
}

// CloseWrite lets net/http end its side first, so that a client that still sends reads the answer.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// plain is how the headers of net/http's own answers go on after the status. Those of a handler have a Date.
const plain = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// Write passes on what is written, but for answers of net/http's own, each of which it writes at once.
func (c *conn) Write(b []byte) (int, error) {
	const http1 = "HTTP/1.1 "
	if len(b) > 1000 || !bytes.HasPrefix(b, []byte(http1)) {
		return c.Conn.Write(b)
	}
	head, text, ok := bytes.Cut(b[len(http1):], []byte(plain))
	if !ok || bytes.Contains(head, []byte("\r\n")) || len(head) < 3 {
		return c.Conn.Write(b)
	}
	status, err := strconv.Atoi(string(head[:3]))
	if err != nil {
		return c.Conn.Write(b)
	}
	detail := string(text)
	if _, more, ok := bytes.Cut(text, []byte(": ")); ok {
		detail = string(more)
	}
	mediaType, body := c.wrong(status, detail)
	answer := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\nDate: %s\r\n\r\n%s",
		status, http.StatusText(status), mediaType, len(body), time.Now().UTC().Format(http.TimeFormat), body)
	if _, err := c.Conn.Write(answer); err != nil {
		return 0, err
	}
	return len(b), nil
}
