package conformance

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var errorCases = []testCase{{name: "errors and their trailers", run: trailers}}

// as lets a call be made by a user; anonymously, if there is no name.
func (s *suite) as(ctx context.Context, who esdb.Credentials) context.Context {
	if who.Login == "" {
		return ctx
	}
	return withAuthorization(ctx, "Basic "+base64.StdEncoding.EncodeToString([]byte(who.Login+":"+who.Password)))
}

func withAuthorization(ctx context.Context, header string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", header)
}

// answer is what a call ended with.
type answer struct {
	code     codes.Code
	text     string
	trailers metadata.MD
	messages [][]byte
}

// is tells whether a call ended with a code and an exception by which clients tell errors apart.
func (a answer) is(c codes.Code, exception string) bool {
	got := a.trailers.Get("exception")
	return a.code == c && len(got) == 1 && got[0] == exception
}

// call makes a call whose messages the client module has no code for: fields are written as they are.
func (s *suite) call(ctx context.Context, method string, request []byte) answer {
	return s.callFor(ctx, method, request, -1)
}

// callOnce takes one answer of a call that does not end.
func (s *suite) callOnce(ctx context.Context, method string) answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return s.callFor(ctx, method, nil, 1)
}

func (s *suite) callFor(ctx context.Context, method string, request []byte, most int) answer {
	var trailer metadata.MD
	in := &emptypb.Empty{} // any message will do: unknown fields are sent and kept as they are
	in.ProtoReflect().SetUnknown(request)
	a := answer{}
	st, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/event_store.client."+method, grpc.Trailer(&trailer))
	if err == nil {
		err = errors.Join(st.SendMsg(in), st.CloseSend())
	}
	for err == nil && len(a.messages) != most {
		out := &emptypb.Empty{}
		if err = st.RecvMsg(out); err == nil {
			a.messages = append(a.messages, out.ProtoReflect().GetUnknown())
		}
	}
	return a.ended(err, trailer)
}

func (a answer) ended(err error, trailer metadata.MD) answer {
	if errors.Is(err, io.EOF) {
		err = nil
	}
	a.code, a.text, a.trailers = status.Code(err), status.Convert(err).Message(), trailer
	return a
}

// options is a request whose only field is a message of strings: numbered from 1; those behind the third are all field 4.
func options(text ...string) []byte {
	var b []byte
	for i, s := range text {
		b = protowire.AppendString(protowire.AppendTag(b, protowire.Number(min(i+1, 4)), protowire.BytesType), s) //nolint:gosec // small
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
}

// appendRaw makes a client streaming append of one event.
func (s *suite) appendRaw(ctx context.Context, o *streams.AppendReq_Options, e *streams.AppendReq_ProposedMessage) answer {
	var trailer metadata.MD
	st, err := streams.NewStreamsClient(s.conn).Append(ctx, grpc.Trailer(&trailer))
	if err == nil {
		err = st.Send(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: o}})
	}
	if err == nil {
		err = st.Send(&streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: e}})
	}
	if err == nil || errors.Is(err, io.EOF) {
		_, err = st.CloseAndRecv()
	}
	return answer{}.ended(err, trailer)
}

func anyRevision(stream string) *streams.AppendReq_Options {
	return &streams.AppendReq_Options{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)},
		ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}}}
}

func message() *streams.AppendReq_ProposedMessage {
	return &streams.AppendReq_ProposedMessage{Id: clienttest.Text(uuid.New()), Metadata: map[string]string{"type": "x", "content-type": "application/json"}, Data: []byte("{}")}
}

func trailers(t *testing.T, s *suite) {
	ctx := s.as(clienttest.Within(t), s.login)
	stream, gone, absent := unique("trailers"), unique("gone"), unique("absent")
	id := func(name string) *shared.StreamIdentifier { return &shared.StreamIdentifier{StreamName: []byte(name)} }
	clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Events(3)...)
	_, err := s.admin.TombstoneStream(clienttest.Within(t), gone, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.NoStream{}})
	clienttest.Must(t, err)
	clienttest.CreateGroup(t, s.admin, stream, esdb.Start{})
	untyped, large := message(), message()
	delete(untyped.GetMetadata(), "type")
	large.Data = make([]byte, 1<<20+1)
	unary := func(call func(...grpc.CallOption) error) answer {
		var trailer metadata.MD
		return answer{}.ended(call(grpc.Trailer(&trailer)), trailer)
	}
	client, groups := streams.NewStreamsClient(s.conn), persistent.NewPersistentSubscriptionsClient(s.conn)
	remove := func(stream string, revision uint64) answer {
		return unary(func(o ...grpc.CallOption) error {
			_, err := client.Delete(ctx, &streams.DeleteReq{Options: &streams.DeleteReq_Options{StreamIdentifier: id(stream),
				ExpectedStreamRevision: &streams.DeleteReq_Options_Revision{Revision: revision}}}, o...)
			return err
		})
	}
	for _, x := range []struct {
		name     string
		got      answer
		code     codes.Code
		trailers map[string]string
	}{
		{"append to a tombstoned stream", s.appendRaw(ctx, anyRevision(gone), message()), codes.FailedPrecondition,
			map[string]string{"exception": "stream-deleted", "stream-name": gone}},
		{"delete of a tombstoned stream", remove(gone, 0), codes.FailedPrecondition, map[string]string{"exception": "stream-deleted", "stream-name": gone}},
		{"delete at another revision", remove(stream, 1), codes.FailedPrecondition, map[string]string{"exception": "wrong-expected-version",
			"stream-name": stream, "expected-version": "1", "actual-version": "2"}},
		{"too large an event", s.appendRaw(ctx, anyRevision(stream), large), codes.InvalidArgument,
			map[string]string{"exception": "maximum-append-size-exceeded", "maximum-append-size": "1048576"}},
		{"an event without a type", s.appendRaw(ctx, anyRevision(stream), untyped), codes.InvalidArgument,
			map[string]string{"exception": "missing-required-metadata-property"}},
		{"an absent group", unary(func(o ...grpc.CallOption) error {
			_, err := groups.Delete(ctx, &persistent.DeleteReq{Options: &persistent.DeleteReq_Options{GroupName: "h",
				StreamOption: &persistent.DeleteReq_Options_StreamIdentifier{StreamIdentifier: id(absent)}}}, o...)
			return err
		}), codes.NotFound, map[string]string{"exception": "persistent-subscription-does-not-exist", "stream-name": absent, "group-name": "h"}},
		{"an absent scavenge", s.call(ctx, "operations.Operations/StopScavenge", options(uuid.NewString())), codes.NotFound,
			map[string]string{"exception": "scavenge-not-found"}},
	} {
		if x.got.code != x.code {
			t.Errorf("%s: %v %s, want %v", x.name, x.got.code, x.got.text, x.code)
		}
		for name, want := range x.trailers {
			if got := x.got.trailers.Get(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: trailer %s is %q, want %q", x.name, name, got, want)
			}
		}
	}
}
