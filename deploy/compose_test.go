// Package deploy holds the images and compose files; this checks that they say what the program takes.
package deploy

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/daybook-dev/daybook/internal/app"
)

type service struct {
	Image       string
	PullPolicy  string `yaml:"pull_policy"`
	Command     []string
	Environment map[string]string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Volumes     []string
	Ports       []string
	Healthcheck struct{ Test []string }
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	ReadOnly    bool     `yaml:"read_only"`
	Tmpfs       []string
	User        string
	Privileged  bool
	CapAdd      []string `yaml:"cap_add"`
}

func compose(t *testing.T, path string) (services map[string]service, volumes map[string]any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]service
		Volumes  map[string]any
	}
	if err := yaml.Unmarshal(bytes.ReplaceAll(b, []byte("!reset null"), []byte("null")), &file); err != nil {
		t.Fatal(err)
	}
	return file.Services, file.Volumes
}

const (
	theFile      = "../docker-compose.yml"
	eventStoreDB = "compose.eventstoredb.yml"
)

// Over the file, every service has an image that is built here and none is pulled.
func TestLocalOverlayPullsNothing(t *testing.T) {
	services, _ := compose(t, theFile)
	local, _ := compose(t, "compose.local.yml")
	if len(local) != len(services) || len(services) < 11 {
		t.Errorf("%d services, %d of them over the file", len(services), len(local))
	}
	for name := range services {
		if s := local[name]; !strings.HasPrefix(s.Image, "daybook-local/") || s.PullPolicy != "never" {
			t.Errorf("%s runs %q, pulled %q", name, s.Image, s.PullPolicy)
		}
		if s, ours := local[name], services[name].Image == "daybook:latest"; ours && s.Image != "daybook-local/daybook" {
			t.Errorf("%s, a role of ours, runs %s", name, s.Image)
		}
	}
}

// No service has more privileges than it needs, and what its image is cannot change unnoticed.
func TestComposeGivesNoPrivileges(t *testing.T) {
	services, _ := compose(t, theFile)
	for name, s := range services {
		ours := s.Image == "daybook:latest"
		if s.Privileged || s.CapAdd != nil || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: privileged %v, capabilities %v dropped and %v added, %v", name, s.Privileged, s.CapDrop, s.CapAdd, s.SecurityOpt)
		}
		if !s.ReadOnly {
			t.Errorf("%s writes to its image", name)
		}
		if uid, gid, ok := numbers(s.User); !ok || uid == 0 || gid == 0 {
			t.Errorf("%s runs as %q, which is not the numbers of a user other than root", name, s.User)
		}
		if !ours && !strings.Contains(s.Image, "@sha256:") {
			t.Errorf("%s: %s has no digest", name, s.Image)
		}
	}
	other, _ := compose(t, eventStoreDB)
	if image := other["eventstore"].Image; len(other) != 1 || !strings.HasPrefix(image, "${EVENTSTOREDB_IMAGE:?") {
		t.Errorf("the overlay has %d services, and %s is no image that must be named with its digest", len(other), image)
	}
	for file, users := range map[string]string{
		"Dockerfile": "65532:65532", "local/daybook/Dockerfile": "65532:65532", "local/kafka/Dockerfile": "kafka", "local/postgres/Dockerfile": "postgres",
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "\nUSER "+users+"\n") {
			t.Errorf("%s does not run as %s", file, users)
		}
	}
}

// numbers are those of a user and its group.
func numbers(user string) (uid, gid int, ok bool) {
	u, g, _ := strings.Cut(user, ":")
	uid, uidErr := strconv.Atoi(u)
	gid, gidErr := strconv.Atoi(g)
	return uid, gid, uidErr == nil && gidErr == nil
}

// The overlays change no limit of a service; one that runs another image gives that image's user.
func TestOverlaysKeepTheLimits(t *testing.T) {
	for path, user := range map[string]any{"compose.local.yml": nil, eventStoreDB: "1000:1000"} {
		t.Run(path, func(t *testing.T) { keepsTheLimits(t, path, user) })
	}
}

func keepsTheLimits(t *testing.T, path string, user any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Services map[string]map[string]any }
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) == 0 {
		t.Fatal("the overlay has no services")
	}
	for name, s := range file.Services {
		for _, key := range []string{"read_only", "cap_drop", "cap_add", "security_opt", "privileged"} {
			if has(s, key) {
				t.Errorf("%s: the overlay changes %s", name, key)
			}
		}
		if s["user"] != user {
			t.Errorf("%s: the overlay runs it as %v", name, s["user"])
		}
	}
}

// An image that is built here has the user that its service runs as: what the image gives to its user can be written.
func TestImagesHaveTheUsersOfTheirServices(t *testing.T) {
	services, _ := compose(t, theFile)
	for file, service := range map[string]string{
		"Dockerfile": "gateway", "local/daybook/Dockerfile": "gateway", "local/kafka/Dockerfile": "kafka", "local/postgres/Dockerfile": "postgres",
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		user := services[service].User
		uid, _, _ := numbers(user)
		if text := string(b); !strings.Contains(text, "\nUSER "+user+"\n") && !strings.Contains(text, fmt.Sprintf("--uid %d ", uid)) {
			t.Errorf("%s has no user %s, as whom %s runs", file, user, service)
		}
	}
}

// What a service writes is on its volumes or in memory, and is its user's: where it cannot write, it does not start. The mode of memory that
// is mounted is not relied on: runc before 1.2 gives it that of the directory below, which for one of its own making is root's.
func TestComposeGivesRoomToWrite(t *testing.T) {
	services, _ := compose(t, theFile)
	other, _ := compose(t, eventStoreDB)
	services["EventStoreDB"] = other["eventstore"]
	room := map[string][]string{ // what the images write beside /tmp
		"EventStoreDB": {"/var/lib/eventstore", "/var/log/eventstore"},
		"eventstore":   {"/data"},
		"kafka":        {services["kafka"].Environment["KAFKA_LOG_DIRS"], "/opt/kafka/config", "/opt/kafka/logs"},
		"postgres":     {"/var/lib/postgresql/data", "/var/run/postgresql"},
		"simulator":    {"/data", "/secrets"},
	}
	for name, s := range services {
		writable := map[string]bool{}
		for _, v := range s.Volumes {
			parts := strings.Split(v, ":")
			writable[parts[1]] = len(parts) == 2
		}
		uid, gid, _ := numbers(s.User)
		for _, m := range s.Tmpfs {
			at, given, _ := strings.Cut(m, ":")
			options := strings.Split(given, ",")
			writable[at] = slices.Contains(options, fmt.Sprintf("uid=%d", uid)) && slices.Contains(options, fmt.Sprintf("gid=%d", gid))
			if loads := name == "kafka" && at == "/tmp"; loads != slices.Contains(options, "exec") {
				t.Errorf("%s: programs may be run from %s: %v", name, at, !loads)
			}
		}
		for _, at := range append(room[name], "/tmp") {
			if !writable[at] {
				t.Errorf("%s cannot write to %s as %s", name, at, s.User)
			}
		}
	}
}

// The services connect to Postgres as a role without superuser that a mounted file makes, and the superuser is left no password.
func TestComposeConnectsWithoutSuperuser(t *testing.T) {
	services, _ := compose(t, theFile)
	sql, err := os.ReadFile("postgres/roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	superuser := services["postgres"].Environment["POSTGRES_USER"]
	if mounted := services["postgres"].Volumes; !slices.Contains(mounted, "./deploy/postgres/roles.sql:/docker-entrypoint-initdb.d/roles.sql:ro") {
		t.Errorf("Postgres mounts only %v", mounted)
	}
	if superuser == "" || !strings.Contains(string(sql), "\nalter role "+superuser+" password null;\n") {
		t.Errorf("the superuser %q keeps its password", superuser)
	}
	for name, s := range services {
		address, ok := s.Environment["DAYBOOK_POSTGRES"]
		if !ok {
			continue
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		password, _ := u.User.Password()
		role := "\ncreate role " + u.User.Username() + " login nosuperuser nocreatedb nocreaterole noreplication password '" + password + "';\n"
		if u.User.Username() == superuser || !strings.Contains(string(sql), role) {
			t.Errorf("%s connects as %s, whom roles.sql does not make without attributes", name, u.User.Username())
		}
	}
}

// Every service of ours starts with a configuration that the program accepts, and every role runs exactly once.
func TestComposeIsAConfiguration(t *testing.T) {
	services, volumes := compose(t, theFile)
	var roles []string
	for name, s := range services {
		for _, v := range s.Volumes {
			volume, at, _ := strings.Cut(v, ":")
			if file, ours := strings.CutPrefix(volume, "./"); ours {
				if _, err := os.Stat(filepath.Join("..", file)); err != nil || !strings.HasSuffix(at, ":ro") {
					t.Errorf("%s: %s is not a file of ours, mounted read-only: %v", name, v, err)
				}
			} else if !has(volumes, volume) {
				t.Errorf("%s: volume %s is not declared", name, volume)
			}
		}
		for other := range s.DependsOn {
			if _, ok := services[other]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, other)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s beyond loopback", name, p)
			}
		}
		if slices.Contains(s.Command, "eventstore") { // a program of its own, with flags of its own
			continue
		}
		if s.Image != "daybook:latest" {
			if len(s.Healthcheck.Test) == 0 {
				t.Errorf("%s has no health check", name)
			}
			continue
		}
		roles = append(roles, check(t, name, s)...)
	}
	slices.Sort(roles)
	want := slices.DeleteFunc(app.AllRoles(), func(r string) bool {
		return r == app.RoleEventStore || r == app.RoleKafka || r == app.RolePostgres
	})
	slices.Sort(want)
	if !slices.Equal(roles, want) {
		t.Errorf("roles %v, want each of %v once", roles, want)
	}
}

func check(t *testing.T, name string, s service) []string {
	t.Helper()
	if len(s.Command) < 3 || s.Command[0] != "serve" || len(s.Command)%2 == 0 {
		t.Fatalf("%s: command %v", name, s.Command)
	}
	environ := []string{"DAYBOOK_DATA_DIR=/data"}
	for k, v := range s.Environment {
		environ = append(environ, k+"="+v)
	}
	flags := map[string]string{}
	for i := 1; i < len(s.Command); i += 2 {
		flags[strings.TrimPrefix(s.Command[i], "--")] = s.Command[i+1]
	}
	known := map[string]bool{}
	for _, f := range app.Flags() {
		known["DAYBOOK_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))] = true
		known[f.Name] = true
	}
	for k := range s.Environment {
		if !known[k] {
			t.Errorf("%s: %s is no setting", name, k)
		}
	}
	for k := range flags {
		if !known[k] {
			t.Errorf("%s: --%s is no setting", name, k)
		}
	}
	cfg, _, err := app.LoadConfig(app.Sources{Environ: environ, Flags: flags})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return cfg.Roles
}

func has(m map[string]any, key string) bool { _, ok := m[key]; return ok }
