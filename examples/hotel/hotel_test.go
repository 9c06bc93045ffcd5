package hotel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/hotel"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/estest"
	"github.com/daybook-dev/daybook/kit/eventserver/eventservertest"
	"github.com/daybook-dev/daybook/kit/projection/projectiontest"
	"github.com/daybook-dev/daybook/kit/runtime"
	"github.com/daybook-dev/daybook/kit/saga/machine"
	"github.com/daybook-dev/daybook/kit/saga/sagatest"
)

func TestANightIsHeldOnce(t *testing.T) {
	held := hotel.RoomHeld{Night: "2030-05-17", Booking: "b1"}
	estest.Given[hotel.Room](t).When(hotel.Hold{Room: "101", Night: "2030-05-17", Booking: "b1"}).Then(held)
	estest.Given[hotel.Room](t, held).When(hotel.Hold{Room: "101", Night: "2030-05-17", Booking: "b1"}).ThenNothing()
	estest.Given[hotel.Room](t, held).When(hotel.Hold{Room: "101", Night: "2030-05-17", Booking: "b2"}).ThenRejected("room_taken")
	estest.Given[hotel.Room](t, held).When(hotel.Free{Room: "101", Night: "2030-05-17", Booking: "b2"}).ThenNothing()
}

func TestStay(t *testing.T) {
	catalog, err := es.NewCatalog(hotel.Catalog(), machine.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	sagatest.Run(t, hotel.Stay, catalog, 0, "testdata/stay-*.txt")
}

func TestBookings(t *testing.T) {
	asked := hotel.BookingAsked{Booking: "b1", Room: "101", Night: "2030-05-17", Guest: "ada", Price: 120}
	rows := projectiontest.Given(t, hotel.Bookings, projectiontest.Past("booking-b1", asked, hotel.BookingRejected{Booking: "b1", Why: "room_taken"}))
	rows.ThenRow("b1", hotel.Row{Room: "101", Night: "2030-05-17", Guest: "ada", Price: 120, Status: "rejected", Why: "room_taken"})
}

// The whole hotel runs on an event store that outlives it, is stopped, and goes on where it was.
func TestHotel(t *testing.T) {
	cfg := runtime.DefaultConfig("hotel")
	cfg.DataDir, cfg.EventStore = directory(t), eventservertest.Start(t)
	cfg.Listen, cfg.AdminListen, cfg.KafkaListen, cfg.PostgresListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"

	stop, url := start(t, cfg)
	book(t, url, "b1", "101", "ada", 300, "confirmed")
	book(t, url, "b2", "101", "bob", 100, "rejected") // the room is taken
	book(t, url, "b3", "102", "ada", 300, "rejected") // more than is left in her purse
	stop()

	stop, url = start(t, cfg)
	defer stop()
	book(t, url, "b1", "101", "ada", 300, "confirmed") // the same again changes nothing
	book(t, url, "b4", "102", "bob", 500, "confirmed") // the room was given back when b3 was undone
}

// directory can be entered by others: Postgres does not run as root.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hotel")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	return dir
}

func start(t *testing.T, cfg runtime.Config) (stop func(), url string) {
	t.Helper()
	node, err := runtime.Start(t.Context(), hotel.Domain(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	if err := node.Ready(ctx, nil); err != nil {
		t.Fatal(err)
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}, node.Addresses().API
}

// book asks for a booking and waits until it has ended.
func book(t *testing.T, url, id, room, guest string, price int, want string) {
	t.Helper()
	body := fmt.Sprintf(`{"room":%q,"night":"2030-05-17","guest":%q,"price":%d}`, room, guest, price)
	var asked struct{ Position uint64 }
	send(t, http.MethodPut, url+"/bookings/"+id, body, &asked)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-again.C {
		var shown hotel.Row
		send(t, http.MethodGet, fmt.Sprintf("%s/bookings/%s?min_position=%d", url, id, asked.Position), "", &shown)
		if shown.Status == want {
			return
		}
		if shown.Status != "asked" || time.Now().After(deadline) {
			t.Fatalf("booking %s: %+v, want %s", id, shown, want)
		}
	}
}

func send(t *testing.T, method, url, body string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil || answer.StatusCode >= http.StatusInternalServerError {
		t.Fatalf("%s %s: %s, %v", method, url, answer.Status, err)
	}
}
