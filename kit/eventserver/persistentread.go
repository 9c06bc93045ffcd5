package eventserver

import (
	"context"
	"errors"
	"io"

	proto "github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/daybook-dev/daybook/internal/eventserver/access"
	"github.com/daybook-dev/daybook/internal/eventserver/persistent"
	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/eventserver/wire"
)

// Read implements PersistentSubscriptionsServer: one consumer of a group.
func (g *groups) Read(st proto.PersistentSubscriptions_ReadServer) error {
	first, err := st.Recv()
	if err != nil {
		return err
	}
	o := first.GetOptions()
	if o == nil {
		return end(st, invalid("a consumer's first message must be its options"))
	}
	stream := named(o.GetStreamIdentifier(), o.GetAll())
	if err := errors.Join(g.s.identified(st.Context()), g.s.may(st.Context(), access.Read, stream)); err != nil {
		return end(st, err)
	}
	group, err := g.m.Get(stream, o.GetGroupName())
	if err != nil {
		return end(st, persistentFailure(stream, o.GetGroupName(), err))
	}
	c, err := group.Join(clientOf(st.Context(), int(o.GetBufferSize())))
	if err != nil {
		return end(st, persistentFailure(stream, o.GetGroupName(), err))
	}
	defer group.Leave(c)
	// Official clients read the stream and the group from it.
	id := stream + "::" + o.GetGroupName()
	err = st.Send(&proto.ReadResp{Content: &proto.ReadResp_SubscriptionConfirmation_{
		SubscriptionConfirmation: &proto.ReadResp_SubscriptionConfirmation{SubscriptionId: id}}})
	if err != nil {
		return err
	}
	answers := make(chan error, 1)
	go func() { answers <- receiveAnswers(st, group, c) }()
	_, text := o.GetUuidOption().GetContent().(*proto.ReadReq_Options_UUIDOption_String_)
	for {
		select {
		case <-c.Ready:
			for _, m := range group.Take(c) {
				if err := st.SendMsg(&wire.EventResp{Event: m.Event, Link: m.Link, TextUUID: text, Retries: m.Retries}); err != nil {
					return err
				}
			}
		case err := <-answers:
			switch {
			case err == nil, errors.Is(err, io.EOF):
				return nil
			case errors.As(err, new(*persistent.RefusedError)):
				err = persistentFailure(stream, o.GetGroupName(), err)
			}
			return end(st, err)
		case <-c.Dropped:
			return end(st, persistentFailure(stream, o.GetGroupName(), persistent.ErrDropped))
		case <-st.Context().Done():
			return gone(st.Context())
		}
	}
}

// clientOf says who consumes.
func clientOf(ctx context.Context, buffer int) persistent.Client {
	c := persistent.Client{From: "unknown", Connection: "<unknown>", User: "anonymous", Buffer: buffer}
	if p, ok := peer.FromContext(ctx); ok {
		c.From = p.Addr.String()
	}
	md, _ := metadata.FromIncomingContext(ctx)
	if names := md.Get("connection-name"); len(names) == 1 {
		c.Connection = names[0]
	}
	if who := callerOf(ctx); who != nil {
		c.User = who.Name
	}
	return c
}

// receiveAnswers takes acknowledgements until the client is gone.
func receiveAnswers(st proto.PersistentSubscriptions_ReadServer, group *persistent.Group, c *persistent.Consumer) error {
	for {
		m, err := st.Recv()
		if err != nil {
			return err
		}
		switch {
		case m.GetAck() != nil:
			ids, err := idsOf(m.GetAck().GetIds())
			if err != nil {
				return err
			}
			group.Ack(c, ids)
		case m.GetNack() != nil:
			ids, err := idsOf(m.GetNack().GetIds())
			if err != nil {
				return err
			}
			if err := group.Nack(c, ids, int32(m.GetNack().GetAction()), m.GetNack().GetReason()); err != nil {
				return err
			}
		default:
			return invalid("a consumer's message is neither ack nor nack")
		}
	}
}

func idsOf(in []*shared.UUID) ([]store.ID, error) {
	out := make([]store.ID, 0, len(in))
	for _, u := range in {
		id, err := idOf(u)
		if err != nil {
			return nil, invalid("%v", err)
		}
		out = append(out, id)
	}
	return out, nil
}

func idOf(u *shared.UUID) (id store.ID, err error) {
	if s, ok := u.GetValue().(*shared.UUID_String_); ok {
		return wire.ParseUUID(s.String_)
	}
	return wire.JoinUUID(u.GetStructured().GetMostSignificantBits(), u.GetStructured().GetLeastSignificantBits()), nil
}

// target finds what a link stands for, nil if it is gone.
func (s *Server) target(ctx context.Context, link *store.Record) (*store.Record, error) {
	m := wire.EventResp{Event: link}
	if err := s.resolveLink(ctx, &m); err != nil {
		return nil, err
	}
	return m.Event, nil
}
