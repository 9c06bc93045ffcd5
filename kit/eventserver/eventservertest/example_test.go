package eventservertest_test

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/daybook-dev/daybook/kit/eventserver/eventservertest"
)

func ExampleStart() { //nolint:testableexamples // it is part of a test
	// TestOrders is a test of something that keeps its events in an event store.
	TestOrders := func(t *testing.T) {
		config, err := esdb.ParseConnectionString(eventservertest.Start(t))
		if err != nil {
			t.Fatal(err)
		}
		client, err := esdb.NewClient(config)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, err = client.AppendToStream(t.Context(), "order-1", esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}},
			esdb.EventData{EventType: "order.placed", ContentType: esdb.ContentTypeJson, Data: []byte(`{"total":"12.50"}`)})
		if err != nil {
			t.Error(err)
		}
	}
	_ = TestOrders
}
