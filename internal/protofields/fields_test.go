package protofields_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/daybook-dev/daybook/internal/protofields"
)

func TestEveryFieldIsVisitedOnce(t *testing.T) {
	t.Parallel()
	var b []byte
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), 300)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 2, protowire.Fixed64Type), 7)
	b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), "one")
	b = protowire.AppendString(protowire.AppendTag(b, protowire.MaxValidNumber, protowire.BytesType), "")
	var got []string
	walk := func(b []byte) error {
		got = nil
		return protofields.Each(b, func(num protowire.Number, typ protowire.Type, v []byte, n uint64) error {
			got = append(got, fmt.Sprint(num, typ, string(v), n))
			return nil
		})
	}
	want := []string{fmt.Sprint(1, protowire.VarintType, "", 300), fmt.Sprint(2, protowire.Fixed64Type, "", 0), fmt.Sprint(1, protowire.BytesType, "one", 0),
		fmt.Sprint(protowire.MaxValidNumber, protowire.BytesType, "", 0)}
	if err := walk(b); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	whole := map[int]bool{0: true}
	for end := 0; end < len(b); {
		_, _, n := protowire.ConsumeField(b[end:])
		end += n
		whole[end] = true
	}
	for n := range b {
		if err := walk(b[:n]); errors.Is(err, protofields.ErrMalformed) == whole[n] {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	stop := errors.New("stop")
	visits := 0
	if err := protofields.Each(b, func(protowire.Number, protowire.Type, []byte, uint64) error { visits++; return stop }); !errors.Is(err, stop) || visits != 1 {
		t.Errorf("ended by the visitor after %d: %v", visits, err)
	}
}
