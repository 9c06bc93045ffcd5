package es

import "time"

// Meta is the metadata of an event, as stored. Schema comes first, so that it can be read by prefix.
type Meta struct {
	Schema      int        `json:"schema"`
	Correlation string     `json:"$correlationId,omitempty"` // the business process
	Causation   string     `json:"$causationId,omitempty"`   // the event or command that led here
	Command     CommandRef `json:"command,omitzero"`
	Effect      EffectRef  `json:"effect,omitzero"`
	Actor       Actor      `json:"actor,omitzero"`
	Reason      Sealed     `json:"reason,omitzero"`
	OccurredAt  time.Time  `json:"occurredAt,omitzero"`
	StatedAt    time.Time  `json:"statedAt,omitzero"` // only where it differs from OccurredAt
	Traceparent string     `json:"traceparent,omitempty"`
}

// Actor is who did it.
type Actor struct {
	ID   string `json:"id"`
	Kind string `json:"kind"` // user, service, saga, operator, import
}

// CommandRef is what an event remembers of the command that produced it.
type CommandRef struct {
	ID     UUID   `json:"id"`
	Name   string `json:"name"`
	Digest []byte `json:"digest,omitempty"`
}

// EffectRef is the saga effect that an event answers. Instance routes the answer: "placement-O".
type EffectRef struct {
	ID       UUID   `json:"id"`
	Instance string `json:"instance"`
}
