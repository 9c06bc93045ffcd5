package eventserver

import (
	"context"

	"google.golang.org/grpc"

	"github.com/daybook-dev/daybook/internal/eventserver/filter"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/eventserver/wire"
)

// A reader takes events from the store a page at a time and sends them with no iterator open: however slowly a client
// reads, it holds one page of memory and nothing of the store's.
const (
	pageFirst  = 32 // many ask for everything and take one event
	pageEvents = 512
	pageBytes  = 256 << 10
	pageScan   = 8192 // events looked at for a filter
)

// page is what was read and is to be sent.
type page struct {
	st       grpc.ServerStream
	text     bool // UUIDs as text
	resolve  bool
	s        *Server
	filter   *filter.Filter
	left     uint64 // events that may still be sent
	messages []any
	limit    int // events on the page under way: pages grow
	bytes    int
	seen     int
	err      error
}

// take adds an event and tells whether the page has room for more.
func (p *page) take(r *store.Record) bool {
	p.seen++
	if p.filter != nil {
		ok, err := p.filter.Match(r.Stream, r.Type)
		if err != nil {
			p.err = invalid("%v", err)
			return false
		}
		if !ok {
			return p.room()
		}
	}
	m := wire.EventResp{Event: r, TextUUID: p.text, Retries: -1}
	if p.resolve && string(r.Type) == linkType {
		p.err = p.s.resolveLink(p.st.Context(), &m)
		if p.err != nil {
			return false
		}
	}
	ready := wire.Prepare(&m)
	p.messages = append(p.messages, ready)
	p.bytes += ready.Len()
	p.left--
	return p.room()
}

func (p *page) room() bool {
	return p.left > 0 && len(p.messages) < max(p.limit, pageFirst) && p.bytes < pageBytes && p.seen < pageScan
}

// add puts a message that is no event behind those on the page.
func (p *page) add(m any) { p.messages = append(p.messages, m) }

// flush sends the page and empties it.
func (p *page) flush() error {
	messages := p.messages
	p.messages, p.bytes, p.seen = p.messages[:0], 0, 0
	p.limit = min(2*max(p.limit, pageFirst), pageEvents)
	for i, m := range messages {
		if err := p.st.SendMsg(m); err != nil {
			for _, m := range messages[i+1:] {
				if r, ok := m.(wire.Ready); ok {
					r.Free()
				}
			}
			clear(messages)
			return err
		}
		messages[i] = nil
	}
	return p.err
}

// gone tells whether the caller no longer waits.
func gone(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return failureOf("", err)
	}
	return nil
}
