// souk-mongo serves the MongoDB wire protocol on loopback from a PostgreSQL database, with FerretDB embedded. It is the
// local stand-in for a MongoDB server, used when neither MONGODB_URI nor a mongod is there.
//
// FerretDB's own command needs a version file that only its release builds have; the embeddable package does not.
// Its handler is made only when PostgreSQL answers, so this program waits for PostgreSQL and may start before it.
//
//	SOUK_MONGO_LISTEN        host:port to listen on, a loopback address
//	SOUK_MONGO_POSTGRES_URL  postgres://user:password@host:port/database; in the environment, as arguments are public
//
// SIGTERM or SIGINT ends it with status 0.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
)

const (
	retryDelayMin = 100 * time.Millisecond
	retryDelayMax = 2 * time.Second
)

func main() {
	// FerretDB logs each refused request through the default logger, as a warning and as an error. A duplicate key is an
	// everyday answer of this record, and the client is told of every failure anyway.
	quiet := &slog.HandlerOptions{Level: slog.LevelError + 1}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, quiet)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	if err := run(ctx, os.Getenv("SOUK_MONGO_LISTEN"), os.Getenv("SOUK_MONGO_POSTGRES_URL")); err != nil {
		fmt.Fprintln(os.Stderr, "souk-mongo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen, postgresURL string) error {
	server, err := newServer(ctx, listen, postgresURL)
	if err != nil || server == nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "souk-mongo: serving on", listen)
	return server.Run(ctx)
}

// newServer tries until PostgreSQL answers; (nil, nil) means that the program was told to stop meanwhile.
func newServer(ctx context.Context, listen, postgresURL string) (*ferretdb.FerretDB, error) {
	config := &ferretdb.Config{
		Listener:      ferretdb.ListenerConfig{TCP: listen},
		Handler:       "postgresql",
		PostgreSQLURL: postgresURL,
	}
	for delay := retryDelayMin; ; delay = min(2*delay, retryDelayMax) {
		if err := checkListen(listen); err != nil {
			return nil, err
		}
		server, err := ferretdb.New(config)
		if err == nil {
			return server, nil
		}
		fmt.Fprintln(os.Stderr, "souk-mongo: not ready, trying again:", err)
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(delay):
		}
	}
}

// checkListen refuses an address that is not loopback, and one that is taken: told apart here, because FerretDB
// reports every failure of its constructor alike, and only "PostgreSQL is not there yet" is worth a retry.
func checkListen(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("SOUK_MONGO_LISTEN: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("SOUK_MONGO_LISTEN: %q is not a loopback address", host)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	return l.Close()
}
