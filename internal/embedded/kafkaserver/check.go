package kafkaserver

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/daybook-dev/daybook/internal/kafkaread"
)

// headerSize is the shortest request: api key, version, correlation id and the length of a client id.
const headerSize = 2 + 2 + 4 + 2

// newest is every request that is served, and its newest version. It holds what producers, consumers, consumer groups
// and administrators of topics need; no transactions, no share groups, no accounts.
var newest = map[kmsg.Key]int16{
	kmsg.Produce: 11, kmsg.Fetch: 12, kmsg.ListOffsets: 7, kmsg.Metadata: 12, kmsg.ApiVersions: 4,
	kmsg.FindCoordinator: 4, kmsg.JoinGroup: 9, kmsg.SyncGroup: 5, kmsg.Heartbeat: 4, kmsg.LeaveGroup: 5,
	kmsg.OffsetCommit: 8, kmsg.OffsetFetch: 8, kmsg.DescribeGroups: 5, kmsg.ListGroups: 4, kmsg.DeleteGroups: 2,
	kmsg.CreateTopics: 7, kmsg.DeleteTopics: 6, kmsg.DeleteRecords: 2, kmsg.DescribeConfigs: 4,
	kmsg.InitProducerID: 4, kmsg.OffsetForLeaderEpoch: 4, kmsg.DescribeCluster: 1,
}

// served is that list as kfake takes it; it answers ApiVersions from it.
func served() *kversion.Versions {
	v := new(kversion.Versions)
	for key, version := range newest {
		v.SetMaxKeyVersion(key.Int16(), version)
	}
	return v
}

// check says whether kfake can be trusted with a frame, and what it asks for. The frame comes without its length.
func check(frame []byte) (api string, err error) {
	header := kbin.Reader{Src: frame}
	key, version := header.Int16(), header.Int16()
	_ = header.Int32() // correlation id
	_ = header.UnsafeNullableString()
	newestVersion, ok := newest[kmsg.Key(key)]
	if !ok {
		return "", fmt.Errorf("request %d is not served", key)
	}
	api = kmsg.NameForKey(key)
	asksVersions := kmsg.Key(key) == kmsg.ApiVersions // asked with a version of the client's own day, and answered
	if version < 0 || version > newestVersion && (!asksVersions || version >= 64) {
		return "", fmt.Errorf("%s has no version %d", api, version)
	}
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	if req.IsFlexible() {
		kmsg.SkipTags(&header)
	}
	if !header.Ok() {
		return "", fmt.Errorf("%s: the header is cut off", api)
	}
	if err := req.ReadFrom(header.Src); err != nil {
		return "", fmt.Errorf("%s version %d: %w", api, version, err)
	}
	if err := plausible(req); err != nil {
		return "", fmt.Errorf("%s version %d: %w", api, version, err)
	}
	return api, nil
}

const (
	maxTopics     = 1000 // of one request
	maxPartitions = 1000 // of one topic
	maxWait       = 5 * 60 * 1000
)

// plausible refuses values that parse, but that no client sends and kfake does not expect.
func plausible(req kmsg.Request) error { //nolint:gocognit // a list of what is refused, request by request
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		if r.TransactionID != nil {
			return errors.New("transactions are not served")
		}
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				if err := plausibleBatch(p.Records); err != nil {
					return fmt.Errorf("topic %q partition %d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	case *kmsg.FetchRequest:
		if r.MaxWaitMillis < 0 || r.MaxWaitMillis > maxWait || r.MaxBytes < 0 || r.MinBytes < 0 {
			return fmt.Errorf("waits %d ms for %d to %d bytes", r.MaxWaitMillis, r.MinBytes, r.MaxBytes)
		}
	case *kmsg.JoinGroupRequest:
		return plausibleJoin(r)
	case *kmsg.InitProducerIDRequest:
		if r.TransactionalID != nil {
			return errors.New("transactions are not served")
		}
	case *kmsg.CreateTopicsRequest:
		if len(r.Topics) > maxTopics {
			return fmt.Errorf("%d topics at once", len(r.Topics))
		}
		for _, t := range r.Topics {
			if !topicName(t.Topic) {
				return fmt.Errorf("%q is not a topic's name", t.Topic)
			}
			if t.NumPartitions > maxPartitions || t.NumPartitions < -1 || len(t.ReplicaAssignment) > maxPartitions || t.ReplicationFactor < -1 {
				return fmt.Errorf("topic %q with %d partitions, %d replicas", t.Topic, t.NumPartitions, t.ReplicationFactor)
			}
			for _, a := range t.ReplicaAssignment {
				if len(a.Replicas) != 1 {
					return fmt.Errorf("topic %q: partition %d on %d nodes; there is one node", t.Topic, a.Partition, len(a.Replicas))
				}
			}
		}
	}
	return nil
}

func plausibleJoin(r *kmsg.JoinGroupRequest) error {
	if r.SessionTimeoutMillis < 0 || r.RebalanceTimeoutMillis < -1 || r.RebalanceTimeoutMillis > maxWait || r.Version >= 1 && r.RebalanceTimeoutMillis <= 0 {
		return fmt.Errorf("session of %d ms, rebalance of %d ms", r.SessionTimeoutMillis, r.RebalanceTimeoutMillis)
	}
	if len(r.Protocols) == 0 || len(r.Protocols) > 64 {
		return fmt.Errorf("%d protocols", len(r.Protocols))
	}
	seen := map[string]bool{}
	for _, p := range r.Protocols { // kfake counts members by the protocols they name
		if seen[p.Name] {
			return fmt.Errorf("protocol %q twice", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

// plausibleBatch bounds what a batch says of itself, which kfake believes and hands on to consumers. That it is
// complete and its checksum right is checked behind us.
func plausibleBatch(records []byte) error {
	var b kmsg.RecordBatch
	if err := b.ReadFrom(records); err != nil {
		return fmt.Errorf("record batch: %w", err)
	}
	const smallest = 7 // length, attributes, two deltas, key, value and headers of a record without any
	switch most := len(b.Records) / smallest; {
	case b.NumRecords < 1 || b.LastOffsetDelta != b.NumRecords-1:
		return fmt.Errorf("record batch of %d records", b.NumRecords)
	case b.Attributes&7 != 0:
		return errors.New("compressed batches are not served: what they inflate to is not bounded")
	case int(b.NumRecords) > most:
		return fmt.Errorf("record batch of %d records in %d bytes", b.NumRecords, len(b.Records))
	case b.Attributes&0x30 != 0:
		return errors.New("transactional and control batches are not served")
	}
	return kafkaread.Walk(b.Records, int(b.NumRecords), func(i int, r kafkaread.Record) error {
		if r.Delta != int64(i) {
			return fmt.Errorf("its offset is %d after the batch's first", r.Delta)
		}
		return nil
	})
}

// topicName is Kafka's own rule, org.apache.kafka.common.internals.Topic.
func topicName(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 249 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
