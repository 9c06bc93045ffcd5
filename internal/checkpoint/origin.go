package checkpoint

import (
	"fmt"

	"github.com/daybook-dev/daybook/kit/es"
)

// Origin is what a position and the chain of a partition are about. Those of one origin mean nothing under another.
type Origin struct {
	Incarnation string // of the event store
	Partitions  int    // of the topic
	Filter      int    // the number of the rule that says what is relayed
}

// Here is the origin of what this program makes.
func Here(incarnation string, partitions int) Origin {
	return Origin{Incarnation: incarnation, Partitions: partitions, Filter: es.RelayFilter}
}

// MismatchError says that a checkpoint, the topic and the configuration do not belong together. Waiting does not help: Remedy does.
type MismatchError struct{ What, Remedy string }

func (e *MismatchError) Error() string { return e.What + "; " + e.Remedy }

// Accept refuses what was made under another origin: a *MismatchError that names what it is.
func (o Origin) Accept(what string, made Origin) error {
	switch {
	case made.Incarnation != o.Incarnation:
		return &MismatchError{
			fmt.Sprintf("%s is of incarnation %s of the event store, this is incarnation %s", what, made.Incarnation, o.Incarnation),
			"connect the event store that it belongs to, or " + Remedy,
		}
	case made.Partitions != o.Partitions:
		return &MismatchError{
			fmt.Sprintf("%s counts %d partitions, this installation %d", what, made.Partitions, o.Partitions),
			"configure the former number, or " + Remedy,
		}
	case made.Filter != o.Filter:
		return &MismatchError{
			fmt.Sprintf("%s was made under filter %d of what is relayed, this program has filter %d", what, made.Filter, o.Filter),
			"start the program that it belongs to, or " + Remedy,
		}
	}
	return nil
}
