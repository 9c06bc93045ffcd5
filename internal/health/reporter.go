package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	settle = 3 * time.Second // without a failing part, before an outage has ended
	remind = time.Minute     // between log lines of one outage, and between outages that are logged
)

// Reporter is one line of /readyz?verbose: the parts of one role, server or client.
type Reporter struct {
	name string
	log  *slog.Logger

	mu         sync.Mutex
	broken     map[string]error
	probes     []probe
	outage     *outage
	failures   uint64    // since the process started
	lastLogged time.Time // when the beginning of an outage was last logged
	notLogged  int       // outages since then that were not logged
}

type probe struct {
	part string
	look func(context.Context) error
}

// outage lasts from the first failing part until none has failed for settle.
type outage struct {
	since    time.Time
	leftOut  bool // not logged unless it lasts: another one began within remind before it
	failures int
	logged   time.Time
	healed   time.Time // when the last failing part recovered; zero: one is failing
}

func newReporter(name string, log *slog.Logger) *Reporter {
	return &Reporter{name: name, log: log, broken: map[string]error{}}
}

// Set records the outcome of one look at a part: nil when it is well. The part's earlier value is replaced.
func (r *Reporter) Set(part string, err error) {
	_, waiting := errors.AsType[*NotYet](err)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		delete(r.broken, part)
	case waiting:
		r.broken[part] = err
	default:
		r.broken[part] = err
		r.fail(part, err)
		return
	}
	if r.outage != nil && r.outage.healed.IsZero() && !r.failing() { // the first look that finds all well; more may follow
		healed := time.Now()
		r.outage.healed = healed
		time.AfterFunc(settle, func() { r.settled(healed) })
	}
}

// Forget drops a part that this process no longer answers for.
func (r *Reporter) Forget(part string) { r.Set(part, nil) }

// Reset drops every part; probes stay.
func (r *Reporter) Reset() {
	r.mu.Lock()
	parts := r.parts()
	r.mu.Unlock()
	for _, part := range parts {
		r.Forget(part)
	}
}

// Probe adds a part whose value is computed at every poll. look must honour its context, which ends after two seconds.
func (r *Reporter) Probe(part string, look func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.probes = append(r.probes, probe{part, look})
}

// Err joins the errors of all parts as they were last set; nil when all are well. Probes are not asked.
func (r *Reporter) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []error
	for _, part := range r.parts() {
		all = append(all, fmt.Errorf("%s: %w", part, r.broken[part]))
	}
	return errors.Join(all...)
}

// parts are the names of the broken parts, "partition 2" before "partition 10". The caller holds r.mu.
func (r *Reporter) parts() []string {
	names := make([]string, 0, len(r.broken))
	for part := range r.broken {
		names = append(names, part)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return names
}

// failing tells whether a part has failed; parts that are not ready yet have not. The caller holds r.mu.
func (r *Reporter) failing() bool {
	for _, err := range r.broken {
		if _, waiting := errors.AsType[*NotYet](err); !waiting {
			return true
		}
	}
	return false
}

// fail counts a failure and logs the outage's beginning or a reminder. The caller holds r.mu.
func (r *Reporter) fail(part string, err error) {
	r.failures++
	now := time.Now()
	if r.outage == nil {
		r.outage = &outage{since: now, failures: 1, logged: now}
		if r.outage.leftOut = !r.lastLogged.IsZero() && now.Sub(r.lastLogged) < remind; r.outage.leftOut {
			r.notLogged++
			return
		}
		r.begin("is failing; it is tried again until it succeeds", now, part, err)
		return
	}
	r.outage.failures++
	r.outage.healed = time.Time{}
	if r.outage.leftOut && now.Sub(r.lastLogged) >= remind {
		r.outage.leftOut, r.outage.logged = false, now
		r.notLogged--
		r.begin("is failing; it is tried again until it succeeds", now, part, err, "for", now.Sub(r.outage.since).Round(time.Second).String())
		return
	}
	if !r.outage.leftOut && now.Sub(r.outage.logged) >= remind {
		r.outage.logged = now
		r.log.Warn(r.name+" is still failing", "part", part, "error", err,
			"for", now.Sub(r.outage.since).Round(time.Second).String(), "failures", r.outage.failures, "parts", len(r.broken))
	}
}

// begin logs that an outage began, and how many shorter ones before it were not logged. The caller holds r.mu.
func (r *Reporter) begin(what string, now time.Time, part string, err error, more ...any) {
	args := append([]any{"part", part, "error", err}, more...)
	if r.notLogged > 0 {
		args = append(args, "outages_not_logged", r.notLogged)
	}
	r.lastLogged, r.notLogged = now, 0
	r.log.Warn(r.name+" "+what, args...)
}

// settled ends the outage unless something has failed since a recovery.
func (r *Reporter) settled(healed time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outage == nil || !r.outage.healed.Equal(healed) {
		return
	}
	if r.outage.leftOut {
		time.AfterFunc(time.Until(r.lastLogged.Add(remind)), r.tell)
	} else {
		r.log.Info(r.name+" works again", "after", time.Since(r.outage.since).Round(time.Millisecond).String(), "failures", r.outage.failures)
	}
	r.outage = nil
}

// tell logs how many outages were not logged, unless the line of the next one has done so.
func (r *Reporter) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outage != nil || r.notLogged == 0 || time.Since(r.lastLogged) < remind {
		return
	}
	r.log.Info(r.name+" failed for moments", "outages_not_logged", r.notLogged)
	r.notLogged = 0
}

// ask looks at all probes at once and then gives the verdict.
func (r *Reporter) ask(ctx context.Context) Verdict {
	r.mu.Lock()
	probes := r.probes
	r.mu.Unlock()
	var looking sync.WaitGroup
	for _, p := range probes {
		looking.Go(func() { r.Set(p.part, p.look(ctx)) })
	}
	looking.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	v := Verdict{Name: r.name, OK: true, Starting: true}
	for _, err := range r.broken {
		_, partial := errors.AsType[*Partial](err)
		_, waiting := errors.AsType[*NotYet](err)
		v.OK, v.Starting = v.OK && partial, v.Starting && (partial || waiting)
	}
	v.Starting = v.Starting && !v.OK
	if len(r.broken) == 0 {
		return v
	}
	v.Error = r.summary()
	if r.outage != nil {
		v.Since, v.Failures = &r.outage.since, r.outage.failures
	}
	return v
}

// summaryParts bounds how many parts one line names.
const summaryParts = 3

// summary names the first broken parts: in an outage most say the same. The caller holds r.mu.
func (r *Reporter) summary() string {
	var said []string
	parts := r.parts()
	for _, part := range parts[:min(len(parts), summaryParts)] {
		said = append(said, part+": "+r.broken[part].Error())
	}
	if more := len(parts) - summaryParts; more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(said, "; ")
}
