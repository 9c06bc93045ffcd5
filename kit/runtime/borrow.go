package runtime

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/daybook-dev/daybook/internal/secrets"
)

// SystemFor gives the running system, or runs one of some roles until it is released.
func SystemFor(ctx context.Context, d Domain, cfg Config, log *slog.Logger, roles func(string) bool) (*System, func() error, error) {
	system, err := Attach(ctx, d, cfg, log)
	if err == nil {
		return system, func() error { system.Close(); return nil }, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	return borrow(ctx, d, cfg, log, roles)
}

// borrow runs a system of some roles until it is released.
func borrow(ctx context.Context, d Domain, cfg Config, log *slog.Logger, roles func(string) bool) (*System, func() error, error) {
	cfg.Roles = slices.DeleteFunc(d.Roles(), func(r string) bool { return !roles(r) })
	cfg.AdminListen = "127.0.0.1:0"
	node, err := Start(ctx, d, cfg, log)
	if err != nil {
		return nil, nil, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- node.Run(running) }()
	release := func() error { stop(); return <-ended }
	if err := node.Ready(ctx, nil); err != nil {
		return nil, nil, errors.Join(err, release())
	}
	if node.system != nil {
		return node.system, release, nil
	}
	var system *System
	sec, err := secrets.Load(secrets.Config{Dir: cfg.SecretsDir()}, d.needs(cfg.Roles))
	if err == nil {
		system, err = connect(ctx, d, cfg, merge(configured(d, cfg), node.addresses), local(node.servers), nil, sec, log, nil, nil)
	}
	if err != nil {
		return nil, nil, errors.Join(err, release())
	}
	return system, func() error { system.Close(); return release() }, nil
}

// anywhere lets all servers listen on free ports.
func anywhere(d Domain, cfg Config) (Domain, Config) {
	const free = "127.0.0.1:0"
	cfg.EventStoreListen, cfg.KafkaListen, cfg.PostgresListen = free, free, free
	d.Servers = slices.Clone(d.Servers)
	for i := range d.Servers {
		d.Servers[i].Listen = free
	}
	return d, cfg
}

func serversOfRecord(role string) bool {
	return role == RoleEventStore || role == RoleKafka || role == RolePostgres
}
