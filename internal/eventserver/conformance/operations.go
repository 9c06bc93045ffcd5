package conformance

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var operationCases = []testCase{
	{name: "scavenge", run: scavenge},
	{name: "operators' rights", secured: true, run: operators},
	{name: "statistics", run: statistics},
}

const operations = "operations.Operations/"

func startScavenge() []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1))
}

// scavenge: it begins, says who it is, and ends in the stream that is named after it.
func scavenge(t *testing.T, s *suite) {
	a := s.call(s.as(clienttest.Within(t), s.login), operations+"StartScavenge", startScavenge())
	if a.code != codes.OK || len(a.messages) != 1 {
		t.Fatalf("start: %v %s", a.code, a.text)
	}
	_, _, n := protowire.ConsumeTag(a.messages[0])
	id, m := protowire.ConsumeString(a.messages[0][n:])
	if m < 0 || id == "" {
		t.Fatalf("start: %x", a.messages[0])
	}
	sub, err := s.admin.SubscribeToStream(clienttest.Within(t), "$scavenges-"+id, esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	clienttest.Must(t, err)
	defer func() { _ = sub.Close() }()
	if e := clienttest.Next(t, sub); e.Event.EventType != "$scavengeStarted" {
		t.Errorf("it began with %s", e.Event.EventType)
	}
	for clienttest.Next(t, sub).Event.EventType != "$scavengeCompleted" {
		continue // what it did
	}
	clienttest.Eventually(t, "a scavenge that has ended cannot be stopped", func() bool {
		return s.call(s.as(clienttest.Within(t), s.login), operations+"StopScavenge", options(id)).is(codes.NotFound, "scavenge-not-found")
	})
}

func operators(t *testing.T, s *suite) {
	who, operator := s.newUser(t), s.newUser(t, "$ops")
	for _, method := range []string{"StartScavenge", "StopScavenge", "Shutdown", "MergeIndexes", "ResignNode", "SetNodePriority", "RestartPersistentSubscriptions"} {
		if a := s.call(s.as(clienttest.Within(t), who), operations+method, options()); !a.is(codes.PermissionDenied, "access-denied") {
			t.Errorf("%s by a user: %v %s", method, a.code, a.text)
		}
	}
	for _, method := range []string{"MergeIndexes", "SetNodePriority"} {
		if a := s.call(s.as(clienttest.Within(t), operator), operations+method, nil); a.code != codes.OK {
			t.Errorf("%s by an operator: %v %s", method, a.code, a.text)
		}
	}
}

func statistics(t *testing.T, s *suite) {
	ctx := s.as(clienttest.Within(t), s.login)
	if a := s.callOnce(ctx, "monitoring.Monitoring/Stats"); a.code != codes.OK || len(a.messages) != 1 || len(a.messages[0]) == 0 {
		t.Errorf("statistics: %v %s", a.code, a.text)
	}
	if !s.secured {
		return
	}
	if a := s.callOnce(clienttest.Within(t), "monitoring.Monitoring/Stats"); !a.is(codes.PermissionDenied, "access-denied") {
		t.Errorf("statistics for an anonymous caller: %v %s", a.code, a.text)
	}
}
