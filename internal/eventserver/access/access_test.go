package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// world is a store with a control and its users.
type world struct {
	st *store.Store
	c  *Control
	d  *Directory
}

func open(t *testing.T) *world {
	t.Helper()
	st, err := store.Open(store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	c, err := NewControl(st, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &world{st, c, NewDirectory(st, c.Changed)}
}

// put writes an event as the server does: Changed is called before the write is answered.
func (w *world) put(t *testing.T, stream, data string) {
	t.Helper()
	done := make(chan error, 1)
	w.st.Submit(&store.Source{}, &store.Request{Stream: stream, Expected: store.ExpectAny,
		Events: []store.Event{{ID: store.ID(uuid.New()), Type: "x", JSON: true, Data: []byte(data)}},
		Done:   func(res store.Result) { w.c.Changed(stream, res.Err); done <- res.Err }})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	a, b := &User{}, &User{}
	must(t, a.setPassword("secret"))
	must(t, b.setPassword("secret"))
	if a.Hash == b.Hash || a.Salt == b.Salt {
		t.Error("two users with one password have one hash")
	}
	if !a.fits("secret") || a.fits("secret ") || a.fits("") {
		t.Error("not only the password fits")
	}
	// As EventStoreDB stores "changeit": PBKDF2, SHA-1, 1000 rounds, computed by Python.
	theirs := &User{Salt: "AAECAwQFBgcICQoLDA0ODw==", Hash: "ESjecbuhkU3H6HH3/Q/sDBotvTI="}
	if !theirs.fits("changeit") {
		t.Error("a hash that somebody else computed does not fit")
	}
	// As EventStoreDB 5 wrote it.
	theirs = &User{Salt: "Tu036zxRRiy+1a7nFU2o0A==", Hash: "xG0N4MPkilVltawxsM3+O5SUTPI="}
	if !theirs.fits("changeit") {
		t.Error("a hash of EventStoreDB's does not fit")
	}
	for _, damaged := range []*User{{}, {Salt: a.Salt}, {Hash: a.Hash}, {Salt: "!", Hash: a.Hash}, {Salt: a.Salt, Hash: "!"}, {Salt: a.Salt, Hash: a.Hash[:8]}} {
		if damaged.fits("secret") || damaged.fits("") {
			t.Errorf("%+v fits", damaged)
		}
	}
}

func TestVerifierRemembers(t *testing.T) {
	t.Parallel()
	v, err := newVerifier()
	must(t, err)
	u, all := &User{LoginName: "a"}, int64(workers(v))
	must(t, u.setPassword("secret"))
	for _, password := range []string{"secret", "guess"} {
		first, err := v.verify(t.Context(), u, password)
		must(t, err)
		// Without a hash to compare, only what is remembered can be answered.
		must(t, v.hashing.Acquire(t.Context(), all))
		again, err := v.verify(t.Context(), u, password)
		if err != nil || again != first || first != (password == "secret") {
			t.Errorf("%s: %v, again %v, %v", password, first, again, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := v.verify(ctx, u, "other"+password); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that is not remembered: %v", err)
		}
		cancel()
		v.hashing.Release(all)
	}
	must(t, u.setPassword("next"))
	if ok, err := v.verify(t.Context(), u, "secret"); ok || err != nil {
		t.Errorf("the password before: %v %v", ok, err)
	}
	for i := range 3 * rememberedPasswords {
		v.wrong.put(digest{byte(i), byte(i >> 8)}, struct{}{})
	}
	if n := len(v.wrong.young) + len(v.wrong.old); n > 2*rememberedPasswords {
		t.Errorf("%d wrong passwords are remembered", n)
	}
}

// workers is how many may hash at once.
func workers(v *verifier) (n int) {
	for v.hashing.TryAcquire(1) {
		n++
	}
	v.hashing.Release(int64(n))
	return n
}

func TestCache(t *testing.T) {
	t.Parallel()
	c := newCache[string, int](10)
	loads := 0
	get := func(key string) int {
		v, err := c.get(key, func() (int, error) { loads++; return loads, nil })
		must(t, err)
		return v
	}
	for range 2 {
		if get("a") != 1 {
			t.Error("it forgot")
		}
	}
	if c.drop("a"); get("a") != 2 {
		t.Error("it did not forget")
	}
	// What changes while it is looked up is not kept.
	v, err := c.get("b", func() (int, error) { c.drop("b"); return 99, nil })
	if err != nil || v != 99 || get("b") == 99 {
		t.Error("it kept what was changed meanwhile")
	}
	for i := range 1000 {
		get(strconv.Itoa(i))
		get("a") // in use: never forgotten
	}
	if n := len(c.young) + len(c.old); n > 20 || get("a") != 2 {
		t.Errorf("%d are kept", n)
	}
	if _, err := c.get("c", func() (int, error) { return 0, errors.New("no") }); err == nil || get("c") == 0 {
		t.Error("an error was kept")
	}
	c.stop()
	if before := get("a"); get("a") == before {
		t.Error("it goes on keeping")
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	w, ctx := open(t), t.Context()
	created, err := w.d.Defaults(ctx, "a", "o")
	if err != nil || len(created) != 2 {
		t.Fatalf("%q %v", created, err)
	}
	if created, err = w.d.Defaults(ctx, "b", "p"); err != nil || len(created) != 0 {
		t.Errorf("again: %q %v", created, err)
	}
	who, err := w.c.Authenticate(ctx, "ops", "o")
	if err != nil || who.Admin() || !who.Operator() {
		t.Errorf("ops: %+v %v", who, err)
	}
	if who, err = w.c.Authenticate(ctx, "admin", "a"); err != nil || !who.Admin() || !who.Operator() {
		t.Errorf("admin: %+v %v", who, err)
	}
	for name, err := range map[string]error{
		"empty name":     w.d.Create(ctx, "", "x", "", nil),
		"colon":          w.d.Create(ctx, "a:b", "x", "", nil),
		"line":           w.d.Create(ctx, "a\nb", "x", "", nil),
		"bytes":          w.d.Create(ctx, "a\xff", "x", "", nil),
		"long name":      w.d.Create(ctx, strings.Repeat("x", maxName+1), "x", "", nil),
		"empty password": w.d.Create(ctx, "a", "", "", nil),
		"long password":  w.d.Create(ctx, "a", strings.Repeat("x", maxPassword+1), "", nil),
		"long full name": w.d.Create(ctx, "a", "x", strings.Repeat("x", maxFullName+1), nil),
		"groups":         w.d.Create(ctx, "a", "x", "", make([]string, maxGroups+1)),
		"empty group":    w.d.Create(ctx, "a", "x", "", []string{""}),
		"update":         w.d.Update(ctx, "admin", "", []string{""}),
		"no password":    w.d.SetPassword(ctx, "admin", nil, ""),
	} {
		if !errors.Is(err, ErrBadUser) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := w.d.All(ctx); err != nil || len(all) != 2 || all[0].LoginName != "admin" || all[1].LoginName != "ops" {
		t.Errorf("%d users, %v", len(all), err)
	}
	must(t, w.d.Delete(ctx, "ops"))
	if created, err = w.d.Defaults(ctx, "b", "p"); err != nil || len(created) != 0 {
		t.Errorf("a deleted user came back: %q %v", created, err)
	}
	if _, err := w.c.Authenticate(ctx, "ops", "o"); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a deleted user: %v", err)
	}
	if all, err := w.d.All(ctx); err != nil || len(all) != 1 {
		t.Errorf("%d users, %v", len(all), err)
	}
}

// TestUsersAtOnce: of several changes of one user at once none is lost.
func TestUsersAtOnce(t *testing.T) {
	t.Parallel()
	w, ctx := open(t), t.Context()
	must(t, w.d.Create(ctx, "a", "x", "", nil))
	var mu sync.Mutex
	done := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				u, err := w.d.Get(ctx, "a")
				if err != nil {
					t.Error(err)
					return
				}
				err = w.d.update(ctx, "a", func(now *User) error {
					if now.FullName != u.FullName {
						return ErrUserExists // somebody was faster
					}
					now.FullName += "x"
					return nil
				})
				if errors.Is(err, ErrUserExists) {
					continue
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				done++
				mu.Unlock()
				return
			}
		})
	}
	wg.Wait()
	if u, err := w.d.Get(ctx, "a"); err != nil || len(u.FullName) != done || done != 8 {
		t.Errorf("%d changes, %q, %v", done, u.FullName, err)
	}
}

func TestDamagedUser(t *testing.T) {
	t.Parallel()
	w, ctx := open(t), t.Context()
	must(t, w.d.Create(ctx, "a", "x", "", nil))
	for _, data := range []string{`nonsense`, `{}`, `{"loginName":"b","hash":"","salt":""}`, `{"loginName":"a"}`, `[]`, `{"loginName":"a","hash":7}`} {
		w.put(t, "$user-a", data)
		if _, err := w.c.Authenticate(ctx, "a", "x"); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%s: %v", data, err)
		}
		if _, err := w.c.Authenticate(ctx, "a", ""); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%s: %v", data, err)
		}
	}
}

// TestUnknownOutcome: a change that may stand at any time from now on is not missed.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	w, ctx := open(t), t.Context()
	who := &Caller{Name: "u"}
	must(t, w.c.Check(ctx, who, Write, "s"))
	w.c.Changed("$$s", fmt.Errorf("stuck: %w", store.ErrUnknown))
	must(t, w.c.Check(ctx, who, Write, "s"))
	if res := w.st.Do(store.Request{Stream: "$$s", Expected: store.ExpectAny, // and no follower is woken
		Events: []store.Event{{ID: store.ID(uuid.New()), Type: "$metadata", Data: []byte(`{"$acl":{"$w":[]}}`)}}}); res.Err != nil {
		t.Fatal(res.Err)
	}
	if err := w.c.Check(ctx, who, Write, "s"); !errors.Is(err, ErrDenied) {
		t.Errorf("%v", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	w, ctx := open(t), t.Context()
	user, admin := &Caller{Name: "u", groups: []string{"g"}}, &Caller{Name: "x", groups: []string{Admins}}
	w.put(t, "$$s", `{"$acl":{"$r":["v","g"],"$w":"v","$mw":"u"}}`)
	w.put(t, "$$limited", `{"$maxCount":3}`)
	w.put(t, "$$shown", `{"$acl":{"$mr":"u","$mw":"v"}}`)
	w.put(t, "$$hidden", `{"$acl":{"$mr":"v","$mw":"u"}}`)
	for i, x := range []struct {
		who    *Caller
		action Action
		stream string
		ok     bool
	}{
		{user, Read, "s", true}, {user, Write, "s", false}, {user, Delete, "s", true}, {user, Read, "$$s", true}, {user, Write, "$$s", true},
		{user, Read, "$$shown", true}, {user, Write, "$$shown", false}, {user, Read, "$$hidden", false}, {user, Write, "$$hidden", true},
		{user, Write, "limited", true}, {user, Read, "$$limited", true},
		{admin, Write, "s", true}, {admin, Write, "$$s", true}, {admin, Delete, "$$s", false}, {nil, Read, "s", false}, {nil, Read, "other", false},
		{user, Read, "$all", false}, {admin, Read, "$all", true}, {admin, Write, "$all", false}, {admin, Delete, "$all", false},
		{user, Read, store.IncarnationStream, true}, {user, Write, store.IncarnationStream, false}, {nil, Read, store.IncarnationStream, false},
		{user, Read, "$sys", false}, {user, Read, "$$$sys", false}, {user, Write, "$$$$s", false}, {user, Read, "$$", false}, {admin, Read, "$$", true},
		{&Caller{Name: "admin"}, Write, "$sys", true}, {&Caller{Name: "ops", groups: []string{Operations}}, Read, "$sys", false},
	} {
		err := w.c.Check(ctx, x.who, x.action, x.stream)
		if (err == nil) != x.ok || err != nil && !errors.Is(err, ErrDenied) {
			t.Errorf("%d: %+v: %v", i, x, err)
		}
	}
	// Settings whose limits hide them say nothing any more.
	w.put(t, "$settings", `{"$userStreamAcl":{"$r":"v"}}`)
	if err := w.c.Check(ctx, user, Read, "other"); !errors.Is(err, ErrDenied) {
		t.Errorf("settings: %v", err)
	}
	w.put(t, "$$$settings", `{"$tb":100}`)
	must(t, w.c.Check(ctx, user, Read, "other"))
	// What was written past Changed counts once everything is forgotten.
	if res := w.st.Do(store.Request{Stream: "$$other", Expected: store.ExpectAny,
		Events: []store.Event{{ID: store.ID(uuid.New()), Type: "$metadata", Data: []byte(`{"$acl":{"$r":[]}}`)}}}); res.Err != nil {
		t.Fatal(res.Err)
	}
	w.c.Forget()
	if err := w.c.Check(ctx, user, Read, "other"); !errors.Is(err, ErrDenied) {
		t.Errorf("after everything was forgotten: %v", err)
	}
}

// TestStrangeMetadata: a list counts where EventStoreDB finds it, and metadata that may hide one lets in admins only.
func TestStrangeMetadata(t *testing.T) {
	t.Parallel()
	w, ctx := open(t), t.Context()
	user := &Caller{Name: "u"}
	const mark, list = "\xef\xbb\xbf", `"$acl":{"$r":"v"}`
	for data, may := range map[string]bool{
		mark + `{` + list + `}`: false, `{` + list + `} and more`: false, mark + `{` + list + `}}`: false, `{"$maxCount":"3",` + list + `}`: false,
		`{"$acl":{"$r":"u"},` + list + `}`: false, `{` + list + `,"$acl":{"$r":"u"}}`: true,
		`{` + list: false, `{'$acl':{'$r':'v'}}`: false, `[{` + list + `}]`: false, `{/**/` + list + `}`: false, `nonsense`: false, `null`: false,
		mark + `{}`: true, `{} and more`: true, `{"$maxCount":"3"}`: true, `{"$ACL":{"$r":"v"}}`: true, `{"other":{` + list + `}}`: true,
	} {
		w.put(t, "$settings", `{}`)
		w.put(t, "$$s", data)
		if err := w.c.Check(ctx, user, Read, "s"); (err == nil) != may || err != nil && !errors.Is(err, ErrDenied) {
			t.Errorf("metadata %q: %v, want it allowed %v", data, err, may)
		}
		settings := strings.ReplaceAll(data, "$acl", "$userStreamAcl")
		w.put(t, "$settings", strings.ReplaceAll(settings, "$ACL", "$USERStreamAcl"))
		if err := w.c.Check(ctx, user, Read, "other"); (err == nil) != may || err != nil && !errors.Is(err, ErrDenied) {
			t.Errorf("settings %q: %v, want it allowed %v", data, err, may)
		}
	}
	// What is no JSON, and says so, may say anything; a list in it counts all the same.
	for data, may := range map[string]bool{"": true, "\x00\x01": true, `{` + list + `}`: false} {
		if res := w.st.Do(store.Request{Stream: "$$plain", Expected: store.ExpectAny,
			Events: []store.Event{{ID: store.ID(uuid.New()), Type: "$metadata", Data: []byte(data)}}}); res.Err != nil {
			t.Fatal(res.Err)
		}
		w.c.Changed("$$plain", nil)
		w.put(t, "$settings", `{}`)
		if err := w.c.Check(ctx, user, Read, "plain"); (err == nil) != may {
			t.Errorf("%q, not JSON: %v, want it allowed %v", data, err, may)
		}
	}
}

// BenchmarkCheck is what an append costs on a secured server, beside its password.
func BenchmarkCheck(b *testing.B) {
	st, err := store.Open(store.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	c, err := NewControl(st, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := c.Check(b.Context(), &Caller{Name: "u"}, Write, "s"); err != nil {
			b.Fatal(err)
		}
	}
}
