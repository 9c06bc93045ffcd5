package events

// LeaseTaken gives the numbers From to To, both included, to the process that appended it. They are never given again.
type LeaseTaken struct {
	Name string `json:"name"` // order-number
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

func (LeaseTaken) EventType() string { return "lease.taken" }
