package eventserver

import (
	"context"
	"errors"
	"math"
	"time"

	proto "github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc/codes"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver/filter"
	"github.com/daybook-dev/daybook/internal/embedded/eventserver/persistent"
)

const persistentService = "event_store.client.persistent_subscriptions.PersistentSubscriptions"

// groups is the PersistentSubscriptions service.
type groups struct {
	proto.UnimplementedPersistentSubscriptionsServer

	s *Server
	m *persistent.Manager
}

// persistentFailure words errors as EventStoreDB does.
func persistentFailure(stream, group string, err error) *failure {
	named := func(code codes.Code, exception, text string) *failure {
		return &failure{code, text, []string{trailerException, exception, "stream-name", stream, "group-name", group}}
	}
	switch {
	case errors.Is(err, persistent.ErrExists):
		return named(codes.AlreadyExists, "persistent-subscription-exists", "Subscription group "+group+" on stream "+stream+" exists.")
	case errors.Is(err, persistent.ErrNotFound):
		return named(codes.NotFound, "persistent-subscription-does-not-exist", "Subscription group "+group+" on stream "+stream+" does not exist.")
	case errors.Is(err, persistent.ErrTooManyConsumers):
		return named(codes.FailedPrecondition, "maximum-subscribers-reached", "Maximum subscriptions reached for subscription group "+group+" on stream "+stream+".")
	case errors.Is(err, persistent.ErrDropped):
		return named(codes.Canceled, "persistent-subscription-dropped", "Subscription group "+group+" on stream "+stream+" was dropped.")
	}
	return failureOf(stream, err)
}

func finish(ctx context.Context, stream, group string, err error) error {
	if err == nil {
		return nil
	}
	return end(unaryTrailers{ctx}, persistentFailure(stream, group, err))
}

// Create implements PersistentSubscriptionsServer.
func (g *groups) Create(ctx context.Context, r *proto.CreateReq) (*proto.CreateResp, error) {
	if err := g.s.operates(ctx); err != nil {
		return nil, end(unaryTrailers{ctx}, err)
	}
	o := r.GetOptions()
	c := persistent.Config{Group: o.GetGroupName()}
	switch from := o.GetStreamOption().(type) {
	case *proto.CreateReq_Options_Stream:
		c.Stream = string(from.Stream.GetStreamIdentifier().GetStreamName())
		switch at := from.Stream.GetRevisionOption().(type) {
		case *proto.CreateReq_StreamOptions_Revision:
			c.From = min(at.Revision, math.MaxInt64)
		case *proto.CreateReq_StreamOptions_End:
			c.StartEnd = true
		}
	case *proto.CreateReq_Options_All:
		c.Stream = persistent.All
		switch at := from.All.GetAllOption().(type) {
		case *proto.CreateReq_AllOptions_Position:
			c.From = min(at.Position.GetCommitPosition(), math.MaxInt64)
		case *proto.CreateReq_AllOptions_End:
			c.StartEnd = true
		}
		if f := from.All.GetFilter(); f != nil {
			c.Filter = &persistent.Filter{Regex: f.GetStreamIdentifier().GetRegex(), Prefixes: f.GetStreamIdentifier().GetPrefix()}
			if e := f.GetEventType(); e != nil {
				c.Filter = &persistent.Filter{ByType: true, Regex: e.GetRegex(), Prefixes: e.GetPrefix()}
			}
			if _, err := filter.New(c.Filter.ByType, c.Filter.Regex, c.Filter.Prefixes); err != nil {
				return nil, invalid("%v", err).GRPCStatus().Err()
			}
		}
	default: // as clients before 21.10 ask
		c.Stream = string(o.GetStreamIdentifier().GetStreamName()) //nolint:staticcheck // for old clients
		switch at := o.GetSettings().GetRevision(); at {           //nolint:staticcheck // for old clients
		case math.MaxUint64:
			c.StartEnd = true
		default:
			c.From = min(at, math.MaxInt64)
		}
	}
	if c.Stream == "" || c.Group == "" {
		return nil, invalid("a persistent subscription needs a stream and a group name").GRPCStatus().Err()
	}
	set := o.GetSettings()
	c.Settings = settingsOf(set, set.GetMessageTimeoutTicks(), set.GetCheckpointAfterTicks())
	if c.Settings.Strategy = set.GetConsumerStrategy(); c.Settings.Strategy == "" {
		c.Settings.Strategy = strategies[int32(set.GetNamedConsumerStrategy())] //nolint:staticcheck // for old clients
	}
	if err := c.Settings.Check(); err != nil {
		return nil, invalid("%v", err).GRPCStatus().Err()
	}
	return &proto.CreateResp{}, finish(ctx, c.Stream, c.Group, g.m.Create(ctx, c))
}

var strategies = map[int32]string{0: persistent.DispatchToSingle, 1: persistent.RoundRobin, 2: persistent.Pinned}

// settings are what CreateReq and UpdateReq both hold.
type settings interface {
	GetResolveLinks() bool
	GetExtraStatistics() bool
	GetMaxRetryCount() int32
	GetMinCheckpointCount() int32
	GetMaxCheckpointCount() int32
	GetMaxSubscriberCount() int32
	GetLiveBufferSize() int32
	GetReadBatchSize() int32
	GetHistoryBufferSize() int32
	GetMessageTimeoutMs() int32
	GetCheckpointAfterMs() int32
}

// settingsOf reads settings; times are given in milliseconds or in ticks of 100 ns.
func settingsOf(s settings, timeoutTicks, afterTicks int64) persistent.Settings {
	const most = int64(math.MaxInt64 / 100)
	return persistent.Settings{
		ResolveLinks: s.GetResolveLinks(), ExtraStatistics: s.GetExtraStatistics(), MaxRetry: s.GetMaxRetryCount(),
		MinCheckpoint: s.GetMinCheckpointCount(), MaxCheckpoint: s.GetMaxCheckpointCount(), MaxSubscribers: s.GetMaxSubscriberCount(),
		LiveBuffer: s.GetLiveBufferSize(), ReadBatch: s.GetReadBatchSize(), HistoryBuffer: s.GetHistoryBufferSize(),
		MessageTimeout:  time.Duration(s.GetMessageTimeoutMs())*time.Millisecond + time.Duration(min(timeoutTicks, most)*100),
		CheckpointAfter: time.Duration(s.GetCheckpointAfterMs())*time.Millisecond + time.Duration(min(afterTicks, most)*100),
	}
}

// Update implements PersistentSubscriptionsServer.
func (g *groups) Update(ctx context.Context, r *proto.UpdateReq) (*proto.UpdateResp, error) {
	if err := g.s.operates(ctx); err != nil {
		return nil, end(unaryTrailers{ctx}, err)
	}
	o := r.GetOptions()
	set := o.GetSettings()
	s := settingsOf(set, set.GetMessageTimeoutTicks(), set.GetCheckpointAfterTicks())
	s.Strategy = strategies[int32(set.GetNamedConsumerStrategy())]
	if err := s.Check(); err != nil {
		return nil, invalid("%v", err).GRPCStatus().Err()
	}
	stream := string(o.GetStreamIdentifier().GetStreamName()) //nolint:staticcheck // for old clients
	from, startEnd, set2 := uint64(0), false, false
	switch at := o.GetStreamOption().(type) {
	case *proto.UpdateReq_Options_Stream:
		stream, set2 = string(at.Stream.GetStreamIdentifier().GetStreamName()), true
		_, startEnd = at.Stream.GetRevisionOption().(*proto.UpdateReq_StreamOptions_End)
		from = at.Stream.GetRevision()
	case *proto.UpdateReq_Options_All:
		stream, set2 = persistent.All, true
		_, startEnd = at.All.GetAllOption().(*proto.UpdateReq_AllOptions_End)
		from = at.All.GetPosition().GetCommitPosition()
	}
	err := g.m.Update(ctx, stream, o.GetGroupName(), func(c *persistent.Config) {
		c.Settings = s
		if set2 && !startEnd {
			c.From, c.StartEnd = min(from, math.MaxInt64), false
		}
	})
	return &proto.UpdateResp{}, finish(ctx, stream, o.GetGroupName(), err)
}

// Delete implements PersistentSubscriptionsServer.
func (g *groups) Delete(ctx context.Context, r *proto.DeleteReq) (*proto.DeleteResp, error) {
	if err := g.s.operates(ctx); err != nil {
		return nil, end(unaryTrailers{ctx}, err)
	}
	o := r.GetOptions()
	stream := named(o.GetStreamIdentifier(), o.GetAll())
	return &proto.DeleteResp{}, finish(ctx, stream, o.GetGroupName(), g.m.Delete(ctx, stream, o.GetGroupName()))
}

// named gives the stream of an option that is either a name or $all.
func named(id *shared.StreamIdentifier, all *shared.Empty) string {
	if all != nil {
		return persistent.All
	}
	return string(id.GetStreamName())
}

// ReplayParked implements PersistentSubscriptionsServer.
func (g *groups) ReplayParked(ctx context.Context, r *proto.ReplayParkedReq) (*proto.ReplayParkedResp, error) {
	if err := g.s.operates(ctx); err != nil {
		return nil, end(unaryTrailers{ctx}, err)
	}
	o := r.GetOptions()
	stream := named(o.GetStreamIdentifier(), o.GetAll())
	return &proto.ReplayParkedResp{}, finish(ctx, stream, o.GetGroupName(), g.m.Replay(ctx, stream, o.GetGroupName(), o.GetStopAt()))
}

// GetInfo implements PersistentSubscriptionsServer.
func (g *groups) GetInfo(ctx context.Context, r *proto.GetInfoReq) (*proto.GetInfoResp, error) {
	if err := g.s.identified(ctx); err != nil {
		return nil, end(unaryTrailers{ctx}, err)
	}
	o := r.GetOptions()
	stream := named(o.GetStreamIdentifier(), o.GetAll())
	infos, err := g.m.Info(ctx, stream, o.GetGroupName())
	if err == nil && (len(infos) != 1 || o.GetGroupName() == "") {
		err = persistent.ErrNotFound
	}
	if err != nil {
		return nil, finish(ctx, stream, o.GetGroupName(), err)
	}
	return &proto.GetInfoResp{SubscriptionInfo: infoMessage(&infos[0])}, nil
}

// List implements PersistentSubscriptionsServer.
func (g *groups) List(ctx context.Context, r *proto.ListReq) (*proto.ListResp, error) {
	if err := g.s.identified(ctx); err != nil {
		return nil, end(unaryTrailers{ctx}, err)
	}
	stream := ""
	if s := r.GetOptions().GetListForStream(); s != nil {
		stream = named(s.GetStream(), s.GetAll())
	}
	infos, err := g.m.Info(ctx, stream, "")
	if err == nil && len(infos) == 0 {
		err = persistent.ErrNotFound
	}
	if err != nil {
		return nil, finish(ctx, stream, "", err)
	}
	resp := &proto.ListResp{}
	for i := range infos {
		resp.Subscriptions = append(resp.Subscriptions, infoMessage(&infos[i]))
	}
	return resp, nil
}

// RestartSubsystem implements PersistentSubscriptionsServer.
func (g *groups) RestartSubsystem(ctx context.Context, _ *shared.Empty) (*shared.Empty, error) {
	if err := g.s.operates(ctx); err != nil {
		return nil, end(unaryTrailers{ctx}, err)
	}
	return &shared.Empty{}, finish(ctx, "", "", g.m.Restart())
}

func infoMessage(i *persistent.Info) *proto.SubscriptionInfo {
	s := i.Settings
	m := &proto.SubscriptionInfo{
		EventSource: i.Stream, GroupName: i.Group, Status: "Live", TotalItems: i.Total,
		LastCheckpointedEventPosition: i.Checkpoint, LastKnownEventPosition: i.Known, StartFrom: i.Start,
		ResolveLinkTos: s.ResolveLinks, MessageTimeoutMilliseconds: int32(s.MessageTimeout.Milliseconds()), ExtraStatistics: s.ExtraStatistics,
		MaxRetryCount: s.MaxRetry, LiveBufferSize: s.LiveBuffer, BufferSize: s.HistoryBuffer, ReadBatchSize: s.ReadBatch,
		CheckPointAfterMilliseconds: int32(s.CheckpointAfter.Milliseconds()), MinCheckPointCount: s.MinCheckpoint, MaxCheckPointCount: s.MaxCheckpoint,
		ReadBufferCount: int32(i.Waiting), LiveBufferCount: int64(i.Waiting), RetryBufferCount: int32(i.Retries),
		TotalInFlightMessages: int32(i.InFlight), OutstandingMessagesCount: int32(i.InFlight),
		NamedConsumerStrategy: s.Strategy, MaxSubscriberCount: s.MaxSubscribers, ParkedMessageCount: i.Parked,
	}
	for _, c := range i.Connections {
		m.Connections = append(m.Connections, &proto.SubscriptionInfo_ConnectionInfo{From: c.Name, ConnectionName: c.Name,
			TotalItems: c.Total, AvailableSlots: int32(c.Slots), InFlightMessages: int32(c.InFlight)})
	}
	return m
}
