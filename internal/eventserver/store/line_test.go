package store

import (
	"bytes"
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FuzzLine: whatever is read as an event is written so that it is read as the same event.
func FuzzLine(f *testing.F) {
	f.Add([]byte(lineOf("s", 0, 1, 1)))
	f.Add([]byte(`{"stream_bytes":"/w==","revision":9223372036854775807,"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","type_bytes":"/w==","created":1,"bytes":"AA==","meta":[1, 2]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseLine(text)
		if err != nil {
			return
		}
		r := Record{Position: l.Position, Revision: l.Revision, Created: l.Created, ID: ID(l.ID), JSON: l.JSON, Stream: []byte(l.Stream), Type: []byte(l.Type), Data: l.Bytes, Meta: l.MetaBytes}
		line, err := AppendLine(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseLine(line)
		if err != nil {
			t.Fatalf("%s is not read: %v", line, err)
		}
		if !again.same(&r) || again.Stream != l.Stream || again.Revision != l.Revision || again.Created != l.Created || again.Position != l.Position {
			t.Errorf("%q was written as %s", text, line)
		}
	})
}

// FuzzRecordLine: any event at all comes back from its line.
func FuzzRecordLine(f *testing.F) {
	f.Add([]byte("s"), []byte("t"), []byte("{}"), []byte("\xff"), true, uint64(0))
	f.Add([]byte("\xff"), []byte("\x00"), []byte(`{"a":"\u003c<"}`), []byte(`"\ud800"`), false, uint64(7))
	f.Fuzz(func(t *testing.T, stream, typ, data, meta []byte, isJSON bool, revision uint64) {
		r := Record{Position: 1, Revision: revision >> 1, Created: 1, ID: ID{1}, JSON: isJSON, Stream: stream, Type: typ, Data: data, Meta: meta}
		if validStream(string(stream)) != nil || len(typ) == 0 {
			return
		}
		line, err := AppendLine(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		l, err := parseLine(line)
		if err != nil {
			t.Fatalf("%s is not read: %v", line, err)
		}
		if !l.same(&r) || l.Stream != string(stream) || l.Revision != r.Revision || bytes.Count(line, []byte("\n")) != 1 {
			t.Errorf("%+v was written as %s", r, line)
		}
	})
}

// FuzzArchive: what is no backup is refused, and nothing is written beside the directory.
func FuzzArchive(f *testing.F) {
	fs := vfs.NewMem()
	s, err := Open(Config{Dir: "data", FS: fs})
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := s.WriteArchive(context.Background(), &b); err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, archive []byte) {
		fs := vfs.NewMem()
		_, err := UnpackArchive(t.Context(), fs, bytes.NewReader(archive), "dir")
		names, listErr := fs.List("")
		if listErr != nil {
			t.Fatal(listErr)
		}
		if err != nil && len(names) > 0 || err == nil && (len(names) != 1 || names[0] != "dir") {
			t.Errorf("%v, and there are %v", err, names)
		}
	})
}
