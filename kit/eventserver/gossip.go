package eventserver

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// gossiper tells clients that look for a cluster's leader that there is one member, this one.
type gossiper struct {
	gossip.UnimplementedGossipServer

	instance store.ID
	host     string
	port     uint32
}

// advertised is the address that clients can reach: Config.Advertise, or the one served.
func newGossiper(cfg Config, addr string, instance store.ID) (*gossiper, error) {
	if cfg.Advertise != "" {
		addr = cfg.Advertise
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("event store server: advertised address: %w", err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || host == "" {
		return nil, fmt.Errorf("event store server: advertised address %q is not host:port", addr)
	}
	return &gossiper{instance: instance, host: host, port: uint32(port)}, nil
}

// Read implements gossip.GossipServer.
func (g *gossiper) Read(context.Context, *shared.Empty) (*gossip.ClusterInfo, error) {
	return &gossip.ClusterInfo{Members: []*gossip.MemberInfo{{
		InstanceId: uuidMessage(g.instance, false), TimeStamp: time.Now().UnixNano() / 100, State: gossip.MemberInfo_Leader, IsAlive: true,
		HttpEndPoint: &gossip.EndPoint{Address: g.host, Port: g.port}}}}, nil
}
