package eventserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// AdministrationService is a service of this server's own, for what EventStoreDB's protocol has no words for. Each message
// is one field, the first, of bytes:
//
//	Backup(empty) → stream of pieces of a tar archive, see store.Store.WriteArchive
//	Import(stream: ImportRequest as JSON, then pieces of NDJSON, see store.Line) → stream of ImportProgress as JSON, the last with its end
//	Verify(empty) → Verification as JSON
//	Scavenge(empty) → the data of $scavengeCompleted, once a scavenge of the Operations service, this one or the one that runs, has ended
//
// On a secured server the first two are for admins, the others for operators too.
const AdministrationService = "daybook.eventstore.Administration"

// Frame is a message of the service.
type Frame struct{ Data []byte }

// Decode implements wire.Decoder.
func (f *Frame) Decode(b []byte) error {
	f.Data = nil
	return fields(b, func(num protowire.Number, value []byte, _ uint64) error {
		if num == 1 {
			f.Data = value
		}
		return nil
	})
}

// Size implements wire.Encoder.
func (f *Frame) Size() int { return protowire.SizeTag(1) + protowire.SizeBytes(len(f.Data)) }

// AppendTo implements wire.Encoder.
func (f *Frame) AppendTo(dst []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, 1, protowire.BytesType), f.Data)
}

// ImportRequest begins an import: see store.ImportOptions.
type ImportRequest struct {
	Partial     bool `json:"partial"`
	LeaveSystem bool `json:"leave_system"`
}

// ImportProgress says how far an import has come, and, at its end, what ended it.
type ImportProgress struct {
	Totals store.Imported `json:"totals"`
	Ended  bool           `json:"ended"`
	Line   uint64         `json:"line,omitempty"`  // that could not be taken in
	Error  string         `json:"error,omitempty"` // why not, or what else went wrong
}

// Verification is what a verification found.
type Verification struct {
	Report store.Report   `json:"report"`
	Damage []store.Damage `json:"damage,omitempty"`
	More   bool           `json:"more,omitempty"`
	Error  string         `json:"error,omitempty"` // why it could not be finished
}

// FrameBytes is how much a frame holds at most.
const FrameBytes = 256 << 10

func administrationDesc(s *Server) *grpc.ServiceDesc {
	method := func(name string, fromClient bool, may func(context.Context) error, serve func(grpc.ServerStream) error) grpc.StreamDesc {
		return grpc.StreamDesc{StreamName: name, ClientStreams: fromClient, ServerStreams: true, Handler: func(_ any, st grpc.ServerStream) error {
			err := may(st.Context())
			if err == nil {
				err = serve(st)
			}
			return end(st, err)
		}}
	}
	return &grpc.ServiceDesc{ServiceName: AdministrationService, Metadata: "administration", Streams: []grpc.StreamDesc{
		method("Backup", false, s.administers, s.sendBackup),
		method("Import", true, s.administers, s.receiveImport),
		method("Verify", false, s.operates, s.sendVerification),
		method("Scavenge", false, s.operates, s.sendScavenge),
	}}
}

func (s *Server) sendBackup(st grpc.ServerStream) error {
	if err := st.RecvMsg(&Frame{}); err != nil {
		return err
	}
	m, err := s.store.WriteArchive(st.Context(), frameWriter{st})
	if err != nil {
		s.cfg.Logger.Warn("a backup was broken off", "error", err)
		return failureOf("", err)
	}
	s.cfg.Logger.Info("a backup was sent", "position", m.Position)
	return nil
}

// frameWriter sends what is written to it.
type frameWriter struct{ st grpc.ServerStream }

// Write implements io.Writer.
func (w frameWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		piece := p[n:min(n+FrameBytes, len(p))]
		if err := w.st.SendMsg(&Frame{piece}); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

func (s *Server) receiveImport(st grpc.ServerStream) error {
	var f Frame
	if err := st.RecvMsg(&f); err != nil {
		return err
	}
	var o ImportRequest
	if err := json.Unmarshal(f.Data, &o); err != nil {
		return invalid("an import begins with what is asked for: %v", err)
	}
	send := func(p ImportProgress) error {
		b, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("tell how far an import is: %w", err)
		}
		return st.SendMsg(&Frame{b})
	}
	var gone error
	total, err := s.store.Import(st.Context(), &frameReader{st: st}, store.ImportOptions{
		Partial: o.Partial, LeaveSystem: o.LeaveSystem, MaxEventBytes: s.cfg.MaxAppendBytes,
		Progress: func(i store.Imported) { s.allChanged(); gone = send(ImportProgress{Totals: i}) },
	})
	s.allChanged()
	if gone != nil {
		return gone
	}
	p := ImportProgress{Totals: total, Ended: true}
	if err != nil {
		p.Error = err.Error()
	}
	if at, ok := errors.AsType[*store.LineError](err); ok {
		p.Line, p.Error = at.Line, at.Err.Error()
	}
	s.cfg.Logger.Info("an import ended", "added", total.Added, "present", total.Present, "error", err)
	return send(p)
}

// frameReader reads what is received.
type frameReader struct {
	st   grpc.ServerStream
	rest []byte
}

// Read implements io.Reader.
func (r *frameReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		var f Frame
		if err := r.st.RecvMsg(&f); err != nil {
			return 0, err // io.EOF: the client has sent everything
		}
		r.rest = f.Data
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (s *Server) sendVerification(st grpc.ServerStream) error {
	if err := st.RecvMsg(&Frame{}); err != nil {
		return err
	}
	var v Verification
	var err error
	v.Report, err = s.store.Verify(st.Context())
	var found *store.DamageError
	switch {
	case errors.As(err, &found):
		v.Damage, v.More = found.Found, found.More
		s.cfg.Logger.Error("a verification found damage", "error", err)
	case errors.Is(err, context.Canceled):
		return gone(st.Context())
	case err != nil:
		v.Error = err.Error()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("tell what a verification found: %w", err)
	}
	return st.SendMsg(&Frame{b})
}

// sendScavenge goes on without its caller, as any scavenge.
func (s *Server) sendScavenge(st grpc.ServerStream) error {
	if err := st.RecvMsg(&Frame{}); err != nil {
		return err
	}
	id, _, err := s.scavenges.start()
	if err != nil {
		return failureOf("", err)
	}
	select {
	case <-s.scavenges.end(id):
	case <-st.Context().Done():
		return gone(st.Context())
	}
	stream := "$scavenges-" + id
	v, err := s.store.View(st.Context(), stream)
	if err != nil {
		return failureOf(stream, err)
	}
	var outcome []byte
	err = s.store.ReadStreamBackwards(v, v.Last, func(r *store.Record) bool {
		if string(r.Type) == scavengeCompleted {
			outcome = bytes.Clone(r.Data)
		}
		return false
	})
	switch {
	case err != nil:
		return failureOf(stream, err)
	case outcome == nil:
		return &failure{code: codes.Aborted, text: "scavenge " + id + " ended, and how could not be written down"}
	}
	return st.SendMsg(&Frame{outcome})
}

// end is closed when the scavenge of that id has ended.
func (c *scavenges) end(id string) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == id {
		return c.ended
	}
	ended := make(chan struct{})
	close(ended)
	return ended
}

const scavengeCompleted = "$scavengeCompleted"
