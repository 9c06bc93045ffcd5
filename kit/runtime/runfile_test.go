package runtime

import (
	"os"
	"strings"
	"testing"
)

func TestAddressesOfAGoneProcessAreNotBelieved(t *testing.T) {
	dir := t.TempDir()
	withdraw, err := publish(dir, Addresses{API: "http://a", EventStore: "esdb://a", PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	other, err := publish(dir, Addresses{Own: map[string]string{"query_api": "http://q"}, PID: os.Getpid() + 1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadAddresses(dir)
	if err != nil || got.API != "http://a" || got.Get("query_api") != "http://q" || got.PID != os.Getpid() {
		t.Errorf("%+v %v", got, err)
	}
	other()
	if got, err := ReadAddresses(dir); err != nil || got.Get("query_api") != "" || got.API != "http://a" {
		t.Errorf("after one of two has left: %+v %v", got, err)
	}
	withdraw()
	if _, err := ReadAddresses(dir); err == nil {
		t.Error("withdrawn, and still there")
	}
	if err := writeAddresses(dir, Addresses{API: "http://old", PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadAddresses(dir); err == nil {
		t.Errorf("a process that is gone is believed: %+v", got)
	}
}

func TestOneServerPerDirectory(t *testing.T) {
	dir := t.TempDir()
	l, err := lockServer(dir, RoleKafka)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockServer(dir, RoleKafka); err == nil || !strings.Contains(err.Error(), "other roles") {
		t.Error(err)
	}
	if other, err := lockServer(dir, RoleEventStore); err != nil {
		t.Error(err)
	} else {
		other.Release()
	}
	l.Release()
	again, err := lockServer(dir, RoleKafka)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}
