package pgserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Health is nil while Postgres runs and may be written to.
func (s *Server) Health() error {
	if err := s.Err(); err != nil {
		return err
	}
	select {
	case <-s.process().done:
		return errors.Join(errors.New("the server has ended and is being started again"), s.space.Err())
	default:
	}
	if err := s.space.Err(); err != nil {
		return fmt.Errorf("read-only: %w", err)
	}
	return nil
}

// readOnly makes new transactions read-only while space is low: a clean refusal, where Postgres would end every session with a
// PANIC when it cannot write its log.
func (s *Server) readOnly(ctx context.Context, low bool) error {
	conn, err := pgx.Connect(ctx, s.SuperuserURL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err = conn.Exec(ctx, `set default_transaction_read_only = off`); err != nil {
		return err
	}
	change := `alter system reset default_transaction_read_only`
	if low {
		change = `alter system set default_transaction_read_only = on`
	}
	if _, err = conn.Exec(ctx, change); err != nil {
		return err
	}
	if _, err = conn.Exec(ctx, `select pg_reload_conf()`); err != nil {
		return err
	}
	if low {
		s.cfg.Logger.WarnContext(ctx, "the disk is nearly full: Postgres is read-only", "error", s.space.Err())
	} else {
		s.cfg.Logger.InfoContext(ctx, "Postgres may be written to")
	}
	return nil
}

// restart starts Postgres again after it died. Want of space is no reason to give up: the reserve is released, and then it is
// tried until there is some.
func (s *Server) restart() error {
	for {
		ctx, cancel := context.WithTimeout(s.life, patience)
		err := s.run(ctx, s.Addr())
		cancel()
		if err == nil || !noSpace(err) {
			return err
		}
		if !s.space.Release() {
			s.cfg.Logger.Debug("Postgres cannot start for want of space", "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-s.life.Done():
			return err
		}
	}
}

// noSpace tells whether Postgres said that the disk is full.
func noSpace(err error) bool { return saysFull(err.Error()) }

func saysFull(text string) bool {
	return strings.Contains(text, "No space left on device") || strings.Contains(text, "Disk quota exceeded")
}

// panicked releases the reserve when Postgres ends its sessions for want of space: it recovers by itself then, if it can.
func (s *Server) panicked(line string) {
	if (strings.HasPrefix(line, "PANIC:") || strings.HasPrefix(line, "FATAL:")) && saysFull(line) {
		s.space.Release()
	}
}
