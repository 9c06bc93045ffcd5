package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/daybook-dev/daybook/internal/filelock"
	"github.com/daybook-dev/daybook/internal/wholefile"
)

// Addresses are where everything of a running system is: what run.json holds.
type Addresses struct {
	API, Admin, EventStore, Kafka, Postgres string

	// Own are those of the domain's own servers and APIs, by their names in run.json.
	Own map[string]string
	PID int
}

// named are the addresses that every domain has.
func (a *Addresses) named() map[string]*string {
	return map[string]*string{addressAPI: &a.API, "admin": &a.Admin, "eventstore": &a.EventStore, "kafka": &a.Kafka, "postgres": &a.Postgres}
}

// Get is an address by its name in run.json; "" if it is not known.
func (a *Addresses) Get(name string) string {
	if at := a.named()[name]; at != nil {
		return *at
	}
	return a.Own[name]
}

// set takes an address down. Nothing known takes one away.
func (a *Addresses) set(name, address string) {
	switch at := a.named()[name]; {
	case at != nil:
		*at = address
	case address == "":
		a.Own = maps.Clone(a.Own)
		delete(a.Own, name)
	default:
		own := map[string]string{}
		maps.Copy(own, a.Own)
		own[name], a.Own = address, own
	}
}

// all is every address that is known.
func (a *Addresses) all() map[string]string {
	out := map[string]string{}
	for name, at := range a.named() {
		out[name] = *at
	}
	maps.Copy(out, a.Own)
	maps.DeleteFunc(out, func(_, address string) bool { return address == "" })
	return out
}

const pidField = "pid"

// MarshalJSON writes one flat object.
func (a Addresses) MarshalJSON() ([]byte, error) {
	flat := map[string]any{}
	for name, at := range a.all() {
		flat[name] = at
	}
	if a.PID != 0 {
		flat[pidField] = a.PID
	}
	return json.Marshal(flat)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (a *Addresses) UnmarshalJSON(b []byte) error {
	var flat map[string]json.RawMessage
	if err := json.Unmarshal(b, &flat); err != nil {
		return err
	}
	*a = Addresses{}
	for name, raw := range flat {
		if name == pidField {
			if err := json.Unmarshal(raw, &a.PID); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		var at string
		if err := json.Unmarshal(raw, &at); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		a.set(name, at)
	}
	return nil
}

// RunFile is where a data directory's addresses stand.
func RunFile(dataDir string) string { return filepath.Join(dataDir, "run.json") }

// ReadAddresses gives the addresses of the system that runs on a data directory. None running is fs.ErrNotExist:
// what a crash left behind is not believed, nor even read, because its locks are gone.
func ReadAddresses(dataDir string) (Addresses, error) {
	var a Addresses
	b, err := os.ReadFile(RunFile(dataDir))
	if err != nil {
		return a, fmt.Errorf("find a running system: %w", err)
	}
	switch lock, err := filelock.Try(aliveFile(dataDir)); {
	case err == nil:
		lock.Release()
		return Addresses{}, fmt.Errorf("find a running system: the process of %s is gone: %w", RunFile(dataDir), fs.ErrNotExist)
	case !errors.Is(err, filelock.ErrHeld):
		return Addresses{}, err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return Addresses{}, fmt.Errorf("read %s: %w", RunFile(dataDir), err)
	}
	return a, nil
}

// aliveFile is locked, shared, by every process that has published addresses, for as long as it lives.
func aliveFile(dataDir string) string { return filepath.Join(dataDir, "run.alive") }

// publish writes this process' addresses over what is there, whole or not at all, and gives the way to take them back.
func publish(dataDir string, own Addresses) (withdraw func(), err error) {
	lock, err := filelock.Wait(RunFile(dataDir) + ".lock")
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	before, err := ReadAddresses(dataDir)
	if err != nil {
		before = Addresses{}
	}
	alive, err := filelock.Share(aliveFile(dataDir))
	if err != nil {
		return nil, err
	}
	if err := writeAddresses(dataDir, merge(before, own)); err != nil {
		alive.Release()
		return nil, err
	}
	return func() {
		lock, err := filelock.Wait(RunFile(dataDir) + ".lock")
		if err != nil {
			return
		}
		defer lock.Release()
		alive.Release()
		others, err := ReadAddresses(dataDir)
		if err != nil {
			_ = os.Remove(RunFile(dataDir))
			return
		}
		_ = writeAddresses(dataDir, without(others, own))
	}, nil
}

func writeAddresses(dataDir string, a Addresses) error {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("encode addresses: %w", err)
	}
	if err := wholefile.Write(RunFile(dataDir), append(b, '\n')); err != nil {
		return fmt.Errorf("publish the addresses of this process: %w", err)
	}
	return nil
}

// merge puts a process' own addresses beside those of the one that was first, whose pid stays.
func merge(before, own Addresses) Addresses {
	out := before
	for name, at := range own.all() {
		out.set(name, at)
	}
	if out.PID == 0 {
		out.PID = own.PID
	}
	return out
}

func without(now, own Addresses) Addresses {
	out := now
	for name, at := range now.all() {
		if own.Get(name) == at {
			out.set(name, "")
		}
	}
	return out
}
