package conformance

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var userCases = []testCase{
	{name: "a user's life", secured: true, run: userLife},
	{name: "users' rights", secured: true, run: userRights},
	{name: "who does not say who he is", secured: true, run: anonymous},
	{name: "users as they are stored", secured: true, run: userStreams},
}

const service = "users.Users/"

func (s *suite) newUser(t *testing.T, groups ...string) esdb.Credentials {
	t.Helper()
	who := esdb.Credentials{Login: "u-" + uuid.NewString(), Password: "secret-" + uuid.NewString()}
	if a := s.call(s.as(clienttest.Within(t), s.login), service+"Create", options(append([]string{who.Login, who.Password, "Some Body"}, groups...)...)); a.code != codes.OK {
		t.Fatalf("create user: %v %s", a.code, a.text)
	}
	return who
}

// details are the strings in a user's details, by field number.
func details(t *testing.T, message []byte) map[protowire.Number][]string {
	t.Helper()
	_, _, n := protowire.ConsumeTag(message)
	b, _ := protowire.ConsumeBytes(message[max(n, 0):])
	got := map[protowire.Number][]string{}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(num, typ, b[max(n, 0):])
		if n < 0 || size < 0 {
			t.Fatalf("details %x", message)
		}
		value := b[n : n+size]
		if typ == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		got[num] = append(got[num], string(value))
		b = b[n+size:]
	}
	return got
}

// worksAs tells how a client by that name fares: nil, or why it may not write a stream of its own.
func worksAs(t *testing.T, s *suite, who esdb.Credentials) error {
	t.Helper()
	_, err := s.connect(t, who.Login, who.Password).AppendToStream(clienttest.Within(t), unique("as"), esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, clienttest.Event(1))
	return err
}

func userLife(t *testing.T, s *suite) {
	admin := s.as(clienttest.Within(t), s.login)
	who := s.newUser(t, "clerks")
	do := func(method string, want codes.Code, exception string, text ...string) {
		t.Helper()
		a := s.call(admin, service+method, options(text...))
		if a.code != want || exception != "" && !a.is(want, exception) {
			t.Errorf("%s: %v %s %v, want %v %s", method, a.code, a.text, a.trailers, want, exception)
		}
	}
	works := func(when string, who esdb.Credentials, want bool) {
		t.Helper()
		if err := worksAs(t, s, who); (err == nil) != want || !want && clienttest.Code(err) != esdb.ErrorCodeUnauthenticated {
			t.Errorf("%s: %v, want it to work %v", when, err, want)
		}
	}
	works("created", who, true)
	works("with a wrong password", esdb.Credentials{Login: who.Login, Password: who.Password + "x"}, false)
	do("Create", codes.OK, "", who.Login, who.Password, "Some Body") // the same again
	do("Create", codes.FailedPrecondition, "user-conflict", who.Login, "other", "Some Body")
	do("Update", codes.OK, "", who.Login, "", "Any Body", "clerks", "cooks")
	a := s.call(admin, service+"Details", options(who.Login))
	if a.code != codes.OK || len(a.messages) != 1 {
		t.Fatalf("details: %v %s, %d users", a.code, a.text, len(a.messages))
	}
	if d := details(t, a.messages[0]); d[1][0] != who.Login || d[2][0] != "Any Body" || !slices.Equal(d[3], []string{"clerks", "cooks"}) || len(d[5]) != 0 {
		t.Errorf("details: %q", d)
	}
	do("Disable", codes.OK, "", who.Login)
	works("disabled", who, false)
	if d := details(t, s.call(admin, service+"Details", options(who.Login)).messages[0]); len(d[5]) != 1 {
		t.Errorf("details of a disabled user: %q", d)
	}
	do("Enable", codes.OK, "", who.Login)
	works("enabled", who, true)
	do("ResetPassword", codes.OK, "", who.Login, "second")
	works("reset, by the old password", who, false)
	who.Password = "second"
	works("reset", who, true)
	do("Delete", codes.OK, "", who.Login)
	works("deleted", who, false)
	for _, method := range []string{"Update", "Delete", "Disable", "Enable", "ResetPassword", "Details"} {
		do(method, codes.NotFound, "user-not-found", who.Login, "x", "x")
	}
	do("Create", codes.OK, "", who.Login, "third", "Some Body")
	who.Password = "third"
	works("created again", who, true)
	do("Delete", codes.OK, "", who.Login)
}

func userRights(t *testing.T, s *suite) {
	who, other := s.newUser(t), s.newUser(t)
	ctx := s.as(clienttest.Within(t), who)
	for _, method := range []string{"Create", "Update", "Delete", "Disable", "Enable", "ResetPassword"} {
		if a := s.call(ctx, service+method, options(other.Login, "x", "x")); !a.is(codes.PermissionDenied, "access-denied") {
			t.Errorf("%s by a user: %v %s %v", method, a.code, a.text, a.trailers)
		}
	}
	if a := s.call(ctx, service+"Details", options(who.Login)); a.code != codes.OK || len(a.messages) != 1 {
		t.Errorf("details of oneself: %v %s", a.code, a.text)
	}
	if a := s.call(ctx, service+"ChangePassword", options(who.Login, "wrong", "next")); !a.is(codes.PermissionDenied, "access-denied") {
		t.Errorf("change of a password that is not known: %v %s", a.code, a.text)
	}
	if a := s.call(ctx, service+"ChangePassword", options(who.Login, who.Password, "next")); a.code != codes.OK {
		t.Errorf("change of the password: %v %s", a.code, a.text)
	}
	if a := s.call(ctx, service+"Details", options(who.Login)); a.code != codes.Unauthenticated {
		t.Errorf("by the old password: %v %s", a.code, a.text)
	}
	if err := worksAs(t, s, esdb.Credentials{Login: who.Login, Password: "next"}); err != nil {
		t.Errorf("by the new password: %v", err)
	}
	all := s.call(s.as(clienttest.Within(t), s.login), service+"Details", nil)
	var names []string
	for _, m := range all.messages {
		names = append(names, details(t, m)[1]...)
	}
	if all.code != codes.OK || !slices.Contains(names, "admin") || !slices.Contains(names, "ops") || !slices.Contains(names, who.Login) {
		t.Errorf("all users: %v %s: %q", all.code, all.text, names)
	}
}

func anonymous(t *testing.T, s *suite) {
	if a := s.appendRaw(clienttest.Within(t), anyRevision(unique("nobody")), message()); !a.is(codes.PermissionDenied, "access-denied") {
		t.Errorf("an anonymous append: %v %s", a.code, a.text)
	}
	if a := s.call(clienttest.Within(t), service+"Details", nil); !a.is(codes.PermissionDenied, "access-denied") {
		t.Errorf("details for an anonymous caller: %v %s", a.code, a.text)
	}
	for _, header := range []string{"Basic", "Basic ", "Basic !!!!", "Basic " + base64.StdEncoding.EncodeToString([]byte("nocolon")), "Bearer x",
		"Basic " + base64.StdEncoding.EncodeToString([]byte(":")), "Basic " + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 2000)+":y")),
		"Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+strings.Repeat("x", 2000)))} {
		if a := s.call(withAuthorization(clienttest.Within(t), header), service+"Details", nil); a.code != codes.Unauthenticated {
			t.Errorf("%.20q: %v %s", header, a.code, a.text)
		}
	}
	if a := s.call(clienttest.Within(t), "server_features.ServerFeatures/GetSupportedMethods", nil); a.code != codes.OK {
		t.Errorf("what the server can: %v %s", a.code, a.text)
	}
	if a := s.call(clienttest.Within(t), "gossip.Gossip/Read", nil); a.code != codes.OK {
		t.Errorf("gossip: %v %s", a.code, a.text)
	}
}

func userStreams(t *testing.T, s *suite) {
	who := s.newUser(t)
	got := clienttest.ReadStream(t, s.admin, "$user-"+who.Login, esdb.ReadStreamOptions{}, clienttest.Unlimited)
	if len(got) != 1 || got[0].Event.EventType != "$UserCreated" || !strings.Contains(string(got[0].Event.Data), `"hash"`) ||
		strings.Contains(string(got[0].Event.Data), who.Password) {
		t.Fatalf("%d events in the user's stream", len(got))
	}
	if a := s.call(s.as(clienttest.Within(t), s.login), service+"Disable", options(who.Login)); a.code != codes.OK {
		t.Fatalf("disable: %v %s", a.code, a.text)
	}
	got = clienttest.ReadStream(t, s.admin, "$user-"+who.Login, esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1)
	if got[0].Event.EventType != "$UserUpdated" {
		t.Errorf("the newest event is %s", got[0].Event.EventType)
	}
	for _, e := range clienttest.ReadStream(t, s.admin, "$users", esdb.ReadStreamOptions{}, clienttest.Unlimited) {
		if e.Event.EventType == "$User" && string(e.Event.Data) == who.Login {
			return
		}
	}
	t.Error("$users does not name the user")
}
