package eventserver

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// FuzzOptions: whatever is sent to the services whose messages are decoded by hand, it is decoded or refused.
func FuzzOptions(f *testing.F) {
	one := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "login")
	all := protowire.AppendString(protowire.AppendTag(one, 4, protowire.BytesType), "group")
	f.Add(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), one))
	f.Add(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), all))
	f.Add(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 7))
	f.Add([]byte{0x0b, 0x0c})
	f.Fuzz(func(t *testing.T, b []byte) {
		var o options
		if err := o.Decode(b); err == nil {
			size := 0
			for _, s := range append(o.list, o.text[:]...) {
				size += len(s)
			}
			if size > len(b) {
				t.Errorf("%d bytes of %d", size, len(b))
			}
		}
		var p priority
		_ = p.Decode(b)
		var st statsReq
		_ = st.Decode(b)
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	text := func(num protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), s)
	}
	message := func(parts ...[]byte) []byte { return appendMessage(nil, 1, bytes.Join(parts, nil)) }
	var o options
	if err := o.Decode(append(message(text(1, "login"), text(4, "a"), text(9, "later")), message(text(2, "password"), text(4, "b"))...)); err != nil {
		t.Fatal(err)
	}
	if o.text != [4]string{1: "login", 2: "password"} || len(o.list) != 2 || o.list[1] != "b" {
		t.Errorf("%+v", o)
	}
	for _, bad := range [][]byte{{0x0a}, {0x0a, 5, 1}, make([]byte, maxOptions+1), message([]byte{0x0a, 9})} {
		if err := new(options).Decode(bad); err == nil {
			t.Errorf("%x was accepted", bad[:min(len(bad), 8)])
		}
	}
}
