package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"
)

// maxBody is 1 MB, as api.md says; the store takes no larger event anyway.
const maxBody = 1_000_000

// bodyWithin bounds how long a body takes to come.
const bodyWithin = 10 * time.Second

// readBody reads a body that is neither too large nor too slow.
func readBody(c echo.Context) ([]byte, error) {
	in := http.NewResponseController(c.Response())
	_ = in.SetReadDeadline(time.Now().Add(bodyWithin)) // not every writer has one
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxBody))
	if err == nil {
		_ = in.SetReadDeadline(time.Time{}) // after an error it stays, so that the server does not wait for the rest
		return body, nil
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, NewProblem("body_too_large", "a body may have %d bytes", tooLarge.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, NewProblem("body_too_slow", "the body did not come within %s", bodyWithin)
	}
	return nil, NewProblem("malformed_json", "the body could not be read to its end")
}

// checkBody reads, checks and restores the body, and gives its canonical form.
func (op *operation) checkBody(c echo.Context) ([]byte, error) {
	req := c.Request()
	body, err := readBody(c)
	if err != nil {
		return nil, err
	}
	if err := checkContent(req.Header, len(body) == 0 && !op.needed); err != nil {
		return nil, err
	}
	if len(body) == 0 && !op.needed {
		body = []byte("{}")
	}
	canon, err := op.judge(newWork(req.Context(), len(body)), body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(canon))
	req.ContentLength = int64(len(canon))
	req.Header.Set("Content-Type", "application/json") // as generated code knows it
	return canon, nil
}

// judge gives the canonical form of a body that is in order.
func (op *operation) judge(w *work, body []byte) ([]byte, error) {
	doc, err := readJSON(w, body)
	switch {
	case w.err != nil:
		return nil, w.problem()
	case err != nil:
		return nil, NewProblem("malformed_json", "%v", err)
	}
	if p := doc.refuseCards(); p != nil {
		return nil, p
	}
	c := checker{doc: doc, faults: &faults{most: maxFaults}}
	c.check(0, op.body)
	if p := c.faults.problem(); p != nil && w.err == nil {
		return nil, p
	}
	canon := doc.canonical()
	return canon, w.problem()
}

// problem is why checking ended early, if it did.
func (w *work) problem() error {
	if errors.Is(w.err, errTooMuchWork) {
		return NewProblem("body_too_large", "the body is too intricate to be checked")
	}
	return w.err
}
