package simulator

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/internal/webguard"
)

// problem is an error as the API gives it.
type problem struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

func badRequest(message string) *problem {
	return &problem{http.StatusBadRequest, "bad_request", message}
}

func fullProblem() *problem {
	return &problem{http.StatusServiceUnavailable, "disk_full", "the disk is full: nothing was done"}
}

// Entry is a charge as the ledger shows it.
type Entry struct {
	ID         string    `json:"id"`
	OrderID    string    `json:"order_id"`
	EffectID   string    `json:"effect_id"`
	Attempt    int       `json:"attempt"`
	Status     Status    `json:"status"`
	Code       string    `json:"code,omitempty"`
	Currency   string    `json:"currency"`
	Asked      int64     `json:"asked"`
	Authorised int64     `json:"authorised"`
	Captured   int64     `json:"captured"`
	Voided     int64     `json:"voided"`
	Refunded   int64     `json:"refunded"`
	Open       int64     `json:"open"` // still held on the card
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
}

func entryOf(c Charge) Entry {
	return Entry{
		ID: c.ID, OrderID: c.Metadata.OrderID, EffectID: c.Metadata.EffectID, Attempt: c.Metadata.Attempt,
		Status: c.Status, Code: c.Code, Currency: c.Currency, Asked: c.Asked, Authorised: c.Authorised, Captured: c.Captured,
		Voided: c.Voided, Refunded: c.Refunded, Open: c.open(), CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt,
	}
}

const (
	mostBody    = 64 << 10
	mostSilence = 5 * time.Minute // then the connection is cut
)

// guard keeps the pages of other sites out.
func (s *Server) guard() webguard.Guard {
	return webguard.Guard{Names: s.cfg.HostNames, Refuse: func(w http.ResponseWriter, _ *http.Request, status int, code, detail string) {
		reply(w, status, &problem{status, code, detail})
	}}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /simulator/v1/charges", s.charge(Authorise))
	mux.HandleFunc("POST /simulator/v1/charges/{charge}/void", s.charge(Void))
	mux.HandleFunc("POST /simulator/v1/charges/{charge}/capture", s.charge(Capture))
	mux.HandleFunc("POST /simulator/v1/charges/{charge}/refund", s.charge(Refund))
	mux.HandleFunc("POST /simulator/v1/actions/{attempt}", s.action)
	mux.HandleFunc("GET /simulator/v1/charges", s.charges)
	mux.HandleFunc("GET /simulator/v1/operations", s.lookup)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	return mux
}

func (s *Server) charge(k Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if key == "" {
			reply(w, 400, badRequest("the Idempotency-Key header is missing"))
			return
		}
		var body request
		if p := read(w, r, &body); p != nil {
			reply(w, p.status, p)
			return
		}
		o := s.perform(k, key, r.PathValue("charge"), body)
		switch {
		case o.silent:
			s.silence(r)
		case o.problem != nil:
			reply(w, o.problem.status, o.problem)
		default:
			reply(w, o.answer.status(), worded(o.answer, r))
		}
	}
}

func (a Answer) status() int {
	switch a.Result {
	case Approved:
		return http.StatusOK
	case Declined:
		return http.StatusPaymentRequired
	default:
		return http.StatusAccepted
	}
}

// worded adds what an answer is not kept with: where its action is, and what its code means.
func worded(a Answer, r *http.Request) Answer {
	a.Detail = detail(a.Code)
	if a.Result == ActionRequired {
		a.ActionURL = "http://" + r.Host + "/simulator/v1/actions/" + a.ID
	}
	return a
}

func (s *Server) lookup(w http.ResponseWriter, r *http.Request) {
	effect := r.URL.Query().Get("effect")
	if effect == "" {
		reply(w, 400, badRequest("effect is missing"))
		return
	}
	found, p := s.book.lookup(effect, s.now())
	if p != nil {
		reply(w, p.status, p)
		return
	}
	for i := range found {
		found[i] = worded(found[i], r)
	}
	reply(w, 200, map[string][]Answer{"operations": found})
}

func (s *Server) charges(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := filter{order: q.Get("order"), effect: q.Get("effect"), reference: q.Get("reference"), status: Status(q.Get("status")), after: q.Get("after")}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			reply(w, 400, badRequest("limit is not a positive number"))
			return
		}
		f.limit = n
	}
	if _, ok, p := s.book.charge(f.after); f.after != "" && !ok && p == nil {
		reply(w, 400, badRequest("after names no charge"))
		return
	}
	found, p := s.book.list(f, s.now())
	if p != nil {
		reply(w, p.status, p)
		return
	}
	entries := make([]Entry, len(found))
	for i, c := range found {
		entries[i] = entryOf(c)
	}
	reply(w, 200, map[string][]Entry{"charges": entries})
}

func (s *Server) action(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Result string `json:"result"`
	}
	if p := read(w, r, &body); p != nil {
		reply(w, p.status, p)
		return
	}
	if body.Result != "" && body.Result != "approve" && body.Result != "fail" {
		reply(w, 400, badRequest(`result is neither "approve" nor "fail"`))
		return
	}
	c, p := s.act(r.PathValue("attempt"), body.Result != "fail")
	if p != nil {
		reply(w, p.status, p)
		return
	}
	reply(w, 200, entryOf(c))
}

// read takes a JSON body, or none at all. Another content type is refused, so that no web page's form gets through.
func read(w http.ResponseWriter, r *http.Request, into any) *problem {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &problem{413, "too_large", "the body is larger than 64 KiB"}
	}
	if err != nil {
		return badRequest("the body cannot be read")
	}
	if len(b) == 0 && r.Header.Get("Content-Type") == "" {
		return nil
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return &problem{415, "unsupported_media_type", "the body is not application/json"}
	}
	if len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return badRequest("the body is not the JSON expected: " + err.Error())
	}
	return nil
}

// silence holds the connection as a provider does that never answers, then cuts it.
func (s *Server) silence(r *http.Request) {
	t := time.NewTimer(mostSilence)
	defer t.Stop()
	select {
	case <-r.Context().Done():
	case <-s.stop:
	case <-t.C:
	}
	panic(http.ErrAbortHandler)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if p, ok := body.(*problem); ok {
		body = map[string]*problem{"error": p}
	}
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}
