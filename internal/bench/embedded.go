package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/daybook-dev/daybook/internal/esclient"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// embedded is an event store in this process, and the ways to it that need no network.
type embedded struct {
	server        *eventserver.Server
	local, socket *esclient.Client
}

func (b *bench) embed(ctx context.Context, name string) (_ *embedded, err error) {
	e := &embedded{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("event store in this process: %w", err), e.close())
		}
	}()
	socket := filepath.Join(b.dir, name+".sock")
	if e.server, err = eventserver.Start(ctx, eventserver.Config{Dir: filepath.Join(b.dir, name), Socket: socket}); err != nil {
		return nil, err
	}
	if e.local, err = esclient.Open(ctx, esclient.Config{ConnectionString: e.server.ConnectionString(), Local: e.server.Local()}); err != nil {
		return nil, err
	}
	if e.socket, err = esclient.Open(ctx, esclient.Config{ConnectionString: e.server.ConnectionString(), Socket: socket}); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *embedded) close() error {
	var errs []error
	for _, c := range []*esclient.Client{e.local, e.socket} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	if e.server != nil {
		errs = append(errs, e.server.Close())
	}
	return errors.Join(errs...)
}
