package kafkaserver_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/daybook-dev/daybook/internal/embedded/kafkaserver"
	"github.com/daybook-dev/daybook/internal/kafkaread/kafkareadtest"
)

// frame encodes a request as a client would.
func frame(req kmsg.Request, version int16) []byte {
	req.SetVersion(version)
	b := kbin.AppendInt16(make([]byte, 4), req.Key())
	b = kbin.AppendInt16(b, version)
	b = kbin.AppendInt32(b, 7)
	b = kbin.AppendNullableString(b, new("hostile"))
	if req.IsFlexible() {
		b = append(b, 0)
	}
	b = req.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// send writes a frame on a connection of its own and waits until the broker answered, cut the connection, or stayed
// silent for patience.
func send(addr string, patience time.Duration, frames ...[]byte) (answered bool, err error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return false, err
	}
	defer c.Close()
	for _, f := range frames {
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Write(f); err != nil {
			return answered, nil // cut while we wrote
		}
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return answered, nil
		}
		answered = true
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(size[:]))); err != nil {
			return answered, nil
		}
	}
	return answered, nil
}

// The frames that were seen to end kfake, or that a reading of it suggests.
func knownKillers(tb testing.TB) map[string][]byte {
	tb.Helper()
	raw := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			panic(err)
		}
		return b
	}
	join := func(change func(*kmsg.JoinGroupRequest)) []byte {
		r := kmsg.NewPtrJoinGroupRequest()
		r.Group, r.ProtocolType, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = "hostile", "consumer", 6000, 6000
		r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
		change(r)
		return frame(r, 3)
	}
	create := func(change func(*kmsg.CreateTopicsRequestTopic)) []byte {
		r, topic := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "made-by-hostile", 1, 1
		change(&topic)
		r.Topics = append(r.Topics, topic)
		return frame(r, 5)
	}
	batch := func(change func(*kmsg.RecordBatch)) []byte {
		b := kmsg.RecordBatch{Magic: 2, NumRecords: 1, Records: record(), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1}
		change(&b)
		b.Length = int32(49 + len(b.Records))
		return produceFrame(kafkareadtest.Sum(b.AppendTo(nil)))
	}
	all := map[string][]byte{
		"unknown request":         raw("0000000a03e80000000000010000"),
		"negative request":        raw("0000000affff0000000000010000"),
		"nothing":                 raw("00000000"),
		"header cut off":          raw("000000080003000000000001"),
		"client id too long":      raw("0000000a00030000000000017fff"),
		"4 GB announced":          raw("ffffffff"),
		"2 GB announced":          raw("7fffffff00030000"),
		"negative version":        raw("0000000a0003ffff000000010000"),
		"version of the future":   raw("0000000a00037fff000000010000"),
		"array of 2 billion":      raw("0000000e000300010000000100007fffffff"),
		"HTTP":                    []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"TLS hello":               raw("16030100c8010000c40303"),
		"no protocols":            join(func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }),
		"a protocol twice":        join(func(r *kmsg.JoinGroupRequest) { r.Protocols = append(r.Protocols, r.Protocols[0]) }),
		"rebalance in the past":   join(func(r *kmsg.JoinGroupRequest) { r.RebalanceTimeoutMillis = -2147483648 }),
		"2 billion partitions":    create(func(r *kmsg.CreateTopicsRequestTopic) { r.NumPartitions = 2147483647 }),
		"-5 partitions":           create(func(r *kmsg.CreateTopicsRequestTopic) { r.NumPartitions = -5 }),
		"a path as topic":         create(func(r *kmsg.CreateTopicsRequestTopic) { r.Topic = "../../../tmp/x" }),
		"-6 records":              batch(func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = -6, -7 }),
		"2 billion records":       batch(func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 2147483647, 2147483646 }),
		"transactional batch":     batch(func(b *kmsg.RecordBatch) { b.Attributes = 0x10; b.ProducerID = 1; b.ProducerEpoch = 0 }),
		"share group heartbeat":   frame(kmsg.NewPtrShareGroupHeartbeatRequest(), 1),
		"end of a transaction":    frame(kmsg.NewPtrEndTxnRequest(), 3),
		"transactional producer":  frame(&kmsg.InitProducerIDRequest{TransactionalID: new("x"), TransactionTimeoutMillis: -1}, 3),
		"change of configuration": frame(kmsg.NewPtrAlterConfigsRequest(), 1),
	}
	for name, b := range kafkareadtest.Broken(tb) {
		all["batch: "+name] = produceFrame(b)
	}
	return all
}

func record() []byte { return kafkareadtest.Record(0, "k", "v", 0) }

func produceFrame(batch []byte) []byte {
	r, topic, p := kmsg.NewPtrProduceRequest(), kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topic.Topic, r.Acks, r.TimeoutMillis, p.Records = "events", -1, 1000, batch
	topic.Partitions = append(topic.Partitions, p)
	r.Topics = append(r.Topics, topic)
	return frame(r, 8)
}

// The frame that the broken batches come in is one that is answered when its batch is good.
func TestGoodBatchesAreTaken(t *testing.T) {
	t.Parallel()
	s := start(t, kafkaserver.Config{})
	createTopic(t, client(t, s), "events", 1)
	answered, err := send(s.Addr(), 5*time.Second, produceFrame(kafkareadtest.Batch(0, 1, record())))
	if err != nil || !answered {
		t.Fatalf("answered %t: %v", answered, err)
	}
	if end, err := produce(t.Context(), client(t, s), "events", 0, "x"); err != nil || end != 1 {
		t.Errorf("the next record is at offset %d: %v", end, err)
	}
}

// bystander produces and fetches all the while: what others send must not disturb it.
func bystander(t *testing.T, s *kafkaserver.Server) (stop func() (rounds int64)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := client(t, s)
	createTopic(t, c, "bystander", 1)
	var rounds atomic.Int64
	done, begun := make(chan error, 1), make(chan struct{})
	go func() {
		for {
			n := rounds.Load()
			offset, err := produce(ctx, c, "bystander", 0, strconv.FormatInt(n, 10))
			if ctx.Err() != nil {
				done <- nil
				return
			}
			if err == nil && offset != n {
				err = errors.New("offset " + strconv.FormatInt(offset, 10) + " for record " + strconv.FormatInt(n, 10))
			}
			if err != nil {
				done <- err
				return
			}
			if rounds.Add(1) == 1 {
				close(begun)
			}
		}
	}()
	select {
	case <-begun:
	case err := <-done:
		t.Fatalf("bystander: %v", err)
	}
	return func() int64 {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("bystander: %v", err)
		}
		return rounds.Load()
	}
}

func TestKnownKillersCostTheirSenderTheConnection(t *testing.T) {
	t.Parallel()
	s := start(t, kafkaserver.Config{})
	createTopic(t, client(t, s), "events", 1)
	stop := bystander(t, s)
	for name, f := range knownKillers(t) {
		answered, err := send(s.Addr(), 2*time.Second, f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if answered {
			t.Errorf("%s: was answered", name)
		}
	}
	if n := stop(); n == 0 {
		t.Error("the bystander got nothing done")
	}
	if end, err := produce(t.Context(), client(t, s), "events", 0, "x"); err != nil || end != 0 {
		t.Errorf("first good record at offset %d: %v", end, err)
	}
}

// Valid requests are damaged at random: bits flipped, cut, stretched, numbers made extreme.
func TestDamagedFramesEndOnlyTheirConnection(t *testing.T) {
	t.Parallel()
	rounds := 1000
	if n, err := strconv.Atoi(os.Getenv("DAYBOOK_HOSTILE_FRAMES")); err == nil {
		rounds = n
	}
	s := start(t, kafkaserver.Config{})
	createTopic(t, client(t, s), "events", 2)
	stop := bystander(t, s)
	seed := rand.Uint64()
	t.Logf("seed %d, %d frames", seed, rounds)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var corpus [][]byte // what is answered when whole, and some of what is not
	for _, f := range validFrames() {
		answered, err := send(s.Addr(), 50*time.Millisecond, f)
		if err != nil {
			t.Fatal(err)
		}
		if answered || rnd.IntN(20) == 0 {
			corpus = append(corpus, f)
		}
	}
	answers := 0
	for i := range rounds {
		frames := make([][]byte, 1+rnd.IntN(3))
		for j := range frames {
			frames[j] = damage(rnd, corpus[rnd.IntN(len(corpus))])
		}
		answered, err := send(s.Addr(), 50*time.Millisecond, frames...)
		if err != nil {
			t.Fatalf("seed %d, round %d: the broker is gone: %v", seed, i, err)
		}
		if answered {
			answers++
		}
	}
	n := stop()
	t.Logf("%d kinds of request; %d of %d rounds were answered; %d records of a bystander meanwhile", len(corpus), answers, rounds, n)
	if answers == 0 || n == 0 {
		t.Error("the test reached nothing")
	}
}

// validFrames is every served request in every version, with something in its arrays.
func validFrames() [][]byte {
	var out [][]byte
	for key := range int16(92) {
		req := kmsg.RequestForKey(key)
		if req == nil {
			continue
		}
		for version := range req.MaxVersion() + 1 {
			req := kmsg.RequestForKey(key)
			fill(req)
			out = append(out, frame(req, version))
		}
	}
	return out
}

func fill(req kmsg.Request) {
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		topic, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
		topic.Topic, r.Acks, p.Records = "events", -1, kafkareadtest.Batch(0, 1, record())
		topic.Partitions = append(topic.Partitions, p)
		r.Topics = append(r.Topics, topic)
	case *kmsg.FetchRequest:
		topic, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
		topic.Topic, r.MaxWaitMillis, r.MinBytes, p.PartitionMaxBytes = "events", 10, 1, 1000
		topic.Partitions = append(topic.Partitions, p)
		r.Topics = append(r.Topics, topic)
	case *kmsg.ListOffsetsRequest:
		topic, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		topic.Topic, p.Timestamp = "events", -1
		topic.Partitions = append(topic.Partitions, p)
		r.Topics = append(r.Topics, topic)
	case *kmsg.MetadataRequest:
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = new("events")
		r.Topics = append(r.Topics, topic)
	case *kmsg.JoinGroupRequest:
		r.Group, r.ProtocolType, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = "hostile", "consumer", 500, 500
		r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 1, 0, 0, 0, 0}}, {Name: "roundrobin"}}
	case *kmsg.SyncGroupRequest:
		r.Group, r.Generation, r.MemberID = "hostile", 1, "m"
		r.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: "m", MemberAssignment: []byte{1}}}
	case *kmsg.HeartbeatRequest:
		r.Group, r.Generation, r.MemberID = "hostile", 1, "m"
	case *kmsg.LeaveGroupRequest:
		r.Group, r.MemberID, r.Members = "hostile", "m", []kmsg.LeaveGroupRequestMember{{MemberID: "m"}}
	case *kmsg.OffsetCommitRequest:
		topic, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
		topic.Topic, r.Group, p.Offset = "events", "hostile", 5
		topic.Partitions = append(topic.Partitions, p)
		r.Topics = append(r.Topics, topic)
	case *kmsg.OffsetFetchRequest:
		r.Group, r.Groups = "hostile", []kmsg.OffsetFetchRequestGroup{{Group: "hostile"}}
	case *kmsg.FindCoordinatorRequest:
		r.CoordinatorKey, r.CoordinatorKeys = "hostile", []string{"hostile"}
	case *kmsg.DescribeGroupsRequest:
		r.Groups = []string{"hostile"}
	case *kmsg.DeleteGroupsRequest:
		r.Groups = []string{"hostile"}
	case *kmsg.CreateTopicsRequest:
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "hostile", 2, 1
		topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms", Value: new("1000")}}
		r.Topics = append(r.Topics, topic)
	case *kmsg.DeleteTopicsRequest:
		topic := kmsg.NewDeleteTopicsRequestTopic()
		topic.Topic = new("hostile")
		r.TopicNames, r.Topics = []string{"hostile"}, append(r.Topics, topic)
	case *kmsg.DeleteRecordsRequest:
		topic, p := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
		topic.Topic, p.Offset = "events", -1
		topic.Partitions = append(topic.Partitions, p)
		r.Topics = append(r.Topics, topic)
	case *kmsg.DescribeConfigsRequest:
		res := kmsg.NewDescribeConfigsRequestResource()
		res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, "events"
		r.Resources = append(r.Resources, res)
	case *kmsg.OffsetForLeaderEpochRequest:
		topic, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		topic.Topic = "events"
		topic.Partitions = append(topic.Partitions, p)
		r.Topics = append(r.Topics, topic)
	}
}

// damage changes a copy of a frame; the length in front is mostly kept honest, so that the rest is looked at.
func damage(rnd *rand.Rand, f []byte) []byte {
	f = append([]byte(nil), f...)
	for range rnd.IntN(4) {
		if len(f) <= 12 {
			break
		}
		at := 4 + rnd.IntN(len(f)-4)
		switch rnd.IntN(6) {
		case 0:
			f[at] ^= 1 << rnd.IntN(8)
		case 1:
			f[at] = []byte{0, 0x7f, 0x80, 0xff}[rnd.IntN(4)]
		case 2:
			f = f[:at]
		case 3:
			f = append(f[:at:at], append(make([]byte, 1+rnd.IntN(8)), f[at:]...)...)
		case 4:
			if at+4 <= len(f) {
				binary.BigEndian.PutUint32(f[at:], []uint32{0, 1, 0x7fffffff, 0x80000000, 0xffffffff, rnd.Uint32()}[rnd.IntN(6)])
			}
		case 5:
			if at+8 <= len(f) {
				binary.BigEndian.PutUint64(f[at:], []uint64{1<<63 - 1, 1 << 63, ^uint64(0), rnd.Uint64()}[rnd.IntN(4)])
			}
		}
	}
	if len(f) >= 4 && rnd.IntN(20) > 0 {
		binary.BigEndian.PutUint32(f, uint32(len(f)-4))
	}
	return f
}

func TestASilentClientMayStay(t *testing.T) {
	t.Parallel()
	s := start(t, kafkaserver.Config{MaxConnections: 3})
	silent, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := silent.Write([]byte{0, 0}); err != nil { // half a length, and nothing more
		t.Fatal(err)
	}
	c := &kafka.Client{Addr: kafka.TCP(s.Addr()), Timeout: time.Minute, Transport: &kafka.Transport{}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	if _, err := c.Metadata(t.Context(), &kafka.MetadataRequest{}); err != nil {
		t.Errorf("beside a silent client: %v", err)
	}
}

func TestTooManyClientsAreTurnedAway(t *testing.T) {
	t.Parallel()
	s := start(t, kafkaserver.Config{MaxConnections: 2})
	var open []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	req := frame(kmsg.NewPtrMetadataRequest(), 1)
	answered := func(c net.Conn) bool {
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = c.Write(req)
		n, _ := c.Read(make([]byte, 4))
		return n > 0
	}
	if !answered(open[0]) || !answered(open[1]) {
		t.Error("an admitted client was not served")
	}
	third, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if answered(third) {
		t.Error("the third client was served")
	}
}
