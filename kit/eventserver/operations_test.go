package eventserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// ask makes a call with one request, whose fields are given encoded, and gives its answers, its trailers and its error.
func ask(ctx context.Context, t *testing.T, s *eventserver.Server, trust *x509.CertPool, method string, request []byte) (answers [][]byte, trailer metadata.MD, err error) {
	t.Helper()
	creds := insecure.NewCredentials()
	if trust != nil {
		creds = credentials.NewTLS(&tls.Config{RootCAs: trust, MinVersion: tls.VersionTLS12})
	}
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(creds))
	clienttest.Must(t, err)
	defer conn.Close()
	st, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/event_store.client."+method, grpc.Trailer(&trailer))
	clienttest.Must(t, err)
	in := &emptypb.Empty{}
	in.ProtoReflect().SetUnknown(request)
	clienttest.Must(t, st.SendMsg(in))
	clienttest.Must(t, st.CloseSend())
	for {
		out := &emptypb.Empty{}
		if err = st.RecvMsg(out); err != nil {
			break
		}
		answers = append(answers, out.ProtoReflect().GetUnknown())
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return answers, trailer, err
}

func TestShutdownOverTheNetwork(t *testing.T) {
	t.Parallel()
	const method = "operations.Operations/Shutdown"
	if _, _, err := ask(clienttest.Within(t), t, start(t), nil, method, nil); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("of a server that is not to be: %v", err)
	}
	asked := make(chan struct{})
	s := start(t, func(cfg *eventserver.Config) { cfg.Shutdown = func() { close(asked) } })
	_, _, err := ask(clienttest.Within(t), t, s, nil, method, nil)
	clienttest.Must(t, err)
	<-asked
}

// TestScavengeOverTheNetwork: it is the real one, its outcome is written down, one runs at a time, and it can be stopped.
func TestScavengeOverTheNetwork(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connect(t, s)
	for range 40 {
		clienttest.Append(t, c, "s", esdb.Any{}, clienttest.Events(500)...)
	}
	m := esdb.StreamMetadata{}
	m.SetMaxCount(1)
	_, err := c.SetStreamMetadata(clienttest.Within(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, m)
	clienttest.Must(t, err)
	answer := func(b []byte) (id string, result uint64) {
		for len(b) > 0 {
			num, typ, n := protowire.ConsumeTag(b)
			size := protowire.ConsumeFieldValue(num, typ, b[n:])
			switch num {
			case 1:
				id, _ = protowire.ConsumeString(b[n:])
			case 2:
				result, _ = protowire.ConsumeVarint(b[n:])
			}
			b = b[n+size:]
		}
		return id, result
	}
	begin := func() (string, uint64) {
		got, _, err := ask(clienttest.Within(t), t, s, nil, "operations.Operations/StartScavenge", nil)
		clienttest.Must(t, err)
		return answer(got[0])
	}
	id, result := begin()
	if id == "" || result != 0 {
		t.Fatalf("began %q, %d", id, result)
	}
	sub, err := c.SubscribeToStream(clienttest.Within(t), "$scavenges", esdb.SubscribeToStreamOptions{From: esdb.Start{}, ResolveLinkTos: true})
	clienttest.Must(t, err)
	defer sub.Close()
	if e := clienttest.Next(t, sub); e.Event.EventType != "$scavengeStarted" || !strings.Contains(string(e.Event.Data), id) {
		t.Errorf("it began with %+v", e.Event)
	}
	if again, result := begin(); again == id && result != 1 { // unless the first has ended already
		t.Errorf("a second one: %s, %d", again, result)
	}
	for {
		e := clienttest.Next(t, sub)
		if e.Event.EventType != "$scavengeCompleted" {
			continue
		}
		if text := string(e.Event.Data); !strings.Contains(text, `"result":"Success"`) || strings.Contains(text, id) && !strings.Contains(text, `"events":19999`) {
			t.Errorf("its outcome is %s", text)
		}
		break
	}
	if got := clienttest.ReadStream(t, c, "s", esdb.ReadStreamOptions{}, clienttest.Unlimited); len(got) != 1 {
		t.Errorf("%d events are left", len(got))
	}
	// One that is stopped says so; "current" is whichever runs.
	current := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "current")
	stop := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), current)
	for range 20 {
		id, _ = begin()
		got, trailer, err := ask(clienttest.Within(t), t, s, nil, "operations.Operations/StopScavenge", stop)
		if err == nil {
			if stopped, result := answer(got[0]); stopped != id || result != 2 {
				t.Errorf("stopped %s with %d, began %s", stopped, result, id)
			}
			return
		}
		if status.Code(err) != codes.NotFound || trailer.Get("exception")[0] != "scavenge-not-found" {
			t.Fatalf("stop: %v", err)
		}
	}
	t.Log("each scavenge ended before it could be stopped")
}

// TestUnauthenticated: a wrong password is refused in the way that clients know, without saying whether there is such a user.
func TestUnauthenticated(t *testing.T) {
	t.Parallel()
	cert, key, trust := certificate(t)
	s := start(t, func(cfg *eventserver.Config) { cfg.CertFile, cfg.KeyFile = cert, key })
	for _, who := range []string{"admin:wrong", "nobody:changeit", "admin:", ":", ""} {
		ctx := metadata.AppendToOutgoingContext(clienttest.Within(t), "authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(who)))
		_, trailer, err := ask(ctx, t, s, trust, "users.Users/Details", nil)
		if status.Code(err) != codes.Unauthenticated || status.Convert(err).Message() != "Unauthenticated" || len(trailer.Get("exception")) != 1 ||
			trailer.Get("exception")[0] != "not-authenticated" {
			t.Errorf("%q: %v, %v", who, err, trailer)
		}
	}
}

// TestTrailersOfStrangeNames: an error about a name that no trailer can hold still says what it is.
func TestTrailersOfStrangeNames(t *testing.T) {
	t.Parallel()
	c := connect(t, start(t))
	stream := "größe\n\x00"
	_, err := c.TombstoneStream(clienttest.Within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.NoStream{}})
	clienttest.Must(t, err)
	if err := clienttest.FirstOf(t, c, stream); clienttest.Code(err) != esdb.ErrorCodeStreamDeleted {
		t.Errorf("%v", err)
	}
}
