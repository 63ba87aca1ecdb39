//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/test/demo"
)

// root of the checkout, seen from this package.
const root = "../.."

// d is the installation that all tests share: an installation per test would cost a minute each.
var d *demo.Demo

func TestMain(m *testing.M) {
	// The client of controller-runtime logs; what matters is in the errors.
	log.SetLogger(logr.Discard())
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// run installs everything, runs the tests, and stops the local cluster again when it was not running before.
// E2E_KEEP=1 keeps it, to look around.
func run(m *testing.M) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts := demo.FromEnvironment(root)
	if d, err = demo.New(opts); err != nil {
		return 1, err
	}
	if opts.Kubeconfig == "" && !clusterRuns(ctx) && os.Getenv("E2E_KEEP") == "" {
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			if downErr := d.Down(ctx); downErr != nil && err == nil {
				code, err = 1, downErr
			}
		}()
	}
	if err := d.Run(ctx, append(d.Install(), d.Use()...)); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func clusterRuns(ctx context.Context) bool {
	cmd := exec.CommandContext(ctx, "go", "run", "-C", "hack/cluster", ".", "status")
	cmd.Dir = root
	return cmd.Run() == nil
}
