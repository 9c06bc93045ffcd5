package standalone

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/eventserver/wire"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// Remote is a running server.
type Remote struct{ conn *grpc.ClientConn }

const (
	window     = 1 << 20
	maxMessage = 1 << 30
)

// Connect gives the server of a connection string.
func Connect(t Target) (*Remote, error) {
	address, creds := t.Connection, insecure.NewCredentials()
	user, password, encrypted := t.User, t.Password, false
	if !strings.HasPrefix(t.Connection, "unix:") {
		conf, err := esdb.ParseConnectionString(t.Connection)
		if err != nil {
			return nil, fmt.Errorf("connection string: %w", err)
		}
		if conf.Address == "" || conf.DnsDiscover {
			return nil, errors.New("connection string: one server is meant, not a cluster")
		}
		address, encrypted = "passthrough:///"+conf.Address, !conf.DisableTLS
		if encrypted {
			creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: conf.RootCAs,
				InsecureSkipVerify: conf.SkipCertificateVerification}) //nolint:gosec // asked for in the connection string
		}
		if user == "" {
			user, password = conf.Username, conf.Password
		}
	}
	opts := []grpc.DialOption{grpc.WithTransportCredentials(creds),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(4 * window),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.ForceCodecV2(wire.NewCodec())),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true})}
	if user != "" && encrypted {
		opts = append(opts, grpc.WithPerRPCCredentials(basicAuth(user+":"+password)))
	}
	conn, err := grpc.NewClient(address, opts...)
	if err != nil {
		return nil, err
	}
	return &Remote{conn}, nil
}

// basicAuth sends "user:password" with each call.
type basicAuth string

func (b basicAuth) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(b))}, nil
}

func (basicAuth) RequireTransportSecurity() bool { return true }

// Close implements Store.
func (r *Remote) Close() error { return r.conn.Close() }

// readable makes of a call's error one that people can do something with.
func readable(err error) error {
	switch status.Code(err) {
	case codes.Unimplemented:
		return fmt.Errorf("that server cannot do this, it is not Daybook's event store: %w", err)
	case codes.PermissionDenied, codes.Unauthenticated:
		return fmt.Errorf("the server refuses: a user who may is needed, in the connection string or by --user: %w", err)
	}
	return err
}

func (r *Remote) administration(ctx context.Context, method string) (grpc.ClientStream, error) {
	st, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+eventserver.AdministrationService+"/"+method)
	return st, readable(err)
}

// ask begins a call that is one empty question.
func (r *Remote) ask(ctx context.Context, method string) (grpc.ClientStream, error) {
	st, err := r.administration(ctx, method)
	if err != nil {
		return nil, err
	}
	if err := st.SendMsg(&eventserver.Frame{}); err != nil && !errors.Is(err, io.EOF) {
		return nil, readable(err)
	}
	return st, readable(st.CloseSend())
}

// Archive implements Store.
func (r *Remote) Archive(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := r.ask(ctx, "Backup")
	if err != nil {
		return err
	}
	for {
		var f eventserver.Frame
		err := st.RecvMsg(&f)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return readable(err)
		}
		if _, err := w.Write(f.Data); err != nil {
			return err
		}
	}
}

// Verify implements Store.
func (r *Remote) Verify(ctx context.Context) (store.Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var v eventserver.Verification
	st, err := r.ask(ctx, "Verify")
	if err != nil {
		return v.Report, err
	}
	var f eventserver.Frame
	if err := st.RecvMsg(&f); err != nil {
		return v.Report, readable(err)
	}
	if err := json.Unmarshal(f.Data, &v); err != nil {
		return v.Report, fmt.Errorf("read the server's answer: %w", err)
	}
	switch {
	case len(v.Damage) > 0:
		return v.Report, &store.DamageError{Found: v.Damage, More: v.More}
	case v.Error != "":
		return v.Report, errors.New(v.Error)
	}
	return v.Report, nil
}

// Scavenge implements Store; a scavenge that runs already is waited for. When ctx ends it goes on.
func (r *Remote) Scavenge(ctx context.Context) (got store.Scavenged, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := r.ask(ctx, "Scavenge")
	if err != nil {
		return got, err
	}
	var f eventserver.Frame
	if err := st.RecvMsg(&f); err != nil {
		return got, readable(err)
	}
	return outcome(f.Data)
}

func outcome(data []byte) (got store.Scavenged, err error) {
	var said struct {
		Result  string `json:"result"`
		Error   string `json:"error"`
		Streams uint64 `json:"streams"`
		Events  uint64 `json:"events"`
		Bytes   uint64 `json:"spaceSaved"`
	}
	if err := json.Unmarshal(data, &said); err != nil {
		return got, fmt.Errorf("read the scavenge's outcome: %w", err)
	}
	got = store.Scavenged{Streams: said.Streams, Events: said.Events, Bytes: said.Bytes}
	if said.Result != "Success" {
		return got, fmt.Errorf("scavenge: %s %s", said.Result, said.Error)
	}
	return got, nil
}

// Import implements Store. What was read and not taken in yet when the connection breaks can be read off its totals: repeat it.
func (r *Remote) Import(ctx context.Context, from io.Reader, o store.ImportOptions) (total store.Imported, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := r.administration(ctx, "Import")
	if err != nil {
		return total, err
	}
	request, err := json.Marshal(eventserver.ImportRequest{Partial: o.Partial, LeaveSystem: o.LeaveSystem})
	if err != nil {
		return total, err
	}
	sent := make(chan error, 1)
	go func() {
		sent <- sendAll(st, request, from, cancel)
	}()
	for {
		var f eventserver.Frame
		var p eventserver.ImportProgress
		if err := st.RecvMsg(&f); err != nil {
			select {
			case e := <-sent:
				if e != nil {
					return total, e // that is why
				}
			default:
			}
			return total, readable(err)
		}
		if err := json.Unmarshal(f.Data, &p); err != nil {
			return total, fmt.Errorf("read the server's answer: %w", err)
		}
		total = p.Totals
		switch {
		case !p.Ended:
			if o.Progress != nil {
				o.Progress(total)
			}
		case p.Line > 0:
			return total, &store.LineError{Line: p.Line, Err: errors.New(p.Error)}
		case p.Error != "":
			return total, errors.New(p.Error)
		default:
			return total, nil
		}
	}
}

// sendAll sends a dump. If it cannot be read to its end, the call is broken off: the server must not take a part for the whole.
func sendAll(st grpc.ClientStream, request []byte, from io.Reader, breakOff func()) error {
	if st.SendMsg(&eventserver.Frame{Data: request}) != nil {
		return nil //nolint:nilerr // what is received tells why
	}
	b := make([]byte, eventserver.FrameBytes)
	for {
		n, err := from.Read(b)
		if n > 0 && st.SendMsg(&eventserver.Frame{Data: b[:n]}) != nil {
			return nil //nolint:nilerr // likewise
		}
		if errors.Is(err, io.EOF) {
			return st.CloseSend()
		}
		if err != nil {
			breakOff()
			return fmt.Errorf("read the dump: %w", err)
		}
	}
}
