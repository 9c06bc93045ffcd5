package memory_test

import (
	"context"
	"fmt"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

func Example() {
	store := memory.New()
	stream := es.StreamID{Category: "lamp", Key: "hall"}
	position, err := store.Append(context.Background(), stream, es.NoStream, []es.Proposed{{
		ID: es.DerivedID(es.UUID{}, "lit"), Type: "lamp.lit", Data: []byte(`{}`), Meta: []byte(`{"schema":1}`),
	}})
	fmt.Println(position, err)
	for r, err := range store.Read(context.Background(), stream, 0) {
		fmt.Println(r.Stream, r.Revision, r.Type, err)
	}
	// Output:
	// 1 <nil>
	// lamp-hall 0 lamp.lit <nil>
}
