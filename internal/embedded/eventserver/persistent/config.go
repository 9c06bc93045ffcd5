package persistent

import (
	"errors"
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

const maxBuffer = 100_000

// Check refuses settings that cannot work.
func (s *Settings) Check() error {
	for name, v := range map[string]int32{"live buffer": s.LiveBuffer, "read batch": s.ReadBatch, "history buffer": s.HistoryBuffer} {
		if v <= 0 || v > maxBuffer {
			return fmt.Errorf("the %s size is %d, it must be between 1 and %d", name, v, maxBuffer)
		}
	}
	switch {
	case s.HistoryBuffer <= s.ReadBatch:
		return fmt.Errorf("the history buffer size, %d, must be above the read batch size, %d", s.HistoryBuffer, s.ReadBatch)
	case s.MaxRetry < 0 || s.MaxSubscribers < 0 || s.MinCheckpoint < 0 || s.MaxCheckpoint < 0 || s.MessageTimeout < 0 || s.CheckpointAfter < 0:
		return errors.New("a setting is negative")
	case s.MaxCheckpoint < s.MinCheckpoint:
		return fmt.Errorf("the maximum checkpoint count, %d, is below the minimum, %d", s.MaxCheckpoint, s.MinCheckpoint)
	}
	switch s.Strategy {
	case RoundRobin, DispatchToSingle, Pinned, PinnedByCorrelation:
		return nil
	}
	return fmt.Errorf("there is no consumer strategy %q", s.Strategy)
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
