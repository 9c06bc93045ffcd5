//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Armed tells whether the build hits anything.
const Armed = true

// point is what the environment, or the file it names, asks for.
type point struct {
	mu   sync.Mutex
	file string
	text string
	hits int64
}

var armed = sync.OnceValue(func() *point {
	return &point{file: os.Getenv("DAYBOOK_FAILPOINT_FILE"), text: os.Getenv("DAYBOOK_FAILPOINT")}
})

// Hit ends the process as kill -9 does, when it is the hit that was asked for. DAYBOOK_FAILPOINT_FILE names a file that is
// read at each moment and holds "name" or "name:n": so a process that runs can be told; hits count from then on.
func Hit(n Name) {
	if armed().at(n) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // SIGKILL does not wait for us
	}
}

func (p *point) at(n Name) bool {
	if p.file == "" && p.text == "" {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != "" {
		b, _ := os.ReadFile(p.file) // none yet: nothing is asked for
		if text := strings.TrimSpace(string(b)); text != p.text {
			p.text, p.hits = text, 0
		}
	}
	name, count, counted := strings.Cut(p.text, ":")
	if Name(name) != n {
		return false
	}
	want := int64(1)
	if counted {
		if v, err := strconv.ParseInt(count, 10, 64); err == nil {
			want = v
		}
	}
	p.hits++
	return p.hits == want
}
