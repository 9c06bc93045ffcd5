package esclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

const (
	window         = 1 << 20 // bytes; static, so that no time goes into estimating it
	connectTimeout = 3 * time.Second
	maxMessage     = 17 << 20 // bytes, as the official client has it
)

// conn is a connection of our own, beside the official client's.
type conn interface {
	Caller
	Close() error
}

// local is a connection to a server in this process.
type local struct {
	Caller

	authorization string // header, if any
}

// NewStream implements Caller.
func (l local) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if l.authorization != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", l.authorization)
	}
	return l.Caller.NewStream(ctx, desc, method, opts...)
}

func (local) Close() error { return nil }

// connect gives a new connection to the node that takes appends.
func (l *link) connect(ctx context.Context) (conn, error) {
	if l.local != nil {
		c := local{Caller: l.local}
		if l.conf.Username != "" && l.conf.Password != "" {
			c.authorization = basicAuth(l.conf.Username + ":" + l.conf.Password).header()
		}
		return c, nil
	}
	c, err := l.remote(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (l *link) remote(ctx context.Context) (*grpc.ClientConn, error) {
	if l.socket != "" {
		return l.dial("unix:" + l.socket)
	}
	if leader := l.leader.Swap(nil); leader != nil { // good for one attempt
		return l.dial(*leader)
	}
	var seeds []string
	switch {
	case l.conf.DnsDiscover:
		seeds = []string{l.conf.Address}
	case len(l.conf.GossipSeeds) > 0:
		for _, s := range l.conf.GossipSeeds {
			seeds = append(seeds, s.String())
		}
	default:
		return l.dial(l.conf.Address)
	}
	rand.Shuffle(len(seeds), func(i, j int) { seeds[i], seeds[j] = seeds[j], seeds[i] })
	var problems []error
	for _, seed := range seeds {
		leader, err := l.discover(ctx, seed)
		if err == nil {
			return l.dial(leader)
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("discover the event store's leader: %w", errors.Join(problems...))
}

func (l *link) dial(address string) (*grpc.ClientConn, error) {
	creds, err := transport(l.conf)
	if err != nil {
		return nil, err
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(4 * window),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTimeout}),
	}
	if l.conf.KeepAliveInterval >= 0 {
		opts = append(opts, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: l.conf.KeepAliveInterval, Timeout: l.conf.KeepAliveTimeout, PermitWithoutStream: true,
		}))
	}
	if l.conf.Username != "" && l.conf.Password != "" && !l.conf.DisableTLS {
		opts = append(opts, grpc.WithPerRPCCredentials(basicAuth(l.conf.Username+":"+l.conf.Password)))
	}
	conn, err := grpc.NewClient(address, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to the event store at %s: %w", address, err)
	}
	return conn, nil
}

// basicAuth sends "user:password" with each call.
type basicAuth string

func (b basicAuth) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": b.header()}, nil
}

func (b basicAuth) header() string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(b)) }

func (basicAuth) RequireTransportSecurity() bool { return true }

// discover asks a node who leads.
func (l *link) discover(ctx context.Context, seed string) (string, error) {
	conn, err := l.dial(seed)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	info, err := gossip.NewGossipClient(conn).Read(ctx, &shared.Empty{})
	if err != nil {
		return "", fmt.Errorf("gossip of %s: %w", seed, err)
	}
	for _, m := range info.GetMembers() {
		if at := m.GetHttpEndPoint(); m.GetIsAlive() && m.GetState() == gossip.MemberInfo_Leader {
			return net.JoinHostPort(at.GetAddress(), strconv.Itoa(int(at.GetPort()))), nil
		}
	}
	return "", fmt.Errorf("gossip of %s names no leader", seed)
}
