package query_test

import (
	"testing"

	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

func TestColumns(t *testing.T) {
	t.Parallel()
	type row struct {
		Name  string `db:"name"`
		Sum   int64  `db:"sum"`
		Times int64  `db:"times"`
	}
	type detail struct {
		row
		projection.Stamp
	}
	if got, want := query.Columns[detail](), "name, sum, times, version, revision, position, valid_from, recorded_from"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
