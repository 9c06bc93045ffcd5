package kafkaread

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// largest bounds an answer. Kafka itself takes no request, and so no batch, above 100 MiB unless its socket.request.max.bytes says so.
const largest = 128 << 20

// exchange is a request of which kafka-go does everything but find the broker and read the answer: connections, credentials, versions.
type exchange struct {
	ask    protocol.Message
	find   func(protocol.Cluster) (protocol.Broker, error)
	answer kmsg.Response

	version int16
}

var (
	_ protocol.RawExchanger  = (*exchange)(nil)
	_ protocol.BrokerMessage = (*exchange)(nil)
)

// of finds a broker by its id.
func of(leader int) func(protocol.Cluster) (protocol.Broker, error) {
	return func(c protocol.Cluster) (protocol.Broker, error) {
		if b, ok := c.Brokers[int32(leader)]; ok { //nolint:gosec // from one
			return b, nil
		}
		return protocol.Broker{}, kafka.BrokerNotAvailable
	}
}

func roundTrip(ctx context.Context, client *kafka.Client, e *exchange) error {
	_, err := client.Transport.RoundTrip(ctx, client.Addr, e)
	return err
}

func (e *exchange) ApiKey() protocol.ApiKey { return e.ask.ApiKey() }

func (e *exchange) Broker(c protocol.Cluster) (protocol.Broker, error) { return e.find(c) }

// Required tells the version that both sides know.
func (e *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	e.version = versions[e.ask.ApiKey()]
	return true
}

func (e *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if err := protocol.WriteRequest(rw, e.version, 1, "daybook", e.ask); err != nil { // a connection has one request at a time
		return nil, err
	}
	var head [8]byte // size and correlation id
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	size := int32(binary.BigEndian.Uint32(head[:])) - 4 //nolint:gosec // as it is meant
	if size < 0 || size > largest {
		return nil, fmt.Errorf("the broker answers with %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(rw, body); err != nil {
		return nil, err
	}
	e.answer.SetVersion(e.version)
	read := e.answer.ReadFrom
	if unsafe, ok := e.answer.(kmsg.UnsafeReadFrom); ok {
		read = unsafe.UnsafeReadFrom
	}
	if err := read(body); err != nil {
		return nil, fmt.Errorf("the broker's answer: %w", err)
	}
	return e, nil
}
