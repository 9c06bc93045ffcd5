package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Addresses are where everything of a running system is: what run.json holds.
type Addresses struct {
	API             string `json:"api,omitempty"`
	CommandAPI      string `json:"command_api,omitempty"`
	QueryAPI        string `json:"query_api,omitempty"`
	Admin           string `json:"admin,omitempty"`
	EventStore      string `json:"eventstore,omitempty"`
	Kafka           string `json:"kafka,omitempty"`
	Postgres        string `json:"postgres,omitempty"`
	PaymentProvider string `json:"payment_provider,omitempty"`
	PID             int    `json:"pid,omitempty"`
}

// RunFile is where a data directory's addresses stand.
func RunFile(dataDir string) string { return filepath.Join(dataDir, "run.json") }

// ReadAddresses gives the addresses of the system that runs on a data directory. None running is fs.ErrNotExist:
// what a crash left behind is not believed, because its locks are gone.
func ReadAddresses(dataDir string) (Addresses, error) {
	var a Addresses
	b, err := os.ReadFile(RunFile(dataDir))
	if err != nil {
		return a, fmt.Errorf("find a running system: %w", err)
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("read %s: %w", RunFile(dataDir), err)
	}
	if a.PID == 0 || errors.Is(unix.Kill(a.PID, 0), unix.ESRCH) {
		return Addresses{}, fmt.Errorf("find a running system: process %d of %s is gone: %w", a.PID, RunFile(dataDir), fs.ErrNotExist)
	}
	return a, nil
}

// publish writes this process' addresses over what stands there, whole or not at all, and gives the way to take them back.
func publish(dataDir string, own Addresses) (withdraw func(), err error) {
	lock, err := lockFile(RunFile(dataDir)+".lock", true)
	if err != nil {
		return nil, err
	}
	defer lock.release()
	before, err := ReadAddresses(dataDir)
	if err != nil {
		before = Addresses{}
	}
	merged := merge(before, own)
	if err := writeAddresses(dataDir, merged); err != nil {
		return nil, err
	}
	return func() {
		lock, err := lockFile(RunFile(dataDir)+".lock", true)
		if err != nil {
			return
		}
		defer lock.release()
		now, err := ReadAddresses(dataDir)
		if err != nil || now.PID == own.PID {
			_ = os.Remove(RunFile(dataDir))
			return
		}
		_ = writeAddresses(dataDir, without(now, own))
	}, nil
}

func writeAddresses(dataDir string, a Addresses) error {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("encode addresses: %w", err)
	}
	tmp := RunFile(dataDir) + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write addresses: %w", err)
	}
	if err := os.Rename(tmp, RunFile(dataDir)); err != nil {
		return fmt.Errorf("write addresses: %w", err)
	}
	return nil
}

func (a *Addresses) fields() []*string {
	return []*string{&a.API, &a.CommandAPI, &a.QueryAPI, &a.Admin, &a.EventStore, &a.Kafka, &a.Postgres, &a.PaymentProvider}
}

// merge puts a process' own addresses beside those of the one that was first, whose pid stays.
func merge(before, own Addresses) Addresses {
	out, add := before, own.fields()
	for i, f := range out.fields() {
		if *add[i] != "" {
			*f = *add[i]
		}
	}
	if out.PID == 0 {
		out.PID = own.PID
	}
	return out
}

func without(now, own Addresses) Addresses {
	out, gone := now, own.fields()
	for i, f := range out.fields() {
		if *f == *gone[i] {
			*f = ""
		}
	}
	return out
}
