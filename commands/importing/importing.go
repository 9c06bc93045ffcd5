// Package importing decides on the begin and the end of taking over another system's history.
package importing

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

const (
	Invalid  es.Code = "import_invalid"
	NotBegun es.Code = "import_not_begun"
)

// Import is how far one has come.
type Import struct {
	Began, Ended    bool
	Orders, Returns int // that were recorded at its last end
}

func (*Import) Category() string { return "import" }

func (i *Import) Evolve(e es.Event) {
	switch e := e.(type) {
	case events.ImportBegan:
		i.Began, i.Ended = true, false
	case events.ImportEnded:
		i.Ended, i.Orders, i.Returns = true, e.Orders, e.Returns
	default:
		es.Unknown(e)
	}
}

// Begin comes before anything else of a run. An import that was broken off goes on. One that ended with all that it has stays so,
// as nothing is left to record; one that ended without some of it begins again.
type Begin struct {
	Run    string // its own id: another run decides anew
	Import events.ImportBegan
}

func (Begin) CommandType() string { return "import.begin" }
func (c Begin) Key() string       { return c.Import.ImportID }

func (c Begin) Decide(i Import) ([]es.Event, error) {
	switch {
	case i.Began && !i.Ended, i.Ended && c.Import.Orders <= i.Orders && c.Import.Returns <= i.Returns:
		return es.Nothing()
	case c.Import.Source == "" || c.Import.Orders < 0 || c.Import.Window < 1:
		return es.Reject(Invalid, "import %s needs a source and a window", c.Import.ImportID)
	}
	return es.Facts(c.Import)
}

// End comes after everything else.
type End struct {
	Run    string // likewise
	Import events.ImportEnded
}

func (End) CommandType() string { return "import.end" }
func (c End) Key() string       { return c.Import.ImportID }

func (c End) Decide(i Import) ([]es.Event, error) {
	switch {
	case !i.Began:
		return es.Reject(NotBegun, "import %s has not begun", c.Import.ImportID)
	case i.Ended:
		return es.Nothing()
	}
	return es.Facts(c.Import)
}
