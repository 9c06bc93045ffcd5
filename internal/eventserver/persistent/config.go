package persistent

import (
	"fmt"
	"strconv"
	"time"
)

// All is the stream name under which groups on $all are kept.
const All = "$all"

// Strategies to choose the consumer of the next message.
const (
	RoundRobin          = "RoundRobin"
	DispatchToSingle    = "DispatchToSingle"
	Pinned              = "Pinned"              // by the stream's name
	PinnedByCorrelation = "PinnedByCorrelation" // by $correlationId
)

// Config is one group as it is stored.
type Config struct {
	Stream   string   `json:"stream"`
	Group    string   `json:"group"`
	From     uint64   `json:"from"`      // first revision, or position, to deliver
	StartEnd bool     `json:"start_end"` // it was given as "the end"
	Filter   *Filter  `json:"filter,omitempty"`
	Settings Settings `json:"settings"`
}

// Filter is a filter on $all.
type Filter struct {
	ByType   bool     `json:"by_type"`
	Regex    string   `json:"regex,omitempty"`
	Prefixes []string `json:"prefixes,omitempty"`
}

// Settings are those of EventStoreDB.
type Settings struct {
	ResolveLinks    bool          `json:"resolve_links"`
	ExtraStatistics bool          `json:"extra_statistics"`
	MaxRetry        int32         `json:"max_retry"`
	MinCheckpoint   int32         `json:"min_checkpoint"`
	MaxCheckpoint   int32         `json:"max_checkpoint"`
	MaxSubscribers  int32         `json:"max_subscribers"` // 0: no limit
	LiveBuffer      int32         `json:"live_buffer"`
	ReadBatch       int32         `json:"read_batch"`
	HistoryBuffer   int32         `json:"history_buffer"`
	MessageTimeout  time.Duration `json:"message_timeout"` // 0: none
	CheckpointAfter time.Duration `json:"checkpoint_after"`
	Strategy        string        `json:"strategy"`
}

// Check refuses a group that cannot be.
func (c *Config) Check() error {
	switch {
	case c.Stream == "":
		return refused("Bad stream name.")
	case c.Group == "":
		return refused("Bad group name.")
	}
	return c.Settings.Check()
}

// Check refuses settings that cannot work, as EventStoreDB does, and negative ones, which it takes.
func (s *Settings) Check() error {
	for name, v := range map[string]int64{"live buffer size": int64(s.LiveBuffer), "read batch size": int64(s.ReadBatch), "history buffer size": int64(s.HistoryBuffer),
		"maximum retry count": int64(s.MaxRetry), "maximum subscriber count": int64(s.MaxSubscribers), "minimum checkpoint count": int64(s.MinCheckpoint),
		"maximum checkpoint count": int64(s.MaxCheckpoint), "message timeout": int64(s.MessageTimeout), "time after which a checkpoint is saved": int64(s.CheckpointAfter)} {
		if v < 0 {
			return refused("The %s is negative.", name)
		}
	}
	if s.HistoryBuffer <= s.ReadBatch {
		return refused("The read batch size, %d, may not be greater than or equal to the history buffer size, %d.", s.ReadBatch, s.HistoryBuffer)
	}
	switch s.Strategy {
	case RoundRobin, DispatchToSingle, Pinned, PinnedByCorrelation:
		return nil
	}
	return refused("Consumer strategy %s does not exist.", s.Strategy)
}

// batch is how many events are read at once.
func (s *Settings) batch() int {
	const standard, most = 20, 500
	if s.ReadBatch == 0 {
		return min(standard, int(s.HistoryBuffer))
	}
	return min(int(s.ReadBatch), most)
}

func (c *Config) key() string { return c.Stream + "::" + c.Group }

func (c *Config) checkpointStream() string {
	return "$persistentsubscription-" + c.key() + "-checkpoint"
}

func (c *Config) parkedStream() string { return "$persistentsubscription-" + c.key() + "-parked" }

// place writes a revision or position as EventStoreDB writes it.
func (c *Config) place(n int64) string {
	if c.Stream == All {
		return fmt.Sprintf("C:%d/P:%d", n, n)
	}
	return strconv.FormatInt(n, 10)
}

func (c *Config) parsePlace(s string) (n uint64, err error) {
	if c.Stream == All {
		var p uint64
		if _, err := fmt.Sscanf(s, "C:%d/P:%d", &n, &p); err != nil {
			return 0, fmt.Errorf("checkpoint %q is no position", s)
		}
		return n, nil
	}
	if n, err = strconv.ParseUint(s, 10, 63); err != nil {
		return 0, fmt.Errorf("checkpoint %q is no revision", s)
	}
	return n, nil
}

func (c *Config) start() string {
	if c.StartEnd {
		return c.place(-1)
	}
	return c.place(int64(c.From)) //nolint:gosec // below 1<<63
}
