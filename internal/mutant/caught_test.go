package mutant_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// catch is where a mutant is noticed: each of these tests fails with it and passes without.
type catch struct {
	mutant string
	in     string // package
	tests  []string
}

const store = "internal/eventserver/store"

var catches = []catch{
	{"fsync-skipped", store, []string{"TestPowerCuts"}},
	{"visible-before-synced", store, []string{"TestPowerCuts"}},
	{"acknowledged-before-append", "kit/es", []string{"TestStoreThatCannotBeReached", "TestDeadlineOfCaller"}},
	{"checkpoint-apart", "internal/worker", []string{"TestRowsAndCheckpointStandOrFallTogether"}},
	{"epoch-ignored", "internal/worker", []string{"TestAStaleWorkerDoesNotFeedABuildThatLeft"}},
	{"duplicate-check-dropped", "internal/feed", []string{"TestFollow"}},
	{"gap-ignored", "internal/feed", []string{"TestFollow"}},
	{"prev-wrong", "internal/relay", []string{"TestCheckpointNeverSaysMoreThanIsAcknowledged"}},
	{"undo-not-recorded", "commands/stock", []string{"TestAReleaseOvertakesItsReservation", "TestRelease"}},
	{"effect-lost-at-crash", "internal/orchestrator", []string{"TestWhatIsOwedIsWrittenWithTheCheckpoint"}},
	{"stale-rejection", "kit/es", []string{"TestAnswersThatAppendNothingAreFresh"}},
	{"attempt-missing", "kit/es", []string{"TestUUID"}},
	{"compensation-forgotten", "sagas", []string{"TestTraces", "TestAnyOrder"}},
	{"answered-before-synced", store, []string{"TestPowerCuts"}},
	{"unsynced-heads-shown", store, []string{"TestPowerCuts"}},
}

// extra are flags of a package's tests with a mutant: enough power cuts that none lives through them by luck, and no files left behind
// by properties that do not hold.
var extra = map[string][]string{
	store:            {"-powercuts=4000"},
	"internal/feed":  {"-rapid.nofailfile"},
	"internal/relay": {"-rapid.nofailfile"},
}

// Each named test passes on the program as it is, and fails, as a test fails, with its mutant.
func TestEveryMutantIsCaught(t *testing.T) {
	sound := map[string]bool{} // packages whose tests were seen to pass
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "mutant\tcaught by\tseconds")
	for _, c := range catches {
		if !sound[c.in] {
			tests := named(c.in)
			if out, code := run(t, c.in, build(t, c.in, ""), nil, tests); code != 0 || !all(out, "PASS", tests) {
				t.Fatalf("%s without a mutant: exit code %d\n%s", c.in, code, end(out))
			}
			sound[c.in] = true
		}
		began := time.Now()
		out, code := run(t, c.in, build(t, c.in, c.mutant), extra[c.in], c.tests)
		by := strings.Join(c.tests, ", ") + " in " + c.in
		switch {
		case code == 0:
			t.Errorf("%s is not noticed by %s", c.mutant, by)
			by = "NOBODY"
		case code != 1 || !all(out, "FAIL", c.tests) || bytes.Contains(out, []byte("panic: ")):
			t.Errorf("%s: %s ends otherwise than by failing, exit code %d\n%s", c.mutant, by, code, end(out))
			by = "?"
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f\n", c.mutant, by, time.Since(began).Seconds())
	}
	w.Flush()
	t.Logf("\n%s", table.String())
}

// named are the tests of a package that catch something.
func named(in string) (tests []string) {
	for _, c := range catches {
		if c.in == in {
			tests = append(tests, c.tests...)
		}
	}
	slices.Sort(tests)
	return slices.Compact(tests)
}

// build makes a package's test binary, with a mutant if one is named.
func build(t *testing.T, in, mutant string) (binary string) {
	t.Helper()
	dir := t.TempDir()
	binary = filepath.Join(dir, "test")
	args := []string{"test", "-c", "-ldflags", "-s -w", "-o", binary}
	if mutant != "" {
		p := load(t, mutant)
		instead, overlay := filepath.Join(dir, filepath.Base(p.file)), filepath.Join(dir, "overlay.json")
		file, err := filepath.Abs(filepath.Join(root, p.file))
		if err != nil {
			t.Fatal(err)
		}
		replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: instead}})
		if err == nil {
			err = errors.Join(os.WriteFile(instead, []byte(p.patched(t)), 0o600), os.WriteFile(overlay, replace, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, "./"+in)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the tests of %s with %q: %v\n%s", in, mutant, err, out)
	}
	return binary
}

// run runs tests of a package.
func run(t *testing.T, in, binary string, flags, tests []string) (out []byte, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	args := append([]string{"-test.v", "-test.timeout=5m", "-test.run=^(" + strings.Join(tests, "|") + ")$"}, flags...)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = filepath.Join(root, in)
	out, err := cmd.CombinedOutput()
	if exit := (&exec.ExitError{}); err != nil && !errors.As(err, &exit) {
		t.Fatalf("tests of %s: %v", in, err)
	}
	return out, cmd.ProcessState.ExitCode()
}

// all tells whether each of the tests ended in this way.
func all(out []byte, how string, tests []string) bool {
	return !slices.ContainsFunc(tests, func(name string) bool {
		return !bytes.Contains(out, []byte("--- "+how+": "+name+" ("))
	})
}

func end(out []byte) []byte { return out[max(0, len(out)-4000):] }
