package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// api is a shop small enough to be seen to be right, which can be made wrong.
type api struct {
	wrong string

	mu       sync.Mutex
	flaky    int // answers 503 that many times first
	products map[string]bool
	levels   map[string]*level
	orders   map[string]map[string]any
	asked    map[string]int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.flaky > 0 {
		a.flaky--
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	var in struct {
		ID       string `json:"id"`
		SKU      string `json:"sku"`
		Quantity int64  `json:"quantity"`
		Lines    []Line `json:"lines"`
		Payment  struct {
			Token string `json:"token"`
		} `json:"payment"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	parts := strings.Split(r.URL.Path, "/")
	w.Header().Set("Daybook-Position", "9")
	switch {
	case parts[2] == "products" && r.Method == http.MethodPost:
		a.products[in.SKU] = true
		w.WriteHeader(http.StatusCreated)
	case parts[2] == "products" && !a.products[parts[3]], parts[2] == "stock" && a.levels[parts[3]] == nil && r.Method == http.MethodGet:
		w.WriteHeader(http.StatusNotFound)
	case parts[2] == "products":
	case parts[2] == "stock" && r.Method == http.MethodPost:
		a.levels[parts[3]] = &level{OnHand: in.Quantity, Available: in.Quantity}
		w.WriteHeader(http.StatusCreated)
	case parts[2] == "stock":
		say(w, a.levels[parts[3]])
	case r.Method == http.MethodPost:
		if a.orders[in.ID] != nil {
			w.Header().Set("Idempotent-Replayed", "true")
		} else {
			a.orders[in.ID] = a.place(in.ID, in.Payment.Token, in.Lines)
		}
		o := a.orders[in.ID]
		if a.asked[in.ID]++; a.asked[in.ID] == 1 || a.wrong == "never ends" && strings.HasSuffix(in.ID, "9") {
			o = map[string]any{"id": in.ID, "number": o["number"], "total": o["total"], "status": "placed"}
		}
		if a.wrong == "doubled" && a.asked[in.ID] == 2 {
			o["number"] = "2"
		}
		w.Header().Set("ETag", `"0-5"`)
		w.WriteHeader(http.StatusCreated)
		say(w, o)
	default:
		say(w, a.orders[parts[3]])
	}
}

func say(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

func (a *api) place(id, token string, lines []Line) map[string]any {
	o := map[string]any{"id": id, "number": "1", "goods": 10, "shipping": 5, "total": 15, "status": "confirmed"}
	pay := map[string]any{"status": "authorised", "authorised": 15}
	var short []map[string]any
	for _, l := range lines {
		if s := a.levels[l.SKU]; s.Available < int64(l.Quantity) || a.wrong == "refused for nothing" && l.SKU == "22752" {
			short = append(short, map[string]any{"sku": l.SKU, "requested": l.Quantity, "available": s.Available})
			break
		}
	}
	switch {
	case short != nil:
		o["status"], o["rejection"], pay = "rejected", map[string]any{"code": "out_of_stock", "lines": short}, map[string]any{"status": "none"}
	case token == Decline && a.wrong != "free":
		o["status"], o["rejection"], pay = "rejected", map[string]any{"code": "payment_declined"}, map[string]any{"status": "declined"}
		if a.wrong == "kept the money" {
			pay["authorised"] = 15
		}
	default:
		for _, l := range lines {
			s := a.levels[l.SKU]
			if a.wrong != "nothing reserved" {
				s.Reserved += int64(l.Quantity)
			}
			s.Available -= int64(l.Quantity)
		}
	}
	o["payment"] = pay
	return o
}

// The checks find what is wrong, each by its name, and nothing in a shop that is right, however it stumbles.
func TestRunFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	plan := NewPlan(history(t, 120), 100, "r1")
	plan.Articles[1].Supply -= 100 // more than declined orders leave to others
	for wrong, want := range map[string]string{
		"": "", "kept the money": "I4: order", "free": "ended confirmed", "nothing reserved": "I5: 22752 began with",
		"refused for nothing": "was refused", "doubled": "I7: order", "never ends": "has not ended",
	} {
		t.Run(wrong, func(t *testing.T) {
			t.Parallel()
			shop := &api{wrong: wrong, flaky: 5, products: map[string]bool{}, levels: map[string]*level{}, orders: map[string]map[string]any{}, asked: map[string]int{}}
			server := httptest.NewServer(shop)
			defer server.Close()
			var last Progress
			patience := time.Minute
			if wrong == "never ends" {
				patience = time.Second
			}
			r, err := Run(t.Context(), Config{API: server.URL, Plan: plan, Rate: 2000, Patience: patience, Progress: func(p Progress) { last = p }})
			if err != nil {
				t.Fatal(err)
			}
			found := strings.Join(r.Findings, "\n")
			if r.Healthy != (want == "") || !strings.Contains(found, want) {
				t.Errorf("healthy %t: %.500s", r.Healthy, found)
			}
			if wrong != "" {
				return
			}
			if r.Ended != 100 || r.Statuses["confirmed"]+r.Statuses["rejected: payment_declined"]+r.Statuses["rejected: out_of_stock"] != 100 ||
				r.Statuses["rejected: out_of_stock"] == 0 || r.Retries < 5 || r.ProductsAdded != 2 || r.UnitsReceived != 684 || len(r.Acknowledged) != 100 {
				t.Errorf("%+v", r)
			}
			if a := r.Acknowledged[0]; fmt.Sprint(a) != "{order-demo-r1-536365 0 5}" {
				t.Errorf("acknowledged %+v", a)
			}
			if last.Ended != 100 || last.Of != 100 || last.Confirmed != r.Statuses["confirmed"] {
				t.Errorf("progress %+v", last)
			}
		})
	}
}
