package hotel

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/runtime"
	"github.com/daybook-dev/daybook/kit/saga"
)

// Domain is the hotel, for runtime.Run.
func Domain() runtime.Domain {
	return runtime.Domain{Catalog: Catalog(), Projections: []projection.Projection{Bookings}, Sagas: []saga.Saga{Stay}, Routes: routes, Checks: nights}
}

func routes(s *runtime.Services) (http.Handler, error) {
	view, err := s.Views.View(Bookings)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /bookings/{id}", func(w http.ResponseWriter, r *http.Request) {
		var c Ask
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&c); err != nil {
			answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		c.Booking = r.PathValue("id")
		// The same booking again is the same command: it is answered, and recorded once.
		receipt, err := es.Handle[Booking](r.Context(), s.Handler, c, es.Call{ID: es.DerivedID(es.UUID{}, "ask", c.Booking)})
		switch {
		case es.Rejected(err) != "":
			answer(w, http.StatusUnprocessableEntity, map[string]string{"error": err.Error()})
		case err != nil:
			fail(w, s, err)
		default:
			answer(w, http.StatusAccepted, map[string]any{"position": receipt.Position})
		}
	})
	mux.HandleFunc("GET /bookings/{id}", func(w http.ResponseWriter, r *http.Request) {
		position, wrong := strconv.ParseUint(cmp.Or(r.FormValue("min_position"), "0"), 10, 64)
		row, err := booking(r.Context(), view, r.PathValue("id"), position)
		switch {
		case wrong != nil:
			answer(w, http.StatusBadRequest, map[string]string{"error": wrong.Error()})
		case err != nil:
			fail(w, s, err)
		case row == nil:
			answer(w, http.StatusNotFound, map[string]string{"error": "there is no such booking"})
		default:
			answer(w, http.StatusOK, row)
		}
	})
	return mux, nil
}

func fail(w http.ResponseWriter, s *runtime.Services, err error) {
	s.Logger.Warn("request failed", "error", err)
	answer(w, http.StatusServiceUnavailable, map[string]string{"error": "try again"})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}
