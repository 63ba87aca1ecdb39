// Command demo takes a bare Linux machine, or the cluster that KUBECONFIG names, to an uploaded, verified,
// recorded and delivered file, and shows every step: `make demo` and `make demo-down`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/test/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The client of controller-runtime logs; what matters is in the errors.
	log.SetLogger(logr.Discard())
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 || (args[0] != "up" && args[0] != "down") {
		return errors.New("usage: go run ./hack/demo up|down, from the root of the checkout")
	}
	if _, err := os.Stat("charts/uploadtenant"); err != nil {
		return errors.New("run this from the root of the checkout")
	}
	opts := demo.FromEnvironment(".")
	if args[0] == "down" {
		// Nothing is pushed on the way down.
		opts.Registry = "unused"
		d, err := demo.New(opts)
		if err != nil {
			return err
		}
		return d.Down(ctx)
	}
	began := time.Now()
	d, err := demo.New(opts)
	if err != nil {
		return err
	}
	if err := d.Run(ctx, append(d.Install(), d.Use()...)); err != nil {
		return err
	}
	fmt.Printf("\n== All of it took %v\n", time.Since(began).Round(time.Second))
	return nil
}
