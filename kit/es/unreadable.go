package es

import "fmt"

// UnreadableError says that an event cannot be understood by this program. No command on its stream is decided until a
// program runs that can read it.
type UnreadableError struct {
	Stream   StreamID // zero: not known
	Revision uint64
	Type     string
	Version  int  // of the event's data; 0: not known
	Known    int  // the newest version that this program reads; 0: it does not know the type there
	Newer    bool // a newer program can read it; else the event is damaged, or was written by something else
	Cause    error
}

func (e *UnreadableError) Error() string {
	s := e.What()
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	if e.Stream != (StreamID{}) {
		s = fmt.Sprintf("%s@%d: %s", e.Stream, e.Revision, s)
	}
	return s
}

// What names the event's type and version and what this program knows of it.
func (e *UnreadableError) What() string {
	version := ""
	if e.Version > 0 {
		version = fmt.Sprintf(" version %d", e.Version)
	}
	switch {
	case !e.Newer:
		return fmt.Sprintf("%s%s is damaged", e.Type, version)
	case e.Known > 0:
		return fmt.Sprintf("%s%s: this program knows versions up to %d", e.Type, version, e.Known)
	default:
		return fmt.Sprintf("%s%s: this program does not know such events there", e.Type, version)
	}
}

func (e *UnreadableError) Unwrap() error { return e.Cause }

// at says where the event is.
func (e *UnreadableError) at(s StreamID, revision uint64, version int) *UnreadableError {
	placed := *e
	placed.Stream, placed.Revision = s, revision
	if placed.Version == 0 {
		placed.Version = version
	}
	return &placed
}
