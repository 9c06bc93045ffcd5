package persistent

import "encoding/json"

// pin is what keeps a message with its consumer.
func pin(m *Message, strategy string) []byte {
	e := m.Event
	if e == nil {
		return m.original().Stream
	}
	if strategy == PinnedByCorrelation {
		var meta struct {
			Correlation string `json:"$correlationId"`
		}
		if json.Unmarshal(e.Meta, &meta) == nil && meta.Correlation != "" {
			return []byte(meta.Correlation)
		}
	}
	return e.Stream
}
