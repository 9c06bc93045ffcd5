package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daybook-dev/daybook/internal/app"
)

// Exit codes beside 1.
const (
	exitNotFound    = 3
	exitRefused     = 4
	exitUnreachable = 5
)

// exitError says with which code the program ends.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitCode is that of an error.
func exitCode(err error) int {
	if errors.Is(err, context.Canceled) {
		return 130 // as a shell has it for an interrupt
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return 1
}

// askOperator are the flags of commands that ask the admin API.
type askOperator struct{ server, output string }

func (a *askOperator) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.server, "server", "", "base URL of the admin API, if it is not that of the system that runs on --data-dir")
	cmd.Flags().StringVarP(&a.output, "output", "o", "", "table or json (default: table on a terminal, else json)")
}

// table tells whether people read what is printed.
func (a *askOperator) table(w io.Writer) (bool, error) {
	switch a.output {
	case "table":
		return true, nil
	case "json":
		return false, nil
	case "":
		return terminal(w), nil
	}
	return false, fmt.Errorf("--output is table or json, not %q", a.output)
}

// get asks the admin API and reads the answer into a value.
func (a *askOperator) get(cmd *cobra.Command, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return a.send(cmd, http.MethodGet, path, nil, into)
}

// send asks for something with a body; nil: none.
func (a *askOperator) send(cmd *cobra.Command, method, path string, body, into any) error {
	at := strings.TrimSuffix(a.server, "/")
	if at == "" {
		cfg, _, err := load(cmd)
		if err != nil {
			return err
		}
		running, err := app.ReadAddresses(cfg.DataDir)
		if err == nil && running.Admin == "" {
			err = fmt.Errorf("no process on %s has an admin API", cfg.DataDir)
		}
		if err != nil {
			return &exitError{exitUnreachable, err}
		}
		at = running.Admin
	}
	var sent io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("ask the admin API: %w", err)
		}
		sent = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, at+path, sent)
	if err != nil {
		return fmt.Errorf("ask the admin API: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("ask the admin API: %w", err)}
	}
	defer func() { _ = res.Body.Close() }()
	const most = 64 << 20
	answer, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("read the answer of the admin API: %w", err)}
	}
	if res.StatusCode != http.StatusOK {
		return refusedWith(res.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read the answer of the admin API: %w", err)
	}
	return nil
}

func refusedWith(status int, body []byte) error {
	var problem struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
		problem.Detail = fmt.Sprintf("the admin API answers with %d", status)
	}
	err := errors.New(problem.Detail)
	switch {
	case status == http.StatusNotFound:
		return &exitError{exitNotFound, err}
	case status >= http.StatusInternalServerError:
		return &exitError{exitUnreachable, err}
	}
	return &exitError{exitRefused, err}
}

// print writes a value as JSON, for programs and people.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
