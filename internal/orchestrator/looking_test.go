package orchestrator

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/sagas"
)

// pausing holds one reading of the checkpoints back after its rows have come.
type pausing struct {
	armed      atomic.Bool
	read, goOn chan struct{}
}

type statement struct{}

func (p *pausing) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, statement{}, q.SQL)
}

func (p *pausing) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	sql, _ := ctx.Value(statement{}).(string)
	if strings.Contains(sql, "select name, partition, position") && p.armed.CompareAndSwap(true, false) {
		p.read <- struct{}{}
		<-p.goOn
	}
}

// A feed looks at all checkpoints while partitions are being applied. What it read before one moved must not be taken for
// where that one is: the worker would be fenced by itself.
func TestLookingFencesNoWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sagas.Deadlines{})
	slow := &pausing{read: make(chan struct{}), goOn: make(chan struct{})}
	cfg := w.pool.Config()
	cfg.ConnConfig.Tracer = slow
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	o := w.alone(func(c *Config) { c.Pool = pool })
	p := partitionOf("unused")
	first, err := o.Checkpoints(t.Context(), []int{p})
	if err != nil {
		t.Fatal(err)
	}
	at := first[p]
	apply := func() {
		t.Helper()
		r := es.Record{Stream: es.StreamID{Category: "product", Key: "unused"}, Position: at + 1, Type: "product.renamed", Data: []byte("{}"), Meta: []byte(`{"schema":1}`)}
		if err := o.Apply(t.Context(), p, at, []es.Record{r}); err != nil {
			t.Error(err)
		}
		at++
	}
	slow.armed.Store(true)
	looked := make(chan error, 1)
	go func() {
		_, err := o.Checkpoints(t.Context(), []int{p})
		looked <- err
	}()
	<-slow.read
	apply()
	close(slow.goOn)
	if err := <-looked; err != nil {
		t.Error(err)
	}
	apply()
}
