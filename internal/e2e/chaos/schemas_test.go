package chaos_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/segmentio/kafka-go"

	"github.com/daybook-dev/daybook/internal/kafkaread"
	"github.com/daybook-dev/daybook/internal/testenv"
	"github.com/daybook-dev/daybook/internal/testenv/market"
	"github.com/daybook-dev/daybook/internal/topic"
)

// Every message on the topic names a schema that the running server gives, and its value is what that schema says.
func TestMessagesFitTheSchemasTheyName(t *testing.T) {
	t.Parallel()
	at := testenv.Address(t)
	p := testenv.Start(t, testenv.Options{Args: append([]string{"--listen", at}, testenv.AnyPorts()...)})
	shop := market.New(at)
	if err := shop.Stocked(t.Context(), "PLENTY", 100_000_000); err != nil {
		t.Fatal(err)
	}
	trade := market.StartTrade(t.Context(), shop, "sold")
	trade.More(t, 100)
	trade.End(t)
	shop.Ended(t, market.EndWithin)
	var addresses struct{ Kafka string }
	p.Addresses(&addresses)
	schemas, messages := map[string]*jsonschema.Schema{}, 0
	for _, m := range wholeTopic(t, addresses.Kafka) {
		messages++
		address := ""
		for _, h := range m.Headers {
			if h.Key == "ce_dataschema" {
				address = string(h.Value)
			}
		}
		schema := schemas[address]
		if schema == nil {
			var err error
			if schema, err = schemaAt(t.Context(), address); err != nil {
				t.Fatalf("ce_dataschema %q of offset %d on partition %d: %v", address, m.Offset, m.Partition, err)
			}
			if schemas[address] = schema; schema.Validate(map[string]any{"no event has": "this"}) == nil {
				t.Errorf("%s: anything fits", address)
			}
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Value))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %s: %v", address, m.Value, err)
		}
	}
	if len(schemas) < 12 || messages < 500 { // which a trade always comes to; more depends on what its cancellations meet
		t.Errorf("%d messages of %d schemas only", messages, len(schemas))
	}
	for path, status := range map[string]int{"/order.placed/1": 200, "/order.placed/99": 404, "/no.such_event/1": 404, "/order.placed/0": 400, "/order.placed/1?x=y": 400} {
		if a, err := shop.Client.Do(t.Context(), http.MethodGet, "/schemas/events"+path, ""); err != nil || a.Status != status {
			t.Errorf("%s: %d %s %v, want %d", path, a.Status, a.Body, err, status)
		}
	}
	t.Logf("%d messages of %d schemas", messages, len(schemas))
}

// wholeTopic reads every partition up to its end.
func wholeTopic(t *testing.T, brokers string) (all []kafka.Message) {
	t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(strings.Split(brokers, ",")...), Transport: transport}
	for part := range topic.DefaultPartitions {
		for offset, high := kafka.FirstOffset, int64(1); offset < high; {
			page, err := kafkaread.Fetch(t.Context(), client, kafkaread.Request{
				Topic: topic.DefaultName, Partition: part, Offset: offset, MaxBytes: 1 << 20, MaxWait: 100 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			all, offset, high = append(all, page.Messages...), page.Next, page.High
		}
	}
	return all
}

func schemaAt(ctx context.Context, address string) (*jsonschema.Schema, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status)
	}
	doc, err := jsonschema.UnmarshalJSON(res.Body)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(address, doc); err != nil {
		return nil, err
	}
	return c.Compile(address)
}
