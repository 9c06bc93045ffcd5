package eventserver_test

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// TestCluster connects as to a cluster: by gossip, with another seed that is not there.
func TestCluster(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := clienttest.Connect(t, fmt.Sprintf("esdb://%s,127.0.0.1:1?tls=false", s.Addr()))
	clienttest.Append(t, c, "s", esdb.NoStream{}, clienttest.Event(1))
	v, err := c.GetServerVersion()
	if err != nil || v.Major != 24 || v.Minor != 6 {
		t.Errorf("version %+v %v", v, err)
	}
}

func TestAdvertise(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"nohost", ":2113", "host:port"} {
		if s, err := eventserver.Start(t.Context(), eventserver.Config{Dir: t.TempDir(), Advertise: bad}); err == nil {
			_ = s.Close()
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestMonitoring(t *testing.T) {
	t.Parallel()
	s := start(t)
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	st, err := conn.NewStream(clienttest.Within(t), &grpc.StreamDesc{ServerStreams: true}, "/event_store.client.monitoring.Monitoring/Stats")
	if err != nil {
		t.Fatal(err)
	}
	// Any message will do as envelope: unknown fields are sent and kept as they are.
	ask := &emptypb.Empty{}
	ask.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 4, protowire.VarintType), 1))
	if err := st.SendMsg(ask); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var got emptypb.Empty
		if err := st.RecvMsg(&got); err != nil {
			t.Fatal(err)
		}
		b := got.ProtoReflect().GetUnknown()
		figures := map[string]string{}
		for len(b) > 0 {
			_, _, n := protowire.ConsumeTag(b)
			entry, m := protowire.ConsumeBytes(b[n:])
			b = b[n+m:]
			_, _, n = protowire.ConsumeTag(entry)
			k, m := protowire.ConsumeString(entry[n:])
			entry = entry[n+m:]
			_, _, n = protowire.ConsumeTag(entry)
			v, _ := protowire.ConsumeString(entry[n:])
			figures[k] = v
		}
		if figures["es-lastPosition"] != "1" || figures["es-incarnation"] != s.Incarnation() {
			t.Fatalf("figures %v", figures)
		}
	}
}
