package store

// Figures describe the store at one moment.
type Figures struct {
	Position      uint64 // newest that may be shown
	Watchers      int    // subscriptions waiting or reading
	Lag           uint64 // events that the slowest of those on all events is behind
	DiskBytes     uint64
	Tables        uint64
	MemTableBytes uint64
	Compactions   uint64
	ReadOnly      bool // appends are refused now
}

// Figures are cheap enough to be asked for every second.
func (s *Store) Figures() Figures {
	s.filesMu.RLock()
	defer s.filesMu.RUnlock()
	if s.filesClosed {
		return Figures{Position: s.Visible(), ReadOnly: true}
	}
	m := s.db.Metrics()
	total := m.Total()
	f := Figures{Position: s.Visible(), DiskBytes: m.DiskSpaceUsage(), Tables: uint64(max(0, total.TablesCount)),
		MemTableBytes: m.MemTable.Size, Compactions: uint64(max(0, m.Compact.Count)),
		ReadOnly: s.refuse() != nil}
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	for _, set := range s.watch.streams {
		f.Watchers += len(set)
	}
	for w := range s.watch.streams[""] {
		if at := w.at.Load(); at > 0 && at < f.Position {
			f.Lag = max(f.Lag, f.Position-at)
		}
	}
	return f
}
