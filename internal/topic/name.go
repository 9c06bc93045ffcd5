package topic

const (
	// DefaultName and DefaultPartitions are what an installation has unless it says otherwise.
	DefaultName       = "daybook.events"
	DefaultPartitions = 12
)
