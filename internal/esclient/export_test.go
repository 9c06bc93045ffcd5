package esclient

import (
	"context"
	"io"

	"github.com/daybook-dev/daybook/kit/es"
)

// ForeignIncarnation is Incarnation on a server that is not ours.
func (c *Client) ForeignIncarnation(ctx context.Context) (string, error) {
	return c.incarnationOf(ctx, "$no-such-stream")
}

// Catching says where a source of events at these positions says that it has caught up with a goal.
func Catching(at, goal uint64, positions ...uint64) (out []uint64) {
	src := catching(source{next: func() (item, error) {
		if len(positions) == 0 {
			return item{}, io.EOF
		}
		p := positions[0]
		positions = positions[1:]
		if p%2 == 0 { // not for readers: only the server's word how far it is
			return item{position: p}, nil
		}
		return item{record: es.Record{Position: p}}, nil
	}}, at, goal)
	for {
		i, err := src.next()
		if err != nil {
			return out
		}
		if i.caughtUp {
			out = append(out, 0)
		} else {
			out = append(out, i.record.Position+i.position)
		}
	}
}
