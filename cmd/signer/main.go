// Command signer serves one upload tenant: grants, callbacks, records and events.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/onewrite"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "signer:", err)
		os.Exit(1)
	}
}

func run() error {
	configFile := flag.String("config", "/etc/uploadtenant/config.json", "config `file` that the controller wrote")
	addr := flag.String("addr", ":8080", "`address` of the public API")
	opsAddr := flag.String("ops-addr", ":8081", "`address` of health and metrics")
	delay := flag.Duration("shutdown-delay", 10*time.Second, "`time` between failing readiness and closing the ports after SIGTERM, in which load balancers learn of it")
	drain := flag.Duration("drain", 20*time.Second, "longest `time` to finish requests after SIGTERM")
	level := slog.LevelInfo
	flag.TextVar(&level, "log-level", level, "debug logs every request, with the ids of the uploads that it granted; info what was recorded and refused")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	// The live heap is about 2 MiB; collecting it at twice the usual distance costs 4 MiB under load, none
	// when idle, and a good part of the CPU time otherwise spent on collecting.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load(*configFile)
	if err != nil {
		return err
	}
	server, err := signer.New(ctx, signer.Options{Config: cfg, ConfigFile: *configFile, Logger: log, Getenv: os.Getenv})
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, server, log, *addr, *opsAddr, shutdown{*delay, *drain, time.After}), server.Close())
}

// shutdown is how a process ends: for delay it is not ready but answers, then it takes no new connection
// and has limit to finish what is in flight. after is the clock of the delay.
type shutdown struct {
	delay, limit time.Duration
	after        func(time.Duration) <-chan time.Time
}

// serve listens on both ports until ctx ends, then finishes what is in flight.
func serve(ctx context.Context, server *signer.Server, log *slog.Logger, addr, opsAddr string, end shutdown) error {
	var config net.ListenConfig
	api, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	ops, err := config.Listen(ctx, "tcp", opsAddr)
	if err != nil {
		return errors.Join(err, api.Close())
	}
	apiServer, opsServer := newHTTPServer(server.API(), log), newHTTPServer(server.Ops(), log)
	apiServer.ConnContext = onewrite.ConnContext
	failed := make(chan error, 2)
	go func() { failed <- apiServer.Serve(onewrite.Listen(api)) }()
	go func() { failed <- opsServer.Serve(ops) }()
	log.Info("serving", "addr", api.Addr().String(), "opsAddr", ops.Addr().String())
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	worked := make(chan error, 1)
	go func() { worked <- server.Run(work) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		log.Info("draining")
		server.Drain()
		// A pod that ends is taken out of its Service while it still gets connections.
		select {
		case err = <-failed:
		case <-end.after(end.delay):
		}
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), end.limit)
	defer cancel()
	err = errors.Join(err, apiServer.Shutdown(limit))
	stopWork()
	return errors.Join(err, <-worked, opsServer.Shutdown(limit))
}

// newHTTPServer bounds what a slow or hostile client can hold.
func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}
