package crash_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/market"
)

// way is an order that goes a certain way.
type way string

const (
	approve   way = "approve"
	decline   way = "decline"
	short     way = "short"
	cancelled way = "cancelled" // while its payment is under way: the placement undoes itself
	withdrawn way = "withdrawn" // while its buyer is waited for: it cannot be confirmed before it is cancelled
	recalled  way = "recalled"  // after it was confirmed: a saga of its own
	silent    way = "silent"    // charged, and no answer comes
)

// ways says which orders come past each point. Every point has one, or the test fails.
func ways() map[failpoint.Name][]way {
	all := map[failpoint.Name][]way{}
	for _, p := range failpoint.All() {
		all[p] = []way{approve}
	}
	maps.Copy(all, map[failpoint.Name][]way{
		failpoint.AppendBefore:         {approve, cancelled},
		failpoint.AppendAfter:          {approve, recalled},
		failpoint.AckBefore:            {approve, recalled},
		failpoint.SagaEventBefore:      {decline},
		failpoint.SagaEventAfter:       {short},
		failpoint.SagaWaitingAfter:     {cancelled},
		failpoint.EffectBefore:         {approve, recalled},
		failpoint.EffectAfter:          {approve, recalled},
		failpoint.UndoBefore:           {decline, withdrawn, short},
		failpoint.UndoAfter:            {decline, withdrawn},
		failpoint.ProviderCallBefore:   {approve, silent},
		failpoint.ProviderCallAfter:    {approve, decline},
		failpoint.OutcomeAfter:         {approve, cancelled},
		failpoint.SimulatorChargeAfter: {approve, silent},
	})
	return all
}

// death is one point with one way, and the how-manieth time that it is come past.
type death struct {
	point failpoint.Name
	way   way
	n     int
}

func (d death) String() string { return fmt.Sprintf("%s:%d", d.point, d.n) }

// TestKilledAnywhere kills the whole process, as kill -9 does, at every named point along an order's way, under a client that
// insists; after each the program is started again on what is left.
func TestKilledAnywhere(t *testing.T) {
	all := ways()
	if len(all) < 20 {
		t.Fatalf("only %d points are named", len(all))
	}
	const lanes = 2
	rounds := 1
	if os.Getenv("DAYBOOK_LONG") != "" {
		rounds = 20
	}
	for round := range rounds {
		var deaths [lanes][]death
		i := 0
		for _, p := range failpoint.All() {
			for _, w := range all[p] {
				n := 1
				if round > 0 && !once(p) {
					n += rand.IntN(2)
				}
				deaths[i%lanes] = append(deaths[i%lanes], death{p, w, n})
				i++
			}
		}
		t.Run(fmt.Sprintf("round%d", round+1), func(t *testing.T) {
			for lane := range lanes {
				t.Run(fmt.Sprintf("lane%d", lane+1), func(t *testing.T) {
					t.Parallel()
					dieAt(t, testenv.On(t, testenv.Embedded), deaths[lane])
				})
			}
		})
	}
}

// TestKilledOnOtherServers kills the process at five points, with servers that outlive it.
func TestKilledOnOtherServers(t *testing.T) {
	t.Parallel()
	for _, kind := range []testenv.Kind{testenv.External, testenv.Containers} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			dieAt(t, testenv.On(t, kind), []death{
				{failpoint.AppendAfter, approve, 1},
				{failpoint.PublishAfter, approve, 1},
				{failpoint.ProjectorBefore, cancelled, 1},
				{failpoint.EffectAfter, recalled, 1},
				{failpoint.ProviderCallAfter, decline, 1},
			})
		})
	}
}

// once tells whether some order comes past a point only once.
func once(p failpoint.Name) bool {
	return slices.Contains([]failpoint.Name{
		failpoint.AckBefore, failpoint.AckAfter, failpoint.ProviderCallBefore, failpoint.ProviderCallAfter, failpoint.OutcomeAfter,
		failpoint.SimulatorChargeAfter, failpoint.UndoBefore, failpoint.UndoAfter, failpoint.ReactorWaitingBefore, failpoint.ReactorWaitingAfter,
	}, p)
}

// victim is a program that is killed and started again on one directory and one address.
type victim struct {
	t       *testing.T
	dir     string
	servers *testenv.Servers
	file    string // says where to die
	listen  string
	process *testenv.Process
}

func (v *victim) start() {
	v.t.Helper()
	v.arm("")
	v.process = testenv.Start(v.t, testenv.Options{
		DataDir: v.dir, Servers: v.servers, Args: []string{"--listen", v.listen}, Env: []string{"DAYBOOK_FAILPOINT_FILE=" + v.file},
	})
}

func (v *victim) arm(at string) {
	v.t.Helper()
	if err := os.WriteFile(v.file, []byte(at), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

func dieAt(t *testing.T, servers *testenv.Servers, deaths []death) {
	t.Helper()
	v := &victim{t: t, dir: testenv.DataDir(t), servers: servers, file: filepath.Join(t.TempDir(), "failpoint"), listen: testenv.Address(t)}
	s := market.New(v.listen)
	v.start()
	if err := errors.Join(s.Stocked(t.Context(), "PLENTY", 1_000_000), s.Stocked(t.Context(), "FEW", 1)); err != nil {
		t.Fatal(err)
	}
	var walking sync.WaitGroup
	ctx, giveUp := context.WithTimeout(t.Context(), 10*time.Minute)
	defer giveUp()
	hit := 0
	for i, d := range deaths {
		began := time.Now()
		id := fmt.Sprintf("%s-%d", d.way, i+1)
		ready := make(chan struct{})
		walking.Go(func() {
			if err := walk(ctx, s, id, d.way, ready, func() { v.arm(d.String()) }); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
		<-ready
		if !diesWithin(v.process, 2*time.Minute) {
			t.Errorf("%s, order %s: the point was not come to", d, id)
			v.process.Kill()
		} else {
			hit++
		}
		died := time.Since(began)
		v.start()
		if d.way != silent { // whose provider is waited for
			s.EndedOne(t, id, 2*time.Minute)
		}
		t.Logf("%-28s %-10s died after %4d ms, had ended after %5d ms", d, d.way, died.Milliseconds(), time.Since(began).Milliseconds())
	}
	walking.Wait()
	s.Ended(t, 3*time.Minute)
	t.Logf("%d of %d deaths", hit, len(deaths))
	s.StillTrue(t)
	look := append([]string{"--data-dir", v.dir}, servers.Args()...)
	r := market.Examine(t, look...)
	if !r.AtRest || r.Checked["charges"] == 0 || r.Checked["rows"] == 0 || r.Checked["kafka records"] == 0 {
		t.Errorf("the doctor has not seen all: at rest %t %v, %v", r.AtRest, r.Moving, r.Checked)
	}
	v.process.Stop()
	if r := market.Examine(t, look...); !slices.Contains([]int{s.Orders()}, r.Checked["orders"]) {
		t.Errorf("the doctor saw %d orders of a system at rest, there are %d", r.Checked["orders"], s.Orders())
	}
}

func diesWithin(p *testenv.Process, d time.Duration) bool {
	select {
	case <-p.Exited():
		return p.Killed()
	case <-time.After(d):
		return false
	}
}

// walk leads an order along its way. arm is called before the step that comes past the points, and ready closed then.
func walk(ctx context.Context, s *market.Market, id string, w way, ready chan<- struct{}, arm func()) error {
	begin := sync.OnceFunc(func() { arm(); close(ready) })
	defer begin()
	line, cancel := testenv.Line("PLENTY", 2), func() error { return s.Command(ctx, "/v1/orders/"+id+"/cancel", "cancel-"+id, "") }
	switch w {
	case approve:
		begin()
		return s.Place(ctx, id, "tok_approve", "confirmed", line, testenv.Line("PLENTY", 1))
	case decline:
		begin()
		return s.Place(ctx, id, "tok_decline", "rejected", line)
	case short:
		begin()
		return s.Place(ctx, id, "tok_approve", "rejected", testenv.Line("FEW", 2), line)
	case silent:
		begin()
		return s.Place(ctx, id, "tok_silent_approved", "confirmed", line)
	case cancelled, withdrawn:
		token := map[way]string{cancelled: "tok_slow_900", withdrawn: "tok_action"}[w]
		begin()
		if err := s.Place(ctx, id, token, "cancelled", line); err != nil {
			return err
		}
		for !s.Paying(ctx, id) && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		return cancel()
	case recalled:
		if err := s.Place(ctx, id, "tok_approve", "confirmed", line); err != nil {
			return err
		}
		for s.Status(ctx, id) != "confirmed" && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		s.Must(id, "cancelled")
		begin()
		return cancel()
	}
	return fmt.Errorf("no way %q", w)
}
