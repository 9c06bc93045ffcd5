package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"
	"golang.org/x/sync/errgroup"
)

// box is a server in a container.
type box struct {
	image string
	port  string // inside, "9092/tcp"
	at    string // outside: a free loopback address
	env   map[string]string
	cmd   []string
	alive []string // a command that succeeds when it is ready

	running *testcontainers.DockerContainer
}

func (s *Servers) contained(t testing.TB) {
	t.Helper()
	Images(t)
	eventstore := &box{image: "daybook", port: "2113/tcp", at: Address(t), alive: []string{"CMD", "/daybook", "health"}}
	eventstore.cmd = []string{
		"eventstore", "serve", "--data-dir=/data/eventstore", "--listen=0.0.0.0:2113", "--advertise=" + eventstore.at,
		"--admin-listen=127.0.0.1:8081", "--insecure",
	}
	kafka := &box{
		image: "kafka", port: "9092/tcp", at: Address(t), alive: []string{"CMD", "bash", "-c", ": > /dev/tcp/127.0.0.1/9092"},
	}
	kafka.env = map[string]string{
		"KAFKA_NODE_ID": "1", "KAFKA_PROCESS_ROLES": "broker,controller", "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
		"KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093", "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://" + kafka.at,
		"KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER", "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1", "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0", "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
	}
	postgres := &box{
		image: "postgres", port: "5432/tcp", at: Address(t), alive: []string{"CMD", "pg_isready", "-q", "-h", "127.0.0.1"},
		env: map[string]string{"POSTGRES_USER": "daybook", "POSTGRES_PASSWORD": "daybook", "POSTGRES_DB": "daybook"},
	}
	var g errgroup.Group
	for _, b := range []*box{eventstore, kafka, postgres} {
		g.Go(func() error { return b.start(t.Context()) })
		t.Cleanup(func() { b.end(t) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	s.EventStore, s.Kafka = "esdb://"+eventstore.at+"?tls=false", kafka.at
	s.Postgres = database(t, "postgres://daybook:daybook@"+postgres.at+"/daybook?sslmode=disable")
}

// start gives a container that is ready.
func (b *box) start(ctx context.Context) (err error) {
	host, port, err := net.SplitHostPort(b.at)
	if err != nil {
		return fmt.Errorf("address of %s: %w", b.image, err)
	}
	inside, err := network.ParsePort(b.port)
	if err != nil {
		return fmt.Errorf("port of %s: %w", b.image, err)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("address of %s: %w", b.image, err)
	}
	b.running, err = testcontainers.Run(ctx, imagePrefix+b.image,
		testcontainers.WithEnv(b.env), testcontainers.WithExposedPorts(b.port), testcontainers.WithCmd(b.cmd...),
		testcontainers.WithLabels(map[string]string{ownerLabel: strconv.Itoa(os.Getpid())}),
		testcontainers.WithLogger(silent()),
		testcontainers.WithHostConfigModifier(func(c *container.HostConfig) {
			c.PortBindings = network.PortMap{inside: {{HostIP: ip, HostPort: port}}}
		}),
		testcontainers.WithConfigModifier(func(c *container.Config) {
			c.Healthcheck = &container.HealthConfig{Test: b.alive, Interval: 300 * time.Millisecond, Timeout: 10 * time.Second, Retries: 300}
		}),
		testcontainers.WithWaitStrategyAndDeadline(2*time.Minute, wait.ForHealthCheck().WithPollInterval(100*time.Millisecond).WithStartupTimeout(2*time.Minute)),
	)
	if err != nil {
		return fmt.Errorf("start %s in a container: %w", b.image, err)
	}
	return nil
}

// end removes the container with its data, and shows what it said if the test failed.
func (b *box) end(t testing.TB) {
	if b.running == nil {
		return
	}
	ctx := context.WithoutCancel(t.Context())
	if t.Failed() {
		if logs, err := b.running.Logs(ctx); err == nil {
			said, _ := io.ReadAll(logs)
			lines := strings.Split(strings.TrimSpace(string(said)), "\n")
			t.Logf("what %s in its container said:\n%s", b.image, strings.Join(lines[max(0, len(lines)-60):], "\n"))
		}
	}
	if err := testcontainers.TerminateContainer(b.running, testcontainers.StopTimeout(0)); err != nil {
		t.Errorf("remove the container of %s: %v", b.image, err)
	}
}

// silent keeps the library's own progress out of the tests' output.
func silent() tclog.Logger { return log.New(io.Discard, "", 0) }

// answers tells whether there is a Docker engine.
func answers(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil { // it panics where it finds no engine's address
			err = fmt.Errorf("%v", r)
		}
	}()
	p, err := testcontainers.NewDockerProvider()
	if err != nil {
		return fmt.Errorf("no Docker engine is known: %w", err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if _, err := p.Client().Ping(ctx, client.PingOptions{}); err != nil {
		return fmt.Errorf("no Docker engine answers: %w", err)
	}
	return nil
}
