package bench

import (
	"os"
	"time"
)

// usage is what a process and its children have used.
type usage struct {
	cpu      time.Duration
	children time.Duration // what of that its children used: a system's Postgres
	resident int64         // bytes that it shares with no other process
}

func (u usage) since(before usage) usage {
	return usage{max(0, u.cpu-before.cpu), max(0, u.children-before.children), u.resident}
}

func (u usage) plus(o usage) usage {
	return usage{u.cpu + o.cpu, u.children + o.children, max(u.resident, o.resident)}
}

// process is one whose usage is measured, with its children or alone.
type process struct {
	pid   int
	alone bool
}

// here is this process, without the servers that it has started.
func here() process { return process{os.Getpid(), true} }
