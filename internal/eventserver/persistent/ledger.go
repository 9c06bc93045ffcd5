package persistent

import "container/list"

// ledger keeps which events of a source are read and not done. Done ones take no room, however long an older one stays open.
type ledger struct {
	open list.List // of *entry, in the order of reading
	last entry     // the newest one read
	any  bool
}

type entry struct {
	at       uint64 // revision or position
	sequence int64  // how many were read up to it
	before   *entry // what was read just before it
}

func (l *ledger) add(at uint64) *list.Element {
	e := &entry{at: at, sequence: l.last.sequence + 1}
	if l.any {
		before := l.last
		before.before = nil
		e.before = &before
	}
	l.last, l.any = *e, true
	return l.open.PushBack(e)
}

// pass goes over an event that no consumer wants.
func (l *ledger) pass(at uint64, counts bool) {
	l.last.at, l.last.before, l.any = at, nil, true
	if counts {
		l.last.sequence++
	}
}

func (l *ledger) finish(e *list.Element) { l.open.Remove(e) }

// reached is the last event up to which all are done, and how many they are.
func (l *ledger) reached() (at uint64, sequence int64, ok bool) {
	if first := l.open.Front(); first != nil {
		e, _ := first.Value.(*entry)
		if e.before == nil {
			return 0, 0, false
		}
		return e.before.at, e.before.sequence, true
	}
	return l.last.at, l.last.sequence, l.any
}
