package hotel_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/hotel"
	"github.com/daybook-dev/daybook/kit/doctor"
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

func TestTheDoctorSeesANightHeldTwice(t *testing.T) {
	nights, report := hotel.Domain().Checks(runtime.Addresses{})[0], doctor.NewReport()
	for _, e := range []es.Event{
		hotel.RoomHeld{Night: "2030-05-17", Booking: "b1"}, hotel.RoomFreed{Night: "2030-05-17", Booking: "b1"},
		hotel.RoomHeld{Night: "2030-05-17", Booking: "b2"}, hotel.RoomHeld{Night: "2030-05-17", Booking: "b3"},
	} {
		nights.Fold(es.Recorded{Event: e, Stream: es.StreamID{Category: "room", Key: "101"}}, report)
	}
	if len(report.Findings) != 1 || report.Findings[0].Expected != "b2" || report.Findings[0].Found != "b3" {
		t.Errorf("found %v", report.Findings)
	}
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

// TestMain runs the hotel itself in a process that a test has started.
func TestMain(m *testing.M) {
	if os.Getenv("HOTEL_IS_RUN") != "" {
		runtime.Main("hotel", hotel.Domain())
		return
	}
	os.Exit(m.Run())
}

// The whole hotel runs on an event store that outlives it, is killed while it works on a booking, and goes on where it was. In the end the
// doctor finds nothing wrong.
func TestHotel(t *testing.T) {
	cfg := runtime.DefaultConfig("hotel")
	cfg.DataDir, cfg.EventStore = directory(t), eventservertest.Start(t)

	kill, url := start(t, cfg)
	book(t, url, "b1", "101", "ada", 300, "confirmed")
	book(t, url, "b2", "101", "bob", 100, "rejected") // the room is taken
	book(t, url, "b3", "102", "ada", 300, "rejected") // more than is left in her purse
	ask(t, url, "b4", "103", "eve", 100)
	kill()

	_, url = start(t, cfg)
	book(t, url, "b1", "101", "ada", 300, "confirmed") // the same again changes nothing
	book(t, url, "b4", "103", "eve", 100, "confirmed")
	book(t, url, "b5", "102", "bob", 500, "confirmed") // the room was given back when b3 was undone

	report, err := runtime.Examine(t.Context(), hotel.Domain(), cfg, slog.New(slog.DiscardHandler), runtime.ExamineOptions{})
	if err != nil || !report.Healthy || !report.AtRest || report.Checked["saga instances"] != 5 {
		t.Errorf("%v, %+v", err, report)
	}
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

// start runs the hotel as a process of its own until it is killed, and waits until it is ready.
func start(t *testing.T, cfg runtime.Config) (kill func(), url string) {
	t.Helper()
	const free = "127.0.0.1:0"
	process := exec.Command(os.Args[0], "--data-dir", cfg.DataDir, "--eventstore", cfg.EventStore, "--listen", free, "--admin-listen", free, //nolint:gosec // this test
		"--kafka-listen", free, "--postgres-listen", free, "--log-level", "error")
	process.Env, process.Stderr = append(os.Environ(), "HOTEL_IS_RUN=1"), os.Stderr
	_ = os.Remove(runtime.RunFile(cfg.DataDir)) // of the process before
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = process.Wait() }()
	t.Cleanup(func() { _ = process.Process.Signal(syscall.SIGTERM); <-ended }) // if it has not ended already
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(5 * time.Minute); ; {
		if at, err := runtime.ReadAddresses(cfg.DataDir); err == nil && ready(t, at.API) {
			return func() { _ = process.Process.Kill(); <-ended }, at.API
		}
		select {
		case <-again.C:
		case <-ended:
			t.Fatal("the hotel has ended")
		case <-deadline:
			t.Fatal("the hotel is not ready")
		}
	}
}

func ready(t *testing.T, url string) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
}

// ask asks for a booking and gives the position of what was recorded.
func ask(t *testing.T, url, id, room, guest string, price int) uint64 {
	t.Helper()
	body := fmt.Sprintf(`{"room":%q,"night":"2030-05-17","guest":%q,"price":%d}`, room, guest, price)
	var asked struct{ Position uint64 }
	send(t, http.MethodPut, url+"/bookings/"+id, body, &asked)
	return asked.Position
}

// book asks for a booking and waits until it has ended.
func book(t *testing.T, url, id, room, guest string, price int, want string) {
	t.Helper()
	position := ask(t, url, id, room, guest, price)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-again.C {
		var shown hotel.Row
		send(t, http.MethodGet, fmt.Sprintf("%s/bookings/%s?min_position=%d", url, id, position), "", &shown)
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
