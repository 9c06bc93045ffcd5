package worker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-dev/daybook/internal/postgres"
)

// settings of each transaction. A crash may lose it, because its checkpoint is in it.
const settings = `select set_config('synchronous_commit', $1, true), set_config('lock_timeout', $2, true), set_config('statement_timeout', $3, true)`

// ofSession are those that no transaction changes. Every statement looks rows up by their primary keys, whatever the tables hold: nothing
// else may be planned, so a plan made while a table was empty is as good as any later, and one per statement and connection is enough.
// Planning each time costs more than half of a live event. PgBouncer does not keep a session's settings: there each transaction makes them.
var ofSession = map[string]string{
	"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
	"enable_bitmapscan": "off", "jit": "off", "idle_in_transaction_session_timeout": "10s",
}

// eachTime are the settings of a transaction whose session has none.
func eachTime() string {
	all := []string{settings}
	for _, name := range slices.Sorted(maps.Keys(ofSession)) {
		all = append(all, fmt.Sprintf("set_config('%s', '%s', true)", name, ofSession[name]))
	}
	return strings.Join(all, ", ")
}

// limits bound what one statement may take, in Postgres itself: the connection is kept.
type limits struct{ lock, statement time.Duration }

const tightened = `select set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)`

var (
	// Waiting for a checkpoint is the fault of no build: another worker has it.
	forCheckpoint = limits{20 * time.Second, 50 * time.Second}
	// A build that is alone in a batch keeps no other waiting.
	forOne = limits{20 * time.Second, 50 * time.Second}
	// One that catches up alone gives its connection back soon.
	forApart = limits{time.Second, 30 * time.Second}
	// One that joins keeps the group waiting.
	forJoining = limits{100 * time.Millisecond, time.Second}
)

func (l limits) texts() (lock, statement string) {
	return strconv.FormatInt(l.lock.Milliseconds(), 10), strconv.FormatInt(l.statement.Milliseconds(), 10)
}

// opening begins a transaction.
func (w *Worker) opening(l limits, lasting bool) *pgx.Batch {
	lock, statement := l.texts()
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue(w.settings, map[bool]string{true: "on", false: "off"}[lasting], lock, statement)
	return b
}

func (l limits) queue(b *pgx.Batch) {
	lock, statement := l.texts()
	b.Queue(tightened, lock, statement)
}

// tolerance is what a build may take of a transaction that others share.
type tolerance struct {
	tables limits        // of its statements
	slow   time.Duration // of all of them: beyond it, and if that is most of the time, it leaves before the next one
}

var usual = tolerance{tables: limits{250 * time.Millisecond, 2 * time.Second}, slow: 400 * time.Millisecond}

// trouble is an error that builds alone are the reason of.
type trouble struct {
	builds    []*build
	partition int // where, or everywhere
	err       error
}

const everywhere = -1

func (t *trouble) Error() string { return t.err.Error() }
func (t *trouble) Unwrap() error { return t.err }

// unclear is an error at the end of a transaction that does not tell whose rows it is about.
type unclear struct{ err error }

func (u *unclear) Error() string { return u.err.Error() }
func (u *unclear) Unwrap() error { return u.err }

// blame attributes an error of a build's statement to the build, unless it says that Postgres is away or the caller is.
func blame(conn *pgx.Conn, b *build, err error) error {
	if err == nil || conn.IsClosed() || postgres.Unreachable(err) {
		return err
	}
	return &trouble{[]*build{b}, everywhere, fmt.Errorf("projection %s: %w", b.plan.Name, err)}
}

func code(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// ofTable tells whether an error is about a table rather than about what is written: other partitions will meet it too.
func ofTable(err error) bool {
	return code(err) == lockNotAvailable || code(err) == queryCanceled || errors.Is(err, errSlow)
}

// ofData tells whether it is about what is written: about one partition's events.
func ofData(err error) bool {
	c := code(err)
	return len(c) == 5 && (c[:2] == "22" || c[:2] == "23")
}

const (
	lockNotAvailable = "55P03"
	queryCanceled    = "57014"
)

var errSlow = errors.New("its tables take most of the time")
