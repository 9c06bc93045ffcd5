// Package importing decides on the begin and the end of taking over another system's history.
package importing

import (
	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/internal/es"
)

const (
	Invalid  es.Code = "import_invalid"
	NotBegun es.Code = "import_not_begun"
)

// Import is how far one has come.
type Import struct{ Began, Ended bool }

func (*Import) Category() string { return "import" }

func (i *Import) Evolve(e es.Event) {
	switch e.(type) {
	case events.ImportBegan:
		i.Began = true
	case events.ImportEnded:
		i.Ended = true
	default:
		es.Unknown(e)
	}
}

// Begin comes before anything else of an import. One that was broken off goes on, and one that has ended stays so.
type Begin struct{ Import events.ImportBegan }

func (Begin) CommandType() string { return "import.begin" }
func (c Begin) Key() string       { return c.Import.ImportID }

func (c Begin) Decide(i Import) ([]es.Event, error) {
	switch {
	case i.Began:
		return es.Nothing()
	case c.Import.Source == "" || c.Import.Orders < 0 || c.Import.Window < 1:
		return es.Reject(Invalid, "import %s needs a source and a window", c.Import.ImportID)
	}
	return es.Facts(c.Import)
}

// End comes after everything else.
type End struct{ Import events.ImportEnded }

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
