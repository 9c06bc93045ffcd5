package pgserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// ErrInUse says that another process runs Postgres on this directory.
var ErrInUse = errors.New("another process runs Postgres on this directory")

// Config of an embedded Postgres. Only Dir has to be set.
type Config struct {
	// Dir holds the data (data-<major>) and the lock. It is made if it is missing. When this process is root,
	// Postgres runs as another user, who must be able to reach Dir.
	Dir string
	// Listen is a loopback address, default 127.0.0.1:0: a free port. A taken port is syscall.EADDRINUSE.
	// A server of Dir that is found running keeps the port it has.
	Listen string
	// PasswordFile holds the superuser's password; a random one is made there, mode 0600, if there is no such file.
	// Default Dir/password.
	PasswordFile string
	// OwnerFile is a passfile of libpq with the owner's password, made as PasswordFile is. If it was lost, the owner gets the new
	// password. Default Dir/owner.pgpass.
	OwnerFile string
	// Logins are further roles by name, each with the file of its password, made as PasswordFile is. They may connect and nothing
	// more, until the owner grants them something.
	Logins map[string]string
	// Binaries is the directory of initdb and postgres, or "download" for the pinned build and no other.
	// Default $PG_BIN, else what is found on the machine, else the pinned build.
	Binaries string
	// Cache keeps the pinned build. Default: the user's cache directory, /var/cache/daybook/postgres for root.
	Cache string
	// Disposable data may be lost with the machine: nothing is synced to disk. For tests. It does survive
	// kill -9.
	Disposable bool
	// Memory is how many bytes the server and its processes should keep to; a tenth of it is shared buffers. Default 384 MiB.
	Memory int64
	// MinFree is how many bytes the disk must have left; below, transactions are read-only. Default 32 MiB.
	MinFree uint64
	// Reserve is how many bytes are kept for starting again after the disk was full. Default 64 MiB, none for disposable data.
	Reserve uint64
	// Logger gets what Postgres logs. Default: nothing is logged.
	Logger *slog.Logger
}

const (
	superuser = "daybook" // as whom the supervisor alone connects
	owner     = "daybook_owner"
	database  = "daybook"
	download  = "download"
)

// MaxConnections is how many sessions the server takes, ForSuperusers of them only from superusers: two processes of every role of the
// program, and tools beside them. One that is not open costs some kilobytes.
const (
	MaxConnections = 250
	ForSuperusers  = 3
)

const leastBuffers = 16 << 20

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("embedded Postgres: no directory given")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, fmt.Errorf("embedded Postgres: directory %s: %w", c.Dir, err)
	}
	c.Dir = dir
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Listen, err = loopback(c.Listen); err != nil {
		return c, err
	}
	if c.PasswordFile == "" {
		c.PasswordFile = filepath.Join(c.Dir, "password")
	}
	if c.OwnerFile == "" {
		c.OwnerFile = filepath.Join(c.Dir, "owner.pgpass")
	}
	if c.OwnerFile, err = filepath.Abs(c.OwnerFile); err != nil {
		return c, fmt.Errorf("embedded Postgres: file %s: %w", c.OwnerFile, err)
	}
	if c.Binaries == "" {
		c.Binaries = os.Getenv("PG_BIN")
	}
	if c.Cache == "" {
		if c.Cache, err = defaultCache(); err != nil {
			return c, err
		}
	}
	if c.Memory == 0 {
		c.Memory = 384 << 20
	}
	if c.MinFree == 0 {
		c.MinFree = 32 << 20
	}
	if c.Reserve == 0 && !c.Disposable {
		c.Reserve = 64 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// loopback refuses every address that another machine could reach.
func loopback(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("embedded Postgres: address %q: %w", listen, err)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", fmt.Errorf("embedded Postgres: %q is not a loopback address", listen)
	}
	return net.JoinHostPort(host, port), nil
}

func defaultCache() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/daybook/postgres", nil // a home of mode 0700 would hide it from the user who runs it
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("embedded Postgres: no cache directory for its binaries: %w", err)
	}
	return filepath.Join(dir, "daybook", "postgres"), nil
}

// settings are chosen for a small machine that Postgres shares with the rest of the program.
func (c Config) settings(host, port string) []string {
	s := []string{
		"listen_addresses=" + host, "port=" + port, "unix_socket_directories=",
		"max_connections=" + strconv.Itoa(MaxConnections),
		// The pages are in the file system's cache as well, which is given up when others need the memory.
		"shared_buffers=" + kilobytes(max(c.Memory/10, leastBuffers)), "wal_buffers=4MB", "effective_cache_size=1GB",
		"work_mem=" + kilobytes(c.Memory/96), "maintenance_work_mem=" + kilobytes(c.Memory/12), "autovacuum_work_mem=" + kilobytes(c.Memory/48),
		// To analyse a table it holds 300 rows of it for each unit of the target in memory, whole: of the widest some 3 KiB each.
		"default_statistics_target=30", "autovacuum_max_workers=2",
		"max_logical_replication_workers=0", // there is nothing to replicate: one process less
		// Of what is idle. Five times as rarely and as many pages at a time.
		"bgwriter_delay=1s", "bgwriter_lru_maxpages=500",
		// No replicas: a table filled in the transaction that made it, as a rebuild does, needs no log.
		"wal_level=minimal", "max_wal_senders=0", "max_wal_size=1GB", "wal_compression=on",
		// What is not waited for until it is on disk may be lost up to three times this after a crash; what is waited for is not concerned.
		"wal_writer_delay=1s",
		"random_page_cost=1.1", "jit=off", "max_parallel_workers_per_gather=0", // each costs short queries more than it gives
		"timezone=UTC", "log_timezone=UTC", "lc_messages=C", // the log is read by this program
		"logging_collector=off", "log_destination=stderr", "log_line_prefix=", "log_checkpoints=off",
		"log_min_error_statement=panic", "log_parameter_max_length_on_error=0", // statements hold people's data
	}
	if c.Disposable {
		s = append(s, "fsync=off", "full_page_writes=off", "shared_buffers=32MB", "autovacuum_naptime=1h")
	}
	return s
}

func kilobytes(n int64) string { return strconv.FormatInt(n>>10, 10) + "kB" }
