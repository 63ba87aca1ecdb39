// Command manager runs the controllers of uploadtenant.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/uploadtenant/uploadtenant/cloud/aliyun"
	"github.com/uploadtenant/uploadtenant/controllers"
	"github.com/uploadtenant/uploadtenant/controllers/tracing"
	"github.com/uploadtenant/uploadtenant/controllers/uploadtenant"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

func run() error {
	opts := controllers.Options{}
	var logLevel slog.Level
	flag.StringVar(&opts.SignerImage, "signer-image", "docker.io/uploadtenant/signer:dev", "image of the signer pods")
	flag.StringVar(&opts.MetricsAddress, "metrics-bind-address", ":8080", "address of the metrics; 0 switches them off")
	flag.StringVar(&opts.ProbeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flag.StringVar(&opts.ProfileAddress, "pprof-bind-address", "", "address of /debug/pprof, which tells a lot about the manager: keep it on 127.0.0.1; empty switches it off")
	flag.BoolVar(&opts.LeaderElect, "leader-elect", false, "let one of several managers work at a time")
	flag.StringVar(&opts.Namespace, "namespace", envOr("POD_NAMESPACE", "uploadtenant-system"), "the manager's own namespace, where credentials.secretRef of a CloudAccount looks")
	flag.StringVar(&opts.TokenFile, "oidc-token-file", "/var/run/secrets/uploadtenant/oidc/token", "the manager's projected service-account token for credentials.oidc")
	flag.StringVar(&opts.AccountFile, "account-file", "", "YAML file with a CloudAccount to apply at start; the chart mounts account.spec of its values here")
	flag.StringVar(&opts.ClusterID, "cluster-id", "", "identity of this cluster in the tags and descriptions of its cloud objects (default: the UID of namespace kube-system); set it to manage them again from a restored cluster")
	flag.DurationVar(&opts.Interval, "interval", uploadtenant.DefaultInterval, "pause between two looks at the cloud when nothing changed")
	flag.DurationVar(&opts.TicketKeyRotation, "ticket-key-rotation", 30*24*time.Hour, "how long a key seals upload tickets; older keys stay, because stored objects carry tickets; 0 never rotates")
	flag.BoolVar(&opts.Paused, "paused", false, "stop the work on every tenant; each tells so in its condition Paused")
	flag.IntVar(&opts.Concurrency, "concurrency", 32, "tenants reconciled at the same time; each waits for the cloud most of the time")
	flag.TextVar(&logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	flag.Parse()
	boundMemory(os.Getenv, "/sys/fs/cgroup/memory.max")

	opts.Logger = logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: logLevel}))
	ctrl.SetLogger(opts.Logger)
	opts.Opener = aliyun.NewOpener(aliyun.Options{})
	opts.Registry = metrics.Registry

	cfg, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	ctx := ctrl.SetupSignalHandler()
	provider, stop, err := tracing.Start(ctx)
	if err != nil {
		return err
	}
	defer sendRemaining(stop, opts.Logger)
	opts.Tracing = provider
	mgr, err := controllers.NewManager(ctx, cfg, opts)
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// sendRemaining sends the spans that are left; a collector that does not answer must not hold the manager.
func sendRemaining(stop func(context.Context) error, logger logr.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := stop(ctx); err != nil {
		logger.Error(err, "Send the remaining spans")
	}
}

func envOr(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
