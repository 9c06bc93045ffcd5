package esclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Config says which server to talk to, and how patiently.
type Config struct {
	ConnectionString string                // esdb://… or esdb+discover://…, as the official client takes it
	Local            Caller                // a server in this process, to append to and to read the log of without a network; default none
	Socket           string                // path of a Unix socket of that server's, for appends and the log; default none
	Logger           *slog.Logger          // default: none
	Registerer       prometheus.Registerer // default: none

	AppendTimeout time.Duration // of an append whose context has no deadline; default 10 s
	StallAfter    time.Duration // a server that answers nothing for that long is given up and connected to anew; default 5 s
	InFlight      int           // bytes of appends queued and in flight; more wait. Default 16 MiB
}

// Caller opens calls of a server, as grpc.ClientConnInterface has it: the embedded server's Local.
type Caller interface {
	NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error)
}

const (
	discoveryAttempts = 600 // of the official client: its state machine must not end during an outage
	discoveryTimeout  = 2   // seconds for one attempt
)

// parsed is the configuration with its defaults, and as the official client has it.
func (c Config) parsed() (Config, *esdb.Configuration, error) {
	conf, err := esdb.ParseConnectionString(c.ConnectionString)
	if err != nil {
		return c, nil, fmt.Errorf("connection string of the event store: %w", err)
	}
	if err := conf.Validate(); err != nil {
		return c, nil, fmt.Errorf("connection string of the event store: %w", err)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.AppendTimeout <= 0 {
		c.AppendTimeout = 10 * time.Second
	}
	if c.StallAfter <= 0 {
		c.StallAfter = 5 * time.Second
	}
	if c.InFlight <= 0 {
		c.InFlight = 16 << 20
	}
	conf.MaxDiscoverAttempts = max(conf.MaxDiscoverAttempts, discoveryAttempts)
	conf.GossipTimeout = min(conf.GossipTimeout, discoveryTimeout)
	conf.Logger = clientLog(c.Logger)
	return c, conf, nil
}

// clientLog keeps the official client's own messages for those who debug: an outage is many of them.
func clientLog(l *slog.Logger) esdb.LoggingFunc {
	return func(level esdb.LogLevel, format string, args ...any) {
		l.Debug("event store client: "+fmt.Sprintf(format, args...), "level", level)
	}
}

// transport is the security of our own connection, the same as the official client's.
func transport(conf *esdb.Configuration) (credentials.TransportCredentials, error) {
	if conf.DisableTLS {
		return insecure.NewCredentials(), nil
	}
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: conf.SkipCertificateVerification, //nolint:gosec // asked for in the connection string
		RootCAs:            conf.RootCAs,
	}
	if conf.UserCertFile != "" && conf.UserKeyFile != "" {
		cert, err := tls.LoadX509KeyPair(conf.UserCertFile, conf.UserKeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate for the event store: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return credentials.NewTLS(c), nil
}
