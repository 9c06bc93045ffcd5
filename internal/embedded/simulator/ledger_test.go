package simulator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/embedded/diskspace/diskspacetest"
)

const childDir = "DAYBOOK_TEST_SIMULATOR_DIR"

// TestMain is also the simulator that TestKill kills.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := Start(context.Background(), Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.Addr())
	<-s.Done()
}

// TestKill charges from many clients at once, kills the simulator with SIGKILL in the middle, and finds every charge
// that was answered, once, in the ledger of the next.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	answered := sync.Map{} // effect → charge
	total := 0
	for round := range 5 {
		child := exec.Command(os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		addr, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal("the child said no address: ", err)
		}
		s := &Server{listener: fixed(addr[:len(addr)-1])}
		for _, e := range entries(t, s, "") { // what earlier rounds were answered is still there
			if id, ok := answered.Load(e.EffectID); ok && id != e.ID {
				t.Errorf("effect %s was answered with %v, and is %s now", e.EffectID, id, e.ID)
			}
		}
		answered.Range(func(effect, id any) bool {
			if got := found(t, s, effect.(string)); len(got) != 1 || got[0].ID != id || got[0].Result != Approved {
				t.Errorf("effect %v was answered %v; the ledger has %+v", effect, id, got)
			}
			return true
		})
		var wg sync.WaitGroup
		enough := make(chan struct{}, 1000)
		for client := range 16 {
			wg.Go(func() {
				for i := 0; ; i++ {
					effect := fmt.Sprintf("%d-%d-%d", round, client, i)
					got := post(t, s, "charges", effect, asked("tok_approve", 100, "o", effect), ample)
					if got.Status == 0 {
						return
					}
					answered.Store(effect, got.ID)
					select {
					case enough <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 20 + rand.IntN(100) {
			<-enough
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		wg.Wait()
	}
	s := start(t, Config{Dir: dir})
	answered.Range(func(effect, id any) bool {
		total++
		if got := found(t, s, effect.(string)); len(got) != 1 || got[0].ID != id {
			t.Errorf("effect %v was answered %v; the ledger has %+v", effect, id, got)
		}
		return true
	})
	t.Logf("%d answered charges survived 5 kills; %d in the ledger", total, len(entries(t, s, "")))
}

// TestFullDisk: what cannot be kept is refused, what was answered is kept, and once there is space all goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := diskspacetest.Mount(t, 4<<20)
	s := start(t, Config{Dir: filepath.Join(disk, "simulator")})
	charge := func(effect string) said {
		return post(t, s, "charges", effect, asked("tok_approve", 100, "o", effect), ample)
	}
	if got := charge("before"); got.Result != Approved {
		t.Fatalf("%+v", got)
	}
	diskspacetest.Fill(t, disk, 0)
	kept := 0
	for ; kept < 1000; kept++ { // the last page of the file has room for some
		if got := charge(strconv.Itoa(kept)); got.Status == http.StatusServiceUnavailable {
			break
		} else if got.Result != Approved {
			t.Fatalf("%+v", got)
		}
	}
	if kept == 1000 {
		t.Fatal("the disk is full, and charges are kept")
	}
	if got := found(t, s, strconv.Itoa(kept)); len(got) != 0 {
		t.Errorf("refused, and there: %+v", got)
	}
	for s.Health() == nil {
		runtime.Gosched()
	}
	diskspacetest.Free(t, disk)
	if got := charge(strconv.Itoa(kept)); got.Result != Approved {
		t.Errorf("after there was space: %+v", got)
	}
	for s.Health() != nil {
		runtime.Gosched()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = start(t, Config{Dir: filepath.Join(disk, "simulator")})
	for _, effect := range []string{"before", strconv.Itoa(kept)} {
		if got := found(t, s, effect); len(got) != 1 || got[0].Result != Approved {
			t.Errorf("%s: %+v", effect, got)
		}
	}
	if got := len(entries(t, s, "")); got != kept+2 {
		t.Errorf("%d charges in the ledger, %d were answered", got, kept+2)
	}
}

// fixed is a listener of which only the address is asked.
func fixed(addr string) net.Listener { return fixedListener{addr: addr} }

type fixedListener struct {
	net.Listener

	addr string
}

func (f fixedListener) Addr() net.Addr  { return f }
func (f fixedListener) Network() string { return "tcp" }
func (f fixedListener) String() string  { return f.addr }

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	dir, clk := t.TempDir(), newClock()
	s := start(t, Config{Dir: dir, Now: clk.now})
	ok := post(t, s, "charges", "a", asked("tok_approve", 100, "o", "a"), ample)
	late := post(t, s, "charges", "l", asked("tok_late_5", 100, "o", "l"), ample)
	post(t, s, "charges", "x", asked("tok_action", 100, "o", "x"), ample)
	post(t, s, "charges/"+ok.ID+"/void", "v", request{Metadata: Metadata{OrderID: "o", EffectID: "v"}}, ample)
	post(t, s, "charges", "sa", asked("tok_silent_approved", 100, "o", "sa"), soon)
	post(t, s, "actions/x", "", map[string]string{"result": "approve"}, ample)
	before := entries(t, s, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	clk.move(5 * time.Second)
	s = start(t, Config{Dir: dir, Now: clk.now})
	after := entries(t, s, "")
	if len(before) != 4 || len(after) != 4 {
		t.Fatalf("%d charges before, %d after", len(before), len(after))
	}
	for i := range after {
		if before[i].EffectID == "l" {
			continue // due meanwhile
		}
		if before[i] != after[i] {
			t.Errorf("before %+v\nafter  %+v", before[i], after[i])
		}
	}
	if got := post(t, s, "charges", "a", asked("tok_approve", 100, "o", "a"), ample); got.ID != ok.ID || got.Result != Approved {
		t.Errorf("repeat after a restart: %+v", got)
	}
	if got := post(t, s, "charges", "a", asked("tok_approve", 99, "o", "a"), ample); got.Status != 422 {
		t.Errorf("another request under the key after a restart: %+v", got)
	}
	if got := post(t, s, "charges", "l", asked("tok_late_5", 100, "o", "l"), ample); got.ID != late.ID || got.Result != Approved {
		t.Errorf("late, after a restart: %+v", got)
	}
	if got := post(t, s, "charges", "sa", asked("tok_silent_approved", 100, "o", "sa"), soon); got.Status != 0 {
		t.Errorf("silent, after a restart: %+v", got)
	}
}

func TestASecondSimulatorIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, Config{Dir: dir})
	if s, err := Start(context.Background(), Config{Dir: dir}); err == nil {
		_ = s.Close()
		t.Error("two simulators on one ledger")
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	make3 := func(t *testing.T) (dir, path string, size []int64) {
		dir = t.TempDir()
		path = filepath.Join(dir, ledgerName)
		s := start(t, Config{Dir: dir})
		for i := range 3 {
			post(t, s, "charges", strconv.Itoa(i), asked("tok_approve", 100, "o", strconv.Itoa(i)), ample)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			size = append(size, info.Size())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return dir, path, size
	}
	t.Run("a torn end is cut off at every length", func(t *testing.T) {
		t.Parallel()
		dir, path, size := make3(t)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for cut := size[1]; cut < size[2]; cut += 37 {
			if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			s := start(t, Config{Dir: dir})
			if n := len(entries(t, s, "")); n != 2 {
				t.Errorf("cut at %d: %d charges, want 2", cut, n)
			}
			post(t, s, "charges", "new", asked("tok_approve", 100, "o", "new"), ample)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = start(t, Config{Dir: dir})
			if n := len(entries(t, s, "")); n != 3 {
				t.Errorf("cut at %d, then one more: %d charges, want 3", cut, n)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("a flipped bit before the end refuses to start", func(t *testing.T) {
		t.Parallel()
		dir, path, size := make3(t)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int64{3, size[0] / 2, size[0] + 4, size[1] - 5} {
			flipped := append([]byte(nil), b...)
			flipped[at] ^= 4
			if err := os.WriteFile(path, flipped, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Start(context.Background(), Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
			if !errors.Is(err, errDamaged) {
				t.Errorf("byte %d: %v", at, err)
			}
			if s != nil {
				_ = s.Close()
			}
		}
	})
	t.Run("a ledger that cannot be written stops the server, unanswered", func(t *testing.T) {
		t.Parallel()
		s := start(t, Config{})
		_ = s.ledger.file.Close() // as a failed disk
		if got := post(t, s, "charges", "k", asked("tok_approve", 100, "o", "e"), ample); got.Status != 0 {
			t.Errorf("answered %+v without keeping it", got)
		}
		select {
		case <-s.Done():
			if s.Err() == nil {
				t.Error("ended without saying why")
			}
		case <-time.After(ample):
			t.Error("goes on with a broken ledger")
		}
	})
}
