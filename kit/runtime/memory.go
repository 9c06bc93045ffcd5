package runtime

import (
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// A process has one target for its memory, --memory, with the embedded Postgres if it runs one. It is split like this:
//
//	part             share of what the program's code leaves
//	Postgres         96/256   what its processes may take; shared buffers are a tenth. Only with the role postgres
//	blocks            3/256   the event store's pages that were read. Only with the role eventstore
//	tables            6/256   its tables of what was written last, of which there may be four. Likewise
//	states            3/256   streams that commands are decided on, folded
//	instances         2/256   sagas' instances, folded. Only with the role sagas
//	keys              1/256   keys of personal data
//	the rest        145/256   connections, requests under way, buffers of feeds and relay, garbage
//
// What a process does not run leaves its share to the rest. All but Postgres is on the heap of the collector, whose limit is their sum.
// Usually it keeps to 64/256; see collector.go.
const (
	shares         = 256
	sharePostgres  = 96
	shareBlocks    = 3
	shareTables    = 6
	shareStates    = 3
	shareInstances = 2
	shareKeys      = 1
	shareUsual     = 64
	tablesAtOnce   = 4
	leastCache     = 2 << 20
	programCode    = 48 << 20 // mapped from the executable
	leastMemory    = 256 << 20
	mostByDefault  = 1 << 30
	ofTheMachine   = 4 // a fraction: one in so many
	unknownMachine = 4 << 30
)

// memory is a target, split.
type memory struct {
	postgres, blocks, tables, states, instances, keys, rest int64

	usual int64 // of the rest and the caches, what the collector keeps to if it can
}

// collected is the limit of the collector.
func (m memory) collected() int64 {
	return m.blocks + m.tables + m.states + m.instances + m.keys + m.rest
}

// memory splits the target of this process.
func (c Config) memory() memory {
	target := c.Memory
	if target == 0 {
		target = usualMemory(machineMemory(os.DirFS("/")))
	}
	return splitMemory(target, c.Has(RolePostgres) && c.Postgres == "", c.Has(RoleEventStore) && c.EventStore == "", c.Has(RoleSagas))
}

func splitMemory(target int64, postgres, eventStore, sagas bool) (m memory) {
	left := max(target, leastMemory) - programCode
	part := left / shares
	cache := func(share int64) int64 { return max(share*part, leastCache) }
	if postgres {
		m.postgres = sharePostgres * part
	}
	if eventStore {
		m.blocks, m.tables = cache(shareBlocks), max(shareTables*part, tablesAtOnce*leastCache)
	}
	if sagas {
		m.instances = cache(shareInstances)
	}
	m.states, m.keys, m.usual = cache(shareStates), cache(shareKeys), shareUsual*part
	m.rest = left - m.postgres - m.blocks - m.tables - m.states - m.instances - m.keys
	return m
}

// usualMemory is the target on a machine that has so much.
func usualMemory(have int64) int64 { return min(max(have/ofTheMachine, leastMemory), mostByDefault) }

// hold gives the caches of a process their shares.
func (s *System) hold(m memory) {
	s.Handler.Hold(int(m.states))
	if s.Keys != nil {
		s.Keys.Hold(m.keys)
	}
}

// machineMemory is what this process may use, in bytes: the machine's or the least of its control groups'. Where that is not known it
// is unknownMachine.
func machineMemory(root fs.FS) int64 {
	have := int64(math.MaxInt64)
	if b, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		_, after, _ := bytes.Cut(b, []byte("MemTotal:"))
		line, _, _ := bytes.Cut(after, []byte("kB"))
		if kb, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64); err == nil {
			have = kb << 10
		}
	}
	for _, limit := range groupLimits(root) {
		if b, err := fs.ReadFile(root, limit); err == nil {
			if most, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64); err == nil && most > 0 { // else "max"
				have = min(have, most)
			}
		}
	}
	if have == math.MaxInt64 {
		return unknownMachine
	}
	return have
}

// groupLimits names the files that may hold a limit of the control groups of this process, of version 2 and of version 1. A container
// sees its own group at the top.
func groupLimits(root fs.FS) (files []string) {
	b, _ := fs.ReadFile(root, "proc/self/cgroup") // none: another system
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		top, name := "sys/fs/cgroup", "memory.max"
		if f[1] != "" {
			if !strings.Contains(","+f[1]+",", ",memory,") {
				continue
			}
			top, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		for group := path.Clean("/" + f[2]); ; group = path.Dir(group) {
			files = append(files, path.Join(top, group, name))
			if group == "/" {
				break
			}
		}
	}
	return files
}
