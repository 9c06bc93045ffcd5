package apachekafka

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// node is one server of a cluster. The first is its controller too.
type node struct {
	id, brokers      int // of so many
	port, controller int
	cluster          string
}

// clusterID has the form of Kafka's own: 16 bytes in URL base64, with no dash in front, which its tools would read as a flag.
func clusterID() string {
	for {
		var id [16]byte
		_, _ = rand.Read(id[:]) // never fails
		if s := base64.RawURLEncoding.EncodeToString(id[:]); s[0] != '-' {
			return s
		}
	}
}

func (n node) properties(dir string) string {
	roles, listeners := "broker", fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", n.port)
	advertised := listeners
	if n.id == 1 {
		roles, listeners = "broker,controller", listeners+fmt.Sprintf(",CONTROLLER://127.0.0.1:%d", n.controller)
	}
	return fmt.Sprintf(`process.roles=%s
node.id=%d
controller.quorum.voters=1@127.0.0.1:%d
listeners=%s
advertised.listeners=%s
controller.listener.names=CONTROLLER
log.dirs=%s
auto.create.topics.enable=false
default.replication.factor=%[7]d
offsets.topic.replication.factor=%[7]d
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=250
`, roles, n.id, n.controller, listeners, advertised, dir, n.brokers)
}

// Cluster is several brokers, each of which has a replica of every partition.
type Cluster struct{ servers []*Server }

// StartCluster runs a cluster until the test ends, or skips the test and says why.
func StartCluster(t testing.TB, brokers int) *Cluster {
	t.Helper()
	p, err := found()
	if errors.Is(err, errAbsent) {
		t.Skipf("not run against Apache Kafka: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	at, release, err := reserve(1 + brokers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	c, id := &Cluster{}, clusterID()
	for i := range brokers {
		s, err := run(t.Context(), p, "", node{id: i + 1, brokers: brokers, port: at[1+i], controller: at[0], cluster: id})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		c.servers = append(c.servers, s)
	}
	return c
}

// Addrs is the brokers' addresses, comma-separated. Their node ids are 1, 2, … in this order.
func (c *Cluster) Addrs() string {
	all := make([]string, len(c.servers))
	for i, s := range c.servers {
		all[i] = s.Addr()
	}
	return strings.Join(all, ",")
}
