package store

// Figures describe the store at one moment.
type Figures struct {
	Position      uint64 // newest that may be shown
	Watchers      int    // subscriptions waiting or reading
	Lag           uint64 // events that the slowest of them is behind, those of persistent groups aside
	DiskBytes     uint64
	FreeBytes     uint64 // of the disk, to this process; 0: not known
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
	if u, err := s.disk.GetDiskUsage(s.cfg.Dir); err == nil {
		f.FreeBytes = u.AvailBytes
	}
	watchers, slowest := s.watch.reached()
	f.Watchers = watchers
	for stream, at := range slowest {
		end := f.Position
		if stream != "" {
			h, err := s.loadHead(stream)
			if err != nil || h.last < 0 {
				continue
			}
			end = uint64(h.last) + 1
		}
		if at < end {
			f.Lag = max(f.Lag, end-at)
		}
	}
	return f
}
