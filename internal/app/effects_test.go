package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/kit/runtime"

	"github.com/daybook-dev/daybook/commands/payment"
	"github.com/daybook-dev/daybook/sagas"
)

// effects is what each setting of the shop's own does, as something that can be seen: another value is seen as something else.
var effects = map[string]struct {
	value string
	seen  func(t *testing.T, c Config) string
}{
	"streams":            {"3", func(_ *testing.T, c Config) string { return fmt.Sprint(c.streams()) }},
	"streams-per-client": {"3", func(_ *testing.T, c Config) string { return fmt.Sprint(c.streams()) }},
	"payment-provider":   {"https://other", reached},
	"command-api":        {"http://other", reached},
	"query-api":          {"http://other", reached},
	"simulator-listen":   {"127.0.0.2:0", func(_ *testing.T, c Config) string { return domain(c).Servers[0].Listen }},
	"reserve-within":     {"7s", placing},
	"authorise-within":   {"7s", placing},
	"action-within":      {"7s", placing},
	"provider-timeout":   {"7s", func(_ *testing.T, c Config) string { return fmt.Sprint(c.provider("")) }},
	"not-found-after":    {"7s", func(_ *testing.T, c Config) string { return c.notFoundAfter().String() }},
}

// Every setting of the shop's own, changed alone, changes what it says it does. A new setting without a case here fails.
func TestEverySettingHasItsEffect(t *testing.T) {
	base := map[string]string{"data-dir": t.TempDir(), "listen": "127.0.0.1:0", "admin-listen": "127.0.0.1:0", "log-format": "text"}
	load := func(name, value string) Config {
		t.Helper()
		flags := map[string]string{name: value}
		for n, v := range base {
			if n != name {
				flags[n] = v
			}
		}
		c, _, err := LoadConfig(Sources{Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	usual := load("data-dir", base["data-dir"])
	var c Config
	own := c.settings()[:0:0]
	for _, s := range c.settings() {
		if !slices.ContainsFunc(c.Settings(), func(of runtime.Setting) bool { return of.Name == s.Name }) {
			own = append(own, s)
		}
	}
	for _, s := range own {
		e, ok := effects[s.Name]
		if !ok {
			t.Errorf("nothing says what %s does", s.Name)
			continue
		}
		before, after := e.seen(t, usual), e.seen(t, load(s.Name, e.value))
		if before == after {
			t.Errorf("%s %s makes no difference: %s", s.Name, e.value, before)
		}
	}
	if len(effects) != len(own) {
		t.Errorf("%d settings, %d effects", len(own), len(effects))
	}
}

// reached is where the servers are that a process connects to.
func reached(_ *testing.T, c Config) string {
	d := domain(c)
	return fmt.Sprint(d.Elsewhere, d.Servers[0].Elsewhere)
}

// placing is how long each step of placing an order may take, and the buyer for an action.
func placing(_ *testing.T, c Config) string {
	var said []string
	asked := sagas.Placing{}
	asked.Payment.State = payment.ActionRequired
	for _, step := range sagas.Placement(c.deadlines()).Steps {
		if step.Deadline != nil {
			said = append(said, step.Deadline(sagas.Placing{}).Within.String(), step.Deadline(asked).Within.String())
		}
	}
	return strings.Join(said, " ")
}
