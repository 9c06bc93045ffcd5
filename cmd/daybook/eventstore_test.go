package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

// TestEventstoreServe: the banner's connection string works, metrics and health are there, one server at a time, and SIGTERM ends
// subscribers with Unavailable and loses nothing.
func TestEventstoreServe(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := serveStore(t, dir)
	c := clienttest.Connect(t, s.said["connect"])
	for i := range 10 {
		if _, err := appendOne(clienttest.Within(t), c, "s", esdb.Any{}); err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
	}
	fails(t, "is taken by another program: give another --listen", "serve", "--data-dir", dir+"2", "--listen", s.said["listens"], "--admin-listen", "none")
	fails(t, "is in use by another process: one server at a time", "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "none")
	fails(t, "is in use by another process", "verify", "--data-dir", dir)
	fails(t, "--admin-listen: ", "serve", "--data-dir", dir+"3", "--listen", "127.0.0.1:0", "--admin-listen", s.said["listens"])

	status, metrics := get(t, s.said["metrics"])
	for _, name := range []string{"append_seconds", "batch_requests", "batch_bytes", "batch_seconds", "sync_seconds", "appends_refused_total",
		"position", "subscribers", "subscriber_lag_max", "disk_bytes", "disk_free_bytes", "tables", "memtable_bytes", "compactions_total", "read_only"} {
		if !strings.Contains(metrics, "\n# HELP daybook_eventserver_"+name+" ") || !strings.Contains(metrics, "\ndaybook_eventserver_"+name) {
			t.Errorf("/metrics (%d) has no daybook_eventserver_%s", status, name)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/livez"} {
		if status, said := get(t, strings.TrimSuffix(s.said["metrics"], "/metrics")+path); status != http.StatusOK || said != "ok\n" {
			t.Errorf("%s: %d %s", path, status, said)
		}
	}
	sub, err := c.SubscribeToStream(clienttest.Within(t), "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 10; {
		if e := sub.Recv(); e.EventAppeared != nil {
			n++
		} else if e.SubscriptionDropped != nil {
			t.Fatal(e.SubscriptionDropped.Error)
		}
	}
	dropped := make(chan error, 1)
	go func() {
		for {
			if e := sub.Recv(); e.SubscriptionDropped != nil {
				dropped <- e.SubscriptionDropped.Error
				return
			}
		}
	}()
	s.stop(t)
	if err := <-dropped; !strings.Contains(err.Error(), "Unavailable") {
		t.Errorf("the subscriber got %v", err)
	}
	if out := does(t, nil, "verify", "--data-dir", dir); !strings.HasPrefix(out, "whole: 11 events in 2 streams") {
		t.Error(out)
	}
}

// TestEventstoreFull: a server whose disk lacks space says so in its health, refuses appends and backups, and serves reads.
func TestEventstoreFull(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	does(t, strings.NewReader(dumpOf(10)), "import", "--data-dir", dir)
	s := serveStore(t, dir, "--min-free", "1000000GiB")
	admin := strings.TrimSuffix(s.said["metrics"], "/metrics")
	if status, said := get(t, admin+"/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(said, "disk is full") {
		t.Errorf("/healthz: %d %s", status, said)
	}
	if status, _ := get(t, admin+"/livez"); status != http.StatusOK {
		t.Errorf("/livez: %d", status)
	}
	if _, err := appendOne(clienttest.Within(t), clienttest.Connect(t, s.said["connect"]), "s", esdb.Any{}); err == nil {
		t.Error("an append was taken")
	}
	fails(t, "disk is full", "backup", "--eventstore", s.said["connect"], "--to", dir+".tar")
	if _, err := os.Stat(dir + ".tar.partial"); err == nil {
		t.Error("half a backup was left behind")
	}
	if out := does(t, nil, "dump", "--eventstore", s.said["connect"]); strings.Count(out, "\n") != 11 {
		t.Error(out)
	}
	_, errs, err := run(t, strings.NewReader(dumpOf(20)), "import", "--eventstore", s.said["connect"])
	if err == nil || !strings.Contains(errs, "line 11: ") || !strings.Contains(errs, "disk is full") {
		t.Errorf("%v %s", err, errs)
	}
	s.stop(t)
}

// TestEventstoreNewerFormat: a directory of a later version of the program is left alone, and that is said.
func TestEventstoreNewerFormat(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	serveStore(t, dir).stop(t)
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Set([]byte("mformat"), []byte("2"), pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "none"}, {"verify"}, {"dump"}, {"scavenge"}} {
		fails(t, "data directory has format 2, this program knows 1", append(args, "--data-dir", dir)...)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// TestEventstoreBackupWhileWriting: everything that 16 writers had acknowledged when the backup began is in it, and nothing in it is
// other than it was written.
func TestEventstoreBackupWhileWriting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serveStore(t, filepath.Join(dir, "data"))
	connection := s.said["connect"]
	const writers = 16
	var acked [writers]atomic.Int64 // the last revision acknowledged
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	enough := make(chan struct{})
	var total atomic.Int64
	for w := range writers {
		acked[w].Store(-1)
		c := clienttest.Connect(t, connection)
		wg.Go(func() {
			for ctx.Err() == nil {
				r, err := appendOne(ctx, c, fmt.Sprintf("w-%d", w), esdb.Any{})
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("writer %d: %v", w, err)
					}
					return
				}
				acked[w].Store(int64(r.NextExpectedVersion))
				if total.Add(1) == 500 {
					close(enough)
				}
			}
		})
	}
	<-enough
	begun := map[string]int64{}
	for w := range writers {
		begun[fmt.Sprintf("w-%d", w)] = acked[w].Load()
	}
	tarball, tree := filepath.Join(dir, "backup.tar"), filepath.Join(dir, "backup")
	does(t, nil, "backup", "--eventstore", connection, "--to", tarball)
	does(t, nil, "backup", "--eventstore", connection, "--to", tree)
	if out := does(t, nil, "verify", "--eventstore", connection); !strings.HasPrefix(out, "whole: ") {
		t.Error(out)
	}
	cancel()
	wg.Wait()
	history := lineSet(does(t, nil, "dump", "--eventstore", connection))
	s.stop(t)
	for i, from := range []string{tarball, tree} {
		to := filepath.Join(dir, fmt.Sprintf("restored-%d", i))
		if out := does(t, nil, "restore", "--from", from, "--data-dir", to); !strings.Contains(out, "new history") || strings.Contains(out, s.said["history"]) {
			t.Error(out)
		}
		does(t, nil, "verify", "--data-dir", to)
		last := map[string]int64{}
		lines := strings.SplitAfter(strings.TrimSuffix(does(t, nil, "dump", "--data-dir", to), "\n"), "\n")
		for i, line := range lines {
			if !history[strings.TrimSpace(line)] && i < len(lines)-1 { // the last is the new history's name
				t.Fatalf("%s holds what the store never had: %s", from, line)
			}
			for w := range writers {
				if strings.Contains(line, fmt.Sprintf(`"stream":"w-%d",`, w)) {
					last[fmt.Sprintf("w-%d", w)]++
				}
			}
		}
		for stream, at := range begun {
			if last[stream]-1 < at {
				t.Errorf("%s: %s has %d events, revision %d was acknowledged before the backup began", from, stream, last[stream], at)
			}
		}
	}
}

func lineSet(text string) map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(text) {
		set[strings.TrimSpace(line)] = true
	}
	return set
}

// dumpOf is n events of a few streams as a dump would have them.
func dumpOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"position":%d,"stream":"s-%d","revision":%d,"id":"%s","type":"t","created":%d,"json":true,"data":{"n":%d},"meta_bytes":"AP8="}`+"\n",
			i+2, i%7, i/7, uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i)), 17_000_000_000_000_000+i, i)
	}
	return b.String()
}

// TestEventstoreImportKilled kills an import, and the server it goes to, in the middle; repeated, it ends with every event once.
func TestEventstoreImportKilled(t *testing.T) {
	t.Parallel()
	const n = 20_000
	text := dumpOf(n)
	body := func(dump string) string { _, rest, _ := strings.Cut(dump, "\n"); return rest }

	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data")
		cmd := exec.Command("daybook", "eventstore", "import", "--data-dir", dir)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It has the half and waits for more when it is killed, with what it is about to write.
		if _, err := io.WriteString(in, text[:len(text)/2]); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		out := does(t, strings.NewReader(text), "import", "--data-dir", dir)
		t.Logf("after the kill: %s", strings.TrimSpace(out))
		if out := does(t, strings.NewReader(text), "import", "--data-dir", dir); !strings.HasPrefix(out, fmt.Sprintf("%d lines: 0 events added, %d there already", n, n)) {
			t.Error(out)
		}
		if got := body(does(t, nil, "dump", "--data-dir", dir)); got != text {
			t.Error("what was imported is not what was dumped")
		}
		does(t, nil, "verify", "--data-dir", dir)
	})
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data")
		s := serveStore(t, dir)
		r, w := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			_, errs, err := run(t, r, "import", "--eventstore", s.said["connect"])
			_ = r.Close()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, errs)
			}
			ended <- err
		}()
		if _, err := io.WriteString(w, text[:len(text)*2/3]); err != nil {
			t.Fatal(err)
		}
		s.kill()
		_, _ = io.WriteString(w, text[len(text)*2/3:])
		_ = w.Close()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "Unavailable") {
			t.Errorf("the import of a killed server ended with %v", err)
		}
		s = serveStore(t, dir)
		out := does(t, strings.NewReader(text), "import", "--eventstore", s.said["connect"])
		t.Logf("after the kill: %s", strings.TrimSpace(out))
		if out := does(t, strings.NewReader(text), "import", "--eventstore", s.said["connect"]); !strings.HasPrefix(out, fmt.Sprintf("%d lines: 0 events added, %d there already", n, n)) {
			t.Error(out)
		}
		// One history, however it is dumped. The server's is of today, and so is every event's time.
		served := does(t, nil, "dump", "--eventstore", s.said["connect"])
		s.stop(t)
		if does(t, nil, "dump", "--data-dir", dir) != served || strings.Count(served, "\n") != n+1 {
			t.Error("the server's dump and the directory's differ")
		}
	})
}

// TestEventstoreBadImport: over the network, too, a bad line is named and all before it is in.
func TestEventstoreBadImport(t *testing.T) {
	t.Parallel()
	s := serveStore(t, filepath.Join(t.TempDir(), "data"), "--max-append-size", "1KiB")
	lines := strings.SplitAfter(dumpOf(2000), "\n")
	for bad, want := range map[string]string{"{\n": "line 1500: the JSON object is cut short", "x" + lines[1499]: "line 1500: ",
		strings.Replace(lines[1499], `{"n":1499}`, `"`+strings.Repeat("x", 1<<10)+`"`, 1): "line 1500: the event is larger than the 1024 bytes"} {
		text := strings.Join(lines[:1499], "") + bad + strings.Join(lines[1500:], "")
		out, errs, err := run(t, strings.NewReader(text), "import", "--eventstore", s.said["connect"])
		if err == nil || !strings.Contains(errs, want) || !strings.HasPrefix(out, "1500 lines: ") {
			t.Errorf("%v: %s %s; want %q", err, out, errs, want)
		}
		if got := strings.Count(does(t, nil, "dump", "--eventstore", s.said["connect"]), "\n"); got != 1500 {
			t.Errorf("%d events, want those of 1499 lines and the history's name", got)
		}
	}
	fails(t, `there is no stream "none"`, "dump", "--stream", "none", "--eventstore", s.said["connect"])
	if out := does(t, nil, "dump", "--stream", "s-3", "--from", "100", "--eventstore", s.said["connect"]); !strings.HasPrefix(out, `{"position":103,"stream":"s-3"`) {
		t.Errorf("%.200s", out)
	}
}

// TestEventstoreVerifyDamage: what is damaged on the disk is named by stream and revision.
func TestEventstoreVerifyDamage(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	does(t, strings.NewReader(dumpOf(100)), "import", "--data-dir", dir)
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	v, closer, err := db.Get([]byte("a\x00\x00\x00\x00\x00\x00\x00\x10"))
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(v)
	bad[len(bad)-1] ^= 1
	if err := errors.Join(closer.Close(), db.Set([]byte("a\x00\x00\x00\x00\x00\x00\x00\x10"), bad, pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
	if out := fails(t, "event store data is damaged: 1 places", "verify", "--data-dir", dir); !strings.HasPrefix(out, `stream "s-0", revision 2: position 16: `) {
		t.Error(out)
	}
	s := serveStore(t, dir)
	if out := fails(t, "event store data is damaged: 1 places", "verify", "--eventstore", s.said["connect"]); !strings.HasPrefix(out, `stream "s-0", revision 2: position 16: `) {
		t.Error(out)
	}
	if out := fails(t, "damaged", "verify", "--eventstore", s.said["connect"], "--json"); !strings.Contains(out, `"revision":2,"position":16`) {
		t.Error(out)
	}
	s.stop(t)
	// A file that is not there any more.
	tables, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	if err := os.Truncate(tables[len(tables)-1], 10); err != nil {
		t.Fatal(err)
	}
	fails(t, "damaged", "verify", "--data-dir", dir)
}
