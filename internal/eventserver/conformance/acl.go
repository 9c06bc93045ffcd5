package conformance

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

var aclCases = []testCase{
	{name: "rights by default", secured: true, run: aclDefaults},
	{name: "each right by itself", secured: true, run: aclRights},
	{name: "rights behind a byte order mark", secured: true, run: aclMarked},
	{name: "rights that are taken away", secured: true, run: aclTaken},
	{name: "rights of groups", secured: true, run: aclGroups},
	{name: "rights on persistent subscriptions", secured: true, run: aclPersistent},
}

// Things done to a stream, that a right is needed for.
const (
	reading     = "read"
	following   = "subscribe"
	writing     = "append"
	batching    = "batch append"
	removing    = "delete"
	readingMeta = "read metadata"
	writingMeta = "write metadata"
	tombstoning = "tombstone"
)

// attempt does something to a stream, which exists, by a client's right.
func (s *suite) attempt(t *testing.T, who esdb.Credentials, c *esdb.Client, what, stream string) error {
	t.Helper()
	var err error
	switch what {
	case reading:
		return clienttest.FirstOf(t, c, stream)
	case following:
		var sub *esdb.Subscription
		if sub, err = c.SubscribeToStream(clienttest.Within(t), stream, esdb.SubscribeToStreamOptions{From: esdb.Start{}}); err == nil {
			defer func() { _ = sub.Close() }()
			if e := sub.Recv(); e.SubscriptionDropped != nil {
				return e.SubscriptionDropped.Error
			}
		}
	case writing:
		_, err = clienttest.TryAppend(t, c, stream, esdb.Any{}, clienttest.Event(1))
	case batching:
		if s.batchOne(t, who, stream, clienttest.Proposed(clienttest.Text(uuid.New()), 1)) == "AccessDenied" {
			return errDenied
		}
	case removing:
		_, err = c.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
	case tombstoning:
		_, err = c.TombstoneStream(clienttest.Within(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})
	case readingMeta:
		return clienttest.FirstOf(t, c, "$$"+stream)
	case writingMeta:
		_, err = clienttest.TryAppend(t, c, "$$"+stream, esdb.Any{}, metadataEvent(`{"k":1}`))
	}
	return err
}

// batchOne appends one event and names what went wrong.
func (s *suite) batchOne(t *testing.T, who esdb.Credentials, stream string, e *streams.BatchAppendReq_ProposedMessage) string {
	t.Helper()
	call := s.batchCall(t, who)
	clienttest.Must(t, call.Send(&streams.BatchAppendReq{CorrelationId: clienttest.Text(uuid.New()), Options: anywhere(stream), IsFinal: true,
		ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{e}}))
	r, err := call.Recv()
	clienttest.Must(t, err)
	return clienttest.Detail(r)
}

var errDenied = errors.New("a batch append's answer: access denied")

func denied(err error) bool {
	return errors.Is(err, errDenied) || clienttest.Code(err) == esdb.ErrorCodeAccessDenied
}

func anywhere(stream string) *streams.BatchAppendReq_Options {
	o := clienttest.NoStream(stream)
	o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_Any{Any: &emptypb.Empty{}}
	return o
}

func metadataEvent(text string) esdb.EventData {
	return esdb.EventData{EventID: uuid.New(), EventType: "$metadata", ContentType: esdb.ContentTypeJson, Data: []byte(text)}
}

func (s *suite) describe(t *testing.T, stream, text string) {
	t.Helper()
	clienttest.Append(t, s.admin, "$$"+stream, esdb.Any{}, metadataEvent(text))
}

func (s *suite) mayHe(t *testing.T, who esdb.Credentials, c *esdb.Client, stream string, may map[string]bool) {
	t.Helper()
	for _, what := range []string{reading, following, writing, batching, readingMeta, removing, writingMeta} {
		want, asked := may[what]
		if !asked {
			continue
		}
		if err := s.attempt(t, who, c, what, stream); want && err != nil || !want && !denied(err) {
			t.Errorf("%s of %s: %v, want it allowed %v", what, stream, err, want)
		}
	}
}

func everything(may bool) map[string]bool {
	m := map[string]bool{}
	for _, what := range []string{reading, following, writing, batching, removing, readingMeta, writingMeta} {
		m[what] = may
	}
	return m
}

func aclDefaults(t *testing.T, s *suite) {
	who := s.newUser(t)
	c := s.connect(t, who.Login, who.Password)
	stream, system := unique("open"), "$"+unique("system")
	for _, name := range []string{stream, system} {
		clienttest.Append(t, s.admin, name, esdb.NoStream{}, clienttest.Event(0))
		s.describe(t, name, `{"k":0}`)
	}
	s.mayHe(t, who, c, stream, everything(true))
	s.mayHe(t, who, c, system, everything(false))
	if _, err := clienttest.Collect(c.ReadAll(clienttest.Within(t), esdb.ReadAllOptions{}, 1)); !denied(err) {
		t.Errorf("read of $all by a user: %v", err)
	}
	sub, err := c.SubscribeToAll(clienttest.Within(t), esdb.SubscribeToAllOptions{})
	if err == nil {
		defer func() { _ = sub.Close() }()
		if e := sub.Recv(); e.SubscriptionDropped == nil {
			t.Error("subscription to $all by a user")
		}
	} else if !denied(err) {
		t.Errorf("subscription to $all by a user: %v", err)
	}
	s.mayHe(t, s.login, s.admin, system, everything(true))
}

func aclRights(t *testing.T, s *suite) {
	who := s.newUser(t)
	c := s.connect(t, who.Login, who.Password)
	for right, what := range map[string][]string{"$r": {reading, following}, "$w": {writing, batching}, "$d": {removing},
		"$mr": {readingMeta}, "$mw": {writingMeta}} {
		for _, list := range []string{`"$admins"`, `["$admins","somebody"]`, `[]`} {
			stream := unique("right")
			clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Event(0))
			s.describe(t, stream, `{"$acl":{"`+right+`":`+list+`}}`)
			may := everything(true)
			for _, w := range what {
				may[w] = false
			}
			if right != "$mw" {
				delete(may, writingMeta) // it would do away with the list
			}
			s.mayHe(t, who, c, stream, may)
		}
		// The other way round: by name, and nothing else.
		stream := unique("right")
		clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Event(0))
		acl := map[string][]string{}
		for _, r := range []string{"$r", "$w", "$d", "$mr", "$mw"} {
			role := "$admins"
			if r == right {
				role = who.Login
			}
			acl[r] = []string{role}
		}
		list, err := json.Marshal(map[string]any{"$acl": acl})
		clienttest.Must(t, err)
		s.describe(t, stream, string(list))
		may := everything(false)
		for _, w := range what {
			may[w] = true
		}
		s.mayHe(t, who, c, stream, may)
	}
	stream := unique("tombstone")
	clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Event(0))
	s.describe(t, stream, `{"$acl":{"$d":"$admins"}}`)
	if err := s.attempt(t, who, c, tombstoning, stream); !denied(err) {
		t.Errorf("tombstone: %v", err)
	}
}

// aclMarked: a list counts behind a byte order mark, and whatever follows the metadata.
func aclMarked(t *testing.T, s *suite) {
	who := s.newUser(t)
	c := s.connect(t, who.Login, who.Password)
	for _, metadata := range []string{"\xef\xbb\xbf{\"$acl\":{\"$r\":\"$admins\"}}", `{"$acl":{"$r":"$admins"}} and more`} {
		stream := unique("marked")
		clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Event(0))
		clienttest.Append(t, s.admin, "$$"+stream, esdb.NoStream{}, esdb.EventData{EventType: "$metadata", ContentType: esdb.ContentTypeJson, Data: []byte(metadata)})
		may := everything(true)
		may[reading], may[following] = false, false
		delete(may, writingMeta) // it would do away with the list
		s.mayHe(t, who, c, stream, may)
	}
}

// aclTaken: what is changed holds from the answer on, although it was looked up before.
func aclTaken(t *testing.T, s *suite) {
	who := s.newUser(t)
	c := s.connect(t, who.Login, who.Password)
	stream := unique("taken")
	clienttest.Append(t, s.admin, stream, esdb.NoStream{}, clienttest.Event(0))
	for range 20 {
		s.describe(t, stream, `{"$acl":{"$w":"$admins","$r":"$admins"}}`)
		s.mayHe(t, who, c, stream, map[string]bool{reading: false, writing: false, batching: false})
		s.describe(t, stream, `{"$acl":{"$w":"`+who.Login+`","$r":"`+who.Login+`"}}`)
		s.mayHe(t, who, c, stream, map[string]bool{reading: true, writing: true, batching: true})
	}
	// Whichever way the list is written.
	list := clienttest.Proposed(clienttest.Text(uuid.New()), 1)
	list.Data = []byte(`{"$acl":{"$w":"$admins"}}`)
	if wrong := s.batchOne(t, s.login, "$$"+stream, list); wrong != "" {
		t.Errorf("metadata in a batch: %s", wrong)
	}
	s.mayHe(t, who, c, stream, map[string]bool{writing: false, batching: false, reading: true})
	// A stream that was deleted keeps its list.
	s.describe(t, stream, `{"$acl":{"$w":"$admins"}}`)
	_, err := s.admin.DeleteStream(clienttest.Within(t), stream, esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}})
	clienttest.Must(t, err)
	s.mayHe(t, who, c, stream, map[string]bool{writing: false})
}

func aclGroups(t *testing.T, s *suite) {
	who, stranger := s.newUser(t, "clerks"), s.newUser(t, "cooks")
	stream, everybody := unique("groups"), "$"+unique("everybody")
	for _, name := range []string{stream, everybody} {
		clienttest.Append(t, s.admin, name, esdb.NoStream{}, clienttest.Event(0))
	}
	s.describe(t, stream, `{"$acl":{"$r":["clerks","$admins"]}}`)
	s.describe(t, everybody, `{"$acl":{"$r":"$all"}}`)
	s.mayHe(t, who, s.connect(t, who.Login, who.Password), stream, map[string]bool{reading: true, writing: true})
	c := s.connect(t, stranger.Login, stranger.Password)
	s.mayHe(t, stranger, c, stream, map[string]bool{reading: false, writing: true})
	s.mayHe(t, stranger, c, everybody, map[string]bool{reading: true, writing: false})
	boss := s.newUser(t, "$admins")
	s.mayHe(t, boss, s.connect(t, boss.Login, boss.Password), stream, everything(true))
}

func aclPersistent(t *testing.T, s *suite) {
	who, operator := s.newUser(t), s.newUser(t, "$ops")
	c, ops := s.connect(t, who.Login, who.Password), s.connect(t, operator.Login, operator.Password)
	stream, closed := unique("group"), unique("closed")
	for _, name := range []string{stream, closed} {
		clienttest.Append(t, s.admin, name, esdb.NoStream{}, clienttest.Event(0))
		clienttest.CreateGroup(t, ops, name, esdb.Start{})
	}
	s.describe(t, closed, `{"$acl":{"$r":"$admins"}}`)
	for what, err := range map[string]error{
		"create": c.CreatePersistentSubscription(clienttest.Within(t), stream, "h", esdb.PersistentStreamSubscriptionOptions{}),
		"update": c.UpdatePersistentSubscription(clienttest.Within(t), stream, group, esdb.PersistentStreamSubscriptionOptions{}),
		"delete": c.DeletePersistentSubscription(clienttest.Within(t), stream, group, esdb.DeletePersistentSubscriptionOptions{}),
		"replay": c.ReplayParkedMessages(clienttest.Within(t), stream, group, esdb.ReplayParkedMessagesOptions{}),
	} {
		if !denied(err) {
			t.Errorf("%s by a user: %v", what, err)
		}
	}
	if _, err := c.GetPersistentSubscriptionInfo(clienttest.Within(t), stream, group, esdb.GetPersistentSubscriptionOptions{}); err != nil {
		t.Errorf("info by a user: %v", err)
	}
	e, _ := clienttest.Delivered(t, clienttest.Consume(t, c, stream, 1))
	if e.Event.EventNumber != 0 {
		t.Errorf("delivered %d", e.Event.EventNumber)
	}
	if _, err := c.SubscribeToPersistentSubscription(clienttest.Within(t), closed, group, esdb.SubscribeToPersistentSubscriptionOptions{}); !denied(err) {
		t.Errorf("consumer of a stream that he may not read: %v", err)
	}
	clienttest.Must(t, ops.DeletePersistentSubscription(clienttest.Within(t), closed, group, esdb.DeletePersistentSubscriptionOptions{}))
}

// settings changes what holds for streams without a list of their own, and puts it back.
func settings(t *testing.T, s *suite) {
	who := s.newUser(t)
	c := s.connect(t, who.Login, who.Password)
	user, system, own := unique("user"), "$"+unique("system"), unique("own")
	for _, name := range []string{user, system, own} {
		clienttest.Append(t, s.admin, name, esdb.NoStream{}, clienttest.Event(0))
	}
	s.describe(t, own, `{"$acl":{"$r":"$all"}}`)
	before := []byte("{}")
	if clienttest.FirstOf(t, s.admin, "$settings") == nil {
		before = clienttest.ReadStream(t, s.admin, "$settings", esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1)[0].Event.Data
	}
	set := func(text []byte) {
		clienttest.Append(t, s.admin, "$settings", esdb.Any{}, esdb.EventData{EventID: uuid.New(), EventType: "update-default-acl", ContentType: esdb.ContentTypeJson, Data: text})
	}
	defer set(before)
	set([]byte(`{"$userStreamAcl":{"$r":"$admins","$w":["` + who.Login + `"]},"$systemStreamAcl":{"$r":["` + who.Login + `"]}}`))
	s.mayHe(t, who, c, user, map[string]bool{reading: false, writing: true, removing: true})
	s.mayHe(t, who, c, system, map[string]bool{reading: true, writing: false})
	s.mayHe(t, who, c, own, map[string]bool{reading: true, writing: true})
	if _, err := clienttest.Collect(c.ReadAll(clienttest.Within(t), esdb.ReadAllOptions{}, 1)); err != nil {
		t.Errorf("read of $all, which the settings allow: %v", err)
	}
	set([]byte(`{}`))
	clienttest.Append(t, s.admin, user, esdb.Any{}, clienttest.Event(1))
	s.mayHe(t, who, c, user, everything(true))
	s.mayHe(t, who, c, system, everything(false))
}
