package eventserver

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// The Monitoring service is not among the client module's generated packages: its two messages are written here, after
// monitoring.proto.
const monitoringService = "event_store.client.monitoring.Monitoring"

func monitoringDesc(s *Server) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: monitoringService, Metadata: "monitoring.proto", Streams: []grpc.StreamDesc{
		{StreamName: "Stats", ServerStreams: true, Handler: func(_ any, st grpc.ServerStream) error { return s.stats(st) }},
	}}
}

// statsReq asks for statistics every so often.
type statsReq struct{ every time.Duration }

const (
	statsEvery = 10 * time.Second
	statsLeast = 100 * time.Millisecond
)

// Decode implements wire.Decoder.
func (m *statsReq) Decode(b []byte) error {
	m.every = statsEvery
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if num == 4 && typ == protowire.VarintType {
			ms, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			m.every = time.Duration(min(ms, 1<<32)) * time.Millisecond
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
	}
	m.every = max(m.every, statsLeast)
	return nil
}

// statsResp is a map of names and values.
type statsResp map[string]string

// Size implements wire.Encoder.
func (m statsResp) Size() int { return len(m.AppendTo(nil)) }

// AppendTo implements wire.Encoder.
func (m statsResp) AppendTo(b []byte) []byte {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		var entry []byte
		entry = protowire.AppendString(protowire.AppendTag(entry, 1, protowire.BytesType), k)
		entry = protowire.AppendString(protowire.AppendTag(entry, 2, protowire.BytesType), m[k])
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), entry)
	}
	return b
}

func (s *Server) stats(st grpc.ServerStream) error {
	var req statsReq
	if err := st.RecvMsg(&req); err != nil {
		return err
	}
	if err := s.identified(st.Context()); err != nil {
		return end(st, err)
	}
	t := time.NewTicker(req.every)
	defer t.Stop()
	for {
		if err := st.SendMsg(s.figures()); err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-st.Context().Done():
			return gone(st.Context())
		}
	}
}

// figures are today's statistics, by names that say what they count.
func (s *Server) figures() statsResp {
	f := s.store.Figures()
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return statsResp{
		"es-lastPosition":             number(f.Position),
		"es-subscriptions":            strconv.Itoa(f.Watchers),
		"es-subscriptionLagMax":       number(f.Lag),
		"es-diskBytes":                number(f.DiskBytes),
		"es-diskFreeBytes":            number(f.FreeBytes),
		"es-tables":                   number(f.Tables),
		"es-memTableBytes":            number(f.MemTableBytes),
		"es-compactions":              number(f.Compactions),
		"es-readOnly":                 strconv.FormatBool(f.ReadOnly),
		"es-incarnation":              s.store.Incarnation(),
		"proc-startTime":              s.started.UTC().Format(time.RFC3339),
		"proc-uptimeSeconds":          strconv.FormatInt(int64(time.Since(s.started).Seconds()), 10),
		"es-version":                  followedVersion,
		"es-maximumAppendSizeInBytes": strconv.Itoa(s.cfg.MaxAppendBytes),
	}
}
