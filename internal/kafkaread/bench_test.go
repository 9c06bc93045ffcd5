package kafkaread

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/daybook-dev/daybook/internal/kafkaread/kafkareadtest"
)

// BenchmarkRead reads a batch as the relay writes them, here and by kafka-go.
func BenchmarkRead(b *testing.B) {
	const n = 100
	headers := make([]kafkareadtest.Header, 14)
	for i := range headers {
		headers[i] = kafkareadtest.Header{Key: "ce_header_" + string(rune('a'+i)), Value: strings.Repeat("v", 24)}
	}
	var records []byte
	for i := range n {
		records = append(records, kafkareadtest.Record(int64(i), "order-123456", strings.Repeat("d", 300), int64(len(headers)), headers...)...)
	}
	batch := kafkareadtest.Batch(0, n, records)
	b.Run("kafkaread", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(batch)))
		for range b.N {
			p := Page{High: n}
			p.read("topic", 0, 0, batch)
			if len(p.Messages) != n {
				b.Fatal(p.Unreadable)
			}
		}
	})
	b.Run("kafka-go", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(batch)))
		framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(batch))), batch...) //nolint:gosec // short
		for range b.N {
			var set protocol.RecordSet
			if _, err := set.ReadFrom(bytes.NewReader(framed)); err != nil {
				b.Fatal(err)
			}
			var messages []kafka.Message
			for {
				r, err := set.Records.ReadRecord()
				if errors.Is(err, io.EOF) {
					break
				}
				m := kafka.Message{Offset: r.Offset, Headers: r.Headers}
				if err == nil {
					m.Key, err = kafka.ReadAll(r.Key)
				}
				if err == nil {
					m.Value, err = kafka.ReadAll(r.Value)
				}
				if err != nil {
					b.Fatal(err)
				}
				messages = append(messages, m)
			}
			if c, ok := set.Records.(io.Closer); ok {
				_ = c.Close()
			}
			if len(messages) != n {
				b.Fatal(len(messages))
			}
		}
	})
}
