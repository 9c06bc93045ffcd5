package feed_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/daybook-dev/daybook/internal/topic"
)

// rawMember is a member of a consumer group that a test directs.
type rawMember struct {
	t      *testing.T
	client *kgo.Client
	group  string
	gone   time.Duration // after which it is given up, unless it is heard of
	id     string
}

func newRawMember(t *testing.T, broker, group string, gone time.Duration) *rawMember {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &rawMember{t: t, client: client, group: group, gone: gone}
}

// join waits until the group has formed, and gives its generation.
func (m *rawMember) join() (generation int32) {
	for range 2 { // the first answer is an id
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.ProtocolType = m.group, m.id, "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(m.gone.Milliseconds()), 6000
		subscribed := kmsg.NewConsumerMemberMetadata()
		subscribed.Topics = []string{topic.DefaultName}
		protocol := kmsg.NewJoinGroupRequestProtocol()
		protocol.Name, protocol.Metadata = "range", subscribed.AppendTo(nil)
		req.Protocols = append(req.Protocols, protocol)
		res, err := req.RequestWith(m.t.Context(), m.client)
		if err != nil {
			m.t.Error(err)
			return 0
		}
		if m.id = res.MemberID; res.ErrorCode == 0 {
			return res.Generation
		}
	}
	m.t.Error("the group does not take it")
	return 0
}

// sync asks for the member's part, and waits until the leader has said what it is.
func (m *rawMember) sync(ctx context.Context, generation int32) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = m.group, m.id, generation
	_, _ = req.RequestWith(ctx, m.client) // an error, if the leader says nothing
}

// described is the group's state and how many members it has.
func (m *rawMember) described() (state string, members int) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = append(req.Groups, m.group)
	res, err := req.RequestWith(m.t.Context(), m.client)
	if err != nil || len(res.Groups) != 1 {
		return "", 0
	}
	return res.Groups[0].State, len(res.Groups[0].Members)
}

// A leader dies before it has given out the parts, and a member that waits for its own is given up. The embedded broker has then
// miscounted those that have joined: it forms no group before a timer has run out, and begins that anew at each join. Processes
// that give up their joins and repeat them, by turns, must not keep each other waiting without end.
func TestProcessesDoNotKeepEachOtherFromJoining(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.record(20)
	group := topic.DefaultName + ".book"
	leader, follower := newRawMember(t, s.addr, group, 6*time.Second), newRawMember(t, s.addr, group, time.Second)
	leader.join()
	formed := make(chan int32, 1)
	go func() { formed <- follower.join() }()
	eventually(t, "the follower asks to join", func() bool { state, _ := leader.described(); return state == "PreparingRebalance" })
	leader.join()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	generation := <-formed
	go follower.sync(ctx, generation)
	eventually(t, "the follower is given up", func() bool { _, members := leader.described(); return members == 1 })

	first, second := newBook(), newBook()
	began := time.Now()
	s.feed(first)
	apart := time.NewTimer(4500 * time.Millisecond) // half of the time after which joins were once given up
	<-apart.C
	s.feed(second)
	eventually(t, "each of two processes has partitions", func() bool { return first.owns() > 0 && second.owns() > 0 })
	t.Logf("both had partitions %s after the first began", time.Since(began).Round(time.Millisecond))
}

// owns is how many partitions the book has been given and not given up.
func (b *book) owns() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, owners := range b.owned {
		n += owners
	}
	return n
}
