package query_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// Room is a row of the table rooms, and what a query of it gives.
type Room struct {
	projection.Stamp

	Guest string `db:"guest"`
}

// behind is a view whose read models have not come far enough. A program has its views from runtime.Services.
type behind struct{}

func (behind) Read(context.Context, query.Ask, func(context.Context, query.Snapshot) error) (query.Answer, error) {
	return query.Answer{}, query.ErrNotYet
}

// A query names the table in braces, and the position that it must reflect: of a command's receipt, to read one's own writes.
func Example() {
	ask := query.Ask{Key: "7", MinPosition: 42}
	room, _, err := query.One[Room](context.Background(), behind{}, ask, `select `+query.Columns[Room]()+` from {rooms} where key = $1`, "7")
	fmt.Println(query.Columns[Room]())
	fmt.Println(room == nil, errors.Is(err, query.ErrNotYet))
	// Output:
	// version, revision, position, valid_from, recorded_from, guest
	// true true
}
