package mutant_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/daybook-dev/daybook/internal/mutant"
)

// catch is where a mutant is noticed: each of these tests fails with it and passes without.
type catch struct {
	mutant mutant.Name
	in     string // package
	tests  []string
}

const store = "internal/eventserver/store"

var catches = []catch{
	{mutant.FsyncSkipped, store, []string{"TestPowerCuts"}},
	{mutant.VisibleBeforeSynced, store, []string{"TestPowerCuts"}},
	{mutant.AcknowledgedBeforeAppend, "kit/es", []string{"TestStoreThatCannotBeReached", "TestDeadlineOfCaller"}},
	{mutant.CheckpointApart, "internal/worker", []string{"TestRowsAndCheckpointStandOrFallTogether"}},
	{mutant.DuplicateCheckDropped, "internal/feed", []string{"TestFollow"}},
	{mutant.GapIgnored, "internal/feed", []string{"TestFollow"}},
	{mutant.PrevWrong, "internal/relay", []string{"TestCheckpointNeverSaysMoreThanIsAcknowledged"}},
	{mutant.UndoNotRecorded, "commands/stock", []string{"TestAReleaseOvertakesItsReservation", "TestRelease"}},
	{mutant.EffectLostAtCrash, "internal/orchestrator", []string{"TestWhatIsOwedStandsWithTheCheckpoint"}},
	{mutant.StaleRejection, "kit/es", []string{"TestAnswersThatAppendNothingAreFresh"}},
	{mutant.AttemptMissing, "kit/es", []string{"TestUUID"}},
	{mutant.CompensationForgotten, "sagas", []string{"TestTraces", "TestAnyOrder"}},
	{mutant.AnsweredBeforeSynced, store, []string{"TestPowerCuts"}},
	{mutant.UnsyncedHeadsShown, store, []string{"TestPowerCuts"}},
}

// extra are flags of a package's tests while a mutant is awake: enough power cuts that none lives through them by luck, and no
// files left behind by properties that do not hold.
var extra = map[string][]string{
	store:            {"-powercuts=4000"},
	"internal/feed":  {"-rapid.nofailfile"},
	"internal/relay": {"-rapid.nofailfile"},
}

// The test binaries are built once, with every mutant in them, asleep. Each named test must pass there, and fail, as a test fails,
// when its mutant is woken.
func TestEveryMutantIsCaught(t *testing.T) {
	if len(catches) != len(mutant.All()) {
		t.Errorf("%d mutants have a test, there are %d", len(catches), len(mutant.All()))
	}
	dir := t.TempDir()
	named := map[string][]string{} // by package
	for _, c := range catches {
		named[c.in] = append(named[c.in], c.tests...)
	}
	args := []string{"test", "-c", "-tags", "mutant", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}
	for _, in := range slices.Sorted(maps.Keys(named)) {
		args = append(args, "./"+in)
	}
	began := time.Now()
	command(t, root, args...)
	t.Logf("built with every mutant in %.1f s", time.Since(began).Seconds())

	for _, in := range slices.Sorted(maps.Keys(named)) {
		slices.Sort(named[in])
		tests := slices.Compact(named[in])
		if out, code := run(t, dir, in, "", tests); code != 0 || !all(out, "PASS", tests) {
			t.Fatalf("%s without a mutant: exit code %d\n%s", in, code, end(out))
		}
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "mutant\tcaught by\tseconds")
	for _, c := range catches {
		began := time.Now()
		out, code := run(t, dir, c.in, c.mutant, c.tests)
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

	if words := traces(t, filepath.Join(dir, "es.test")); len(words) != 1+len(mutant.All()) {
		t.Errorf("of a program with mutants only %q is seen", words)
	}
	out, code := run(t, dir, "kit/es", "no-such-thing", nil)
	if code != 2 || !bytes.Contains(out, []byte(`no mutant "no-such-thing"`)) {
		t.Errorf("an unknown name ends with exit code %d:\n%s", code, out)
	}
	for _, n := range mutant.All() {
		if !bytes.Contains(out, []byte(n)) {
			t.Errorf("who gives an unknown name is not told of %s", n)
		}
	}
}

// The compiler leaves every mutant out of the program.
func TestTheProgramHasNoMutant(t *testing.T) {
	program := filepath.Join(t.TempDir(), "daybook")
	command(t, root, "build", "-ldflags", "-s -w", "-o", program, "./cmd/daybook")
	if words := traces(t, program); len(words) > 0 {
		t.Errorf("the program contains %q", words)
	}
}

// traces are the words by which a program with mutants is known.
func traces(t *testing.T, program string) (found []string) {
	t.Helper()
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	words := []string{"DAYBOOK_MUTANT"}
	for _, n := range mutant.All() {
		words = append(words, string(n))
	}
	for _, word := range words {
		if bytes.Contains(b, []byte(word)) {
			found = append(found, word)
		}
	}
	return found
}

const root = "../.."

// command runs the go tool.
func command(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// run runs tests of a package, with a mutant awake.
func run(t *testing.T, dir, in string, m mutant.Name, tests []string) (out []byte, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	args := []string{"-test.v", "-test.timeout=5m", "-test.run=^(" + strings.Join(tests, "|") + ")$"}
	if m != "" {
		args = append(args, extra[in]...)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, filepath.Base(in)+".test"), args...)
	cmd.Dir = filepath.Join(root, in)
	cmd.Env = append(os.Environ(), "DAYBOOK_MUTANT="+string(m))
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
