package clienttest

import (
	"fmt"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Text is an id on the wire as text.
func Text(id uuid.UUID) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_String_{String_: id.String()}}
}

// Structured is an id on the wire as two numbers.
func Structured(id uuid.UUID) *shared.UUID {
	most, least := esdb.UUIDAsInt64(id)
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{MostSignificantBits: most, LeastSignificantBits: least}}}
}

// Proposed is an event of a batch append, with data that tells n.
func Proposed(id *shared.UUID, n int) *streams.BatchAppendReq_ProposedMessage {
	return &streams.BatchAppendReq_ProposedMessage{Id: id, Data: fmt.Appendf(nil, `{"n":%d}`, n),
		Metadata: map[string]string{"type": "thing.happened", "content-type": "application/json"}}
}

// NoStream are the options of a batch append that creates the stream.
func NoStream(stream string) *streams.BatchAppendReq_Options {
	return &streams.BatchAppendReq_Options{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)},
		ExpectedStreamPosition: &streams.BatchAppendReq_Options_NoStream{NoStream: &emptypb.Empty{}}}
}

// Detail names what went wrong by the type of the details, as clients do; "" of a success.
func Detail(r *streams.BatchAppendResp) string {
	if r.GetError() == nil || len(r.GetError().GetDetails()) != 1 {
		return ""
	}
	return string(r.GetError().GetDetails()[0].MessageName().Name())
}
