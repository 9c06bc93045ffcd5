package eventserver

import (
	"context"
	"errors"
	"math"
	"time"

	proto "github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc/codes"

	"github.com/daybook-dev/daybook/internal/eventserver/filter"
	"github.com/daybook-dev/daybook/internal/eventserver/persistent"
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
	named := func(code codes.Code, exception, text string, more ...string) *failure {
		return &failure{code, text, append([]string{trailerException, exception, "stream-name", stream, "group-name", group}, more...)}
	}
	subscription := "ubscription group " + group + " on stream " + stream
	if e, ok := errors.AsType[*persistent.RefusedError](err); ok {
		return named(codes.Internal, "persistent-subscription-failed", "S"+subscription+" failed: '"+e.Reason+"'", "reason", e.Reason)
	}
	switch {
	case errors.Is(err, persistent.ErrExists):
		return named(codes.AlreadyExists, "persistent-subscription-exists", "S"+subscription+" exists.")
	case errors.Is(err, persistent.ErrNotFound):
		return named(codes.NotFound, "persistent-subscription-does-not-exist", "S"+subscription+" does not exist.")
	case errors.Is(err, persistent.ErrTooManyConsumers):
		return named(codes.FailedPrecondition, "maximum-subscribers-reached", "Maximum subscriptions reached for s"+subscription+".")
	case errors.Is(err, persistent.ErrDropped):
		return named(codes.Canceled, "persistent-subscription-dropped", "S"+subscription+" was dropped.")
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
	c := persistent.Config{Group: r.GetOptions().GetGroupName()}
	err := creation(r.GetOptions(), &c)
	if err == nil {
		err = g.m.Create(ctx, c)
	}
	return &proto.CreateResp{}, finish(ctx, c.Stream, c.Group, err)
}

// creation reads what is to be created.
func creation(o *proto.CreateReq_Options, c *persistent.Config) (err error) {
	set := o.GetSettings()
	switch from := o.GetStreamOption().(type) {
	case *proto.CreateReq_Options_Stream:
		c.Stream = string(from.Stream.GetStreamIdentifier().GetStreamName())
		_, end := from.Stream.GetRevisionOption().(*proto.CreateReq_StreamOptions_End)
		err = startStream(c, from.Stream.GetRevision(), end)
	case *proto.CreateReq_Options_All:
		_, end := from.All.GetAllOption().(*proto.CreateReq_AllOptions_End)
		err = startAll(c, from.All.GetPosition().GetCommitPosition(), from.All.GetPosition().GetPreparePosition(), end)
		if f := from.All.GetFilter(); f != nil && err == nil {
			c.Filter = &persistent.Filter{Regex: f.GetStreamIdentifier().GetRegex(), Prefixes: f.GetStreamIdentifier().GetPrefix()}
			if e := f.GetEventType(); e != nil {
				c.Filter = &persistent.Filter{ByType: true, Regex: e.GetRegex(), Prefixes: e.GetPrefix()}
			}
			if _, err := filter.New(c.Filter.ByType, c.Filter.Regex, c.Filter.Prefixes); err != nil {
				return invalid("%v", err)
			}
		}
	default: // as clients before 21.10 ask
		c.Stream = string(o.GetStreamIdentifier().GetStreamName()) //nolint:staticcheck // for old clients
		err = startStream(c, set.GetRevision(), false)             //nolint:staticcheck // for old clients
	}
	c.Settings = settingsOf(set, set.GetMessageTimeoutTicks(), set.GetCheckpointAfterTicks())
	if c.Settings.Strategy = set.GetConsumerStrategy(); c.Settings.Strategy == "" {
		c.Settings.Strategy = set.GetNamedConsumerStrategy().String() //nolint:staticcheck // for old clients
	}
	return errors.Join(err, c.Check())
}

// startStream says where a group on a stream begins.
func startStream(c *persistent.Config, revision uint64, end bool) error {
	if c.Stream == persistent.All {
		return &persistent.RefusedError{Reason: "Persistent subscriptions to $all are only supported over gRPC through gRPC clients"}
	}
	if c.StartEnd = end || revision == math.MaxUint64; c.StartEnd {
		return nil
	}
	if c.From = revision; revision > math.MaxInt64 {
		return &persistent.RefusedError{Reason: "Invalid Start From position: event number must be greater than or equal to -1."}
	}
	return nil
}

// startAll says where a group on $all begins.
func startAll(c *persistent.Config, commit, prepare uint64, end bool) error {
	c.Stream = persistent.All
	if c.StartEnd = end || commit == math.MaxUint64 && prepare == math.MaxUint64; c.StartEnd {
		return nil
	}
	if c.From = commit; prepare > commit {
		return &persistent.RefusedError{Reason: "Invalid Start From position: prepare position must be less than or equal to the commit position."}
	}
	return nil
}

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
	c := persistent.Config{Group: r.GetOptions().GetGroupName()}
	keepStart, err := change(r.GetOptions(), &c)
	switch {
	case err == nil:
		err = g.m.Update(ctx, c, keepStart)
	case g.absent(r.GetOptions(), c): // which is said before what is wrong with its settings
		err = persistent.ErrNotFound
	}
	return &proto.UpdateResp{}, finish(ctx, c.Stream, c.Group, err)
}

// absent tells whether a group's stream is one that groups may be on, and the group is not there.
func (g *groups) absent(o *proto.UpdateReq_Options, c persistent.Config) bool {
	named := o.GetAll() != nil || c.Stream != "" && c.Stream != persistent.All
	return named && !g.m.Has(c.Stream, c.Group)
}

// change reads to what a group is to be changed; its start stays where none is given.
func change(o *proto.UpdateReq_Options, c *persistent.Config) (keepStart bool, err error) {
	set := o.GetSettings()
	switch from := o.GetStreamOption().(type) {
	case *proto.UpdateReq_Options_Stream:
		c.Stream = string(from.Stream.GetStreamIdentifier().GetStreamName())
		_, end := from.Stream.GetRevisionOption().(*proto.UpdateReq_StreamOptions_End)
		keepStart, err = from.Stream.GetRevisionOption() == nil, startStream(c, from.Stream.GetRevision(), end)
	case *proto.UpdateReq_Options_All:
		_, end := from.All.GetAllOption().(*proto.UpdateReq_AllOptions_End)
		keepStart = from.All.GetAllOption() == nil
		err = startAll(c, from.All.GetPosition().GetCommitPosition(), from.All.GetPosition().GetPreparePosition(), end)
	default: // as clients before 21.10 ask
		c.Stream = string(o.GetStreamIdentifier().GetStreamName()) //nolint:staticcheck // for old clients
		err = startStream(c, set.GetRevision(), false)             //nolint:staticcheck // for old clients
	}
	c.Settings = settingsOf(set, set.GetMessageTimeoutTicks(), set.GetCheckpointAfterTicks())
	c.Settings.Strategy = set.GetNamedConsumerStrategy().String()
	return keepStart, errors.Join(err, c.Check())
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
	var stopAt *int64
	if at, ok := o.GetStopAtOption().(*proto.ReplayParkedReq_Options_StopAt); ok {
		stopAt = &at.StopAt
	}
	return &proto.ReplayParkedResp{}, finish(ctx, stream, o.GetGroupName(), g.m.Replay(ctx, stream, o.GetGroupName(), stopAt))
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
	if err == nil && len(infos) == 0 && stream != "" {
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
	milliseconds := func(d time.Duration) int32 { return int32(min(d.Milliseconds(), math.MaxInt32)) } //nolint:gosec // bounded
	m := &proto.SubscriptionInfo{
		EventSource: i.Stream, GroupName: i.Group, Status: "Live", TotalItems: i.Total,
		LastCheckpointedEventPosition: i.Checkpoint, LastKnownEventPosition: i.Known, StartFrom: i.Start,
		ResolveLinkTos: s.ResolveLinks, MessageTimeoutMilliseconds: milliseconds(s.MessageTimeout), ExtraStatistics: s.ExtraStatistics,
		MaxRetryCount: s.MaxRetry, LiveBufferSize: s.LiveBuffer, BufferSize: s.HistoryBuffer, ReadBatchSize: s.ReadBatch,
		CheckPointAfterMilliseconds: milliseconds(s.CheckpointAfter), MinCheckPointCount: s.MinCheckpoint, MaxCheckPointCount: s.MaxCheckpoint,
		ReadBufferCount: int32(i.Waiting), RetryBufferCount: int32(i.Retries),
		TotalInFlightMessages: int32(i.InFlight), OutstandingMessagesCount: int32(i.InFlight),
		NamedConsumerStrategy: s.Strategy, MaxSubscriberCount: s.MaxSubscribers, ParkedMessageCount: i.Parked,
	}
	for _, c := range i.Connections {
		m.Connections = append(m.Connections, &proto.SubscriptionInfo_ConnectionInfo{From: c.From, Username: c.User, ConnectionName: c.Connection,
			TotalItems: c.Total, AvailableSlots: int32(c.Buffer - c.InFlight), InFlightMessages: int32(c.InFlight)}) //nolint:gosec // below the buffer's size
	}
	return m
}
