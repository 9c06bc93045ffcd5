package eventserver

import (
	"context"
	"strconv"
	"strings"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/eventserver/wire"
)

// linkType marks an event whose data, "revision@stream", names the event it stands for.
const linkType = "$>"

// resolveLink puts the linked event beside its link. A link whose target is gone, hidden or not there, or that names none, is alone.
func (s *Server) resolveLink(ctx context.Context, m *wire.EventResp) error {
	link := m.Event
	m.Event, m.Link = nil, link
	number, stream, ok := strings.Cut(string(link.Data), "@")
	revision, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || revision < 0 {
		return nil //nolint:nilerr // it names no event
	}
	view, err := s.store.View(ctx, stream)
	if err != nil {
		return failureOf(stream, err)
	}
	err = s.store.ReadStream(view, revision, func(r *store.Record) bool {
		if r.Revision == uint64(revision) {
			m.Event = r.Clone()
		}
		return false
	})
	if err != nil {
		return failureOf(stream, err)
	}
	return nil
}
