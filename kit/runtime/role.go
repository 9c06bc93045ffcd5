package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// task is something this process does until its context ends. It rides out what passes by itself (a server that is
// away); an error it returns is for people, and stops the process.
type task interface {
	Name() string
	Run(ctx context.Context) error
}

type role struct {
	name string
	run  func(context.Context) error
}

func (r role) Name() string                  { return r.name }
func (r role) Run(ctx context.Context) error { return r.run(ctx) }

// runAll runs roles until the context ends or one of them fails, which ends the others.
func runAll(ctx context.Context, roles []task, log *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, r := range roles {
		wg.Go(func() {
			err := r.Run(ctx)
			switch {
			case ctx.Err() != nil:
			case err == nil:
				cancel(fmt.Errorf("role %s ended", r.Name()))
			default:
				cancel(fmt.Errorf("role %s: %w", r.Name(), err))
			}
		})
	}
	<-ctx.Done()
	stopped := meanwhile(log, "stopping: requests and batches under way are finished first, a second signal ends the process at once")
	wg.Wait()
	stopped()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}
