package apachekafka

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

func TestItAnswers(t *testing.T) {
	t.Parallel()
	began := time.Now()
	s := Start(t)
	t.Logf("Apache Kafka %s on %s after %v", Version, s.Addr(), time.Since(began).Round(time.Millisecond))
	c := &kafka.Client{Addr: kafka.TCP(s.Addr()), Transport: &kafka.Transport{}, Timeout: 10 * time.Second}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	meta, err := c.Metadata(t.Context(), &kafka.MetadataRequest{})
	if err != nil || len(meta.Brokers) != 1 {
		t.Errorf("brokers %v, %v", meta, err)
	}
}

func TestVersionIsThatOfThePOM(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(pom())
	if err != nil || !strings.Contains(string(b), "<artifactId>kafka_2.13</artifactId><version>"+Version+"</version>") {
		t.Errorf("%s is not in %s: %v", Version, b, err)
	}
}
