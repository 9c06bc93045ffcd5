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

// Hit ends the process as kill -9 does, or interrupts it, when it is the hit that was asked for. DAYBOOK_FAILPOINT_FILE names a file
// that is read at each moment and holds the same text: it arms a process that runs already; hits count from then on.
func Hit(n Name) {
	switch armed().at(n) {
	case syscall.SIGKILL:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // SIGKILL does not wait for us
	case syscall.SIGINT:
		_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
	}
}

// at gives the signal that is due at a moment; 0: none.
func (p *point) at(n Name) syscall.Signal {
	if p.file == "" && p.text == "" {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != "" {
		b, _ := os.ReadFile(p.file) // none yet: nothing is asked for
		if text := strings.TrimSpace(string(b)); text != p.text {
			p.text, p.hits = text, 0
		}
	}
	name, how, counted := strings.Cut(p.text, ":")
	if Name(name) != n {
		return 0
	}
	count, interrupt := strings.CutSuffix(how, ":interrupt")
	want := int64(1)
	if counted {
		if v, err := strconv.ParseInt(count, 10, 64); err == nil {
			want = v
		}
	}
	p.hits++
	switch {
	case p.hits != want:
		return 0
	case interrupt:
		return syscall.SIGINT
	default:
		return syscall.SIGKILL
	}
}
