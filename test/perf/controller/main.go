// Command controller measures the manager: a real kube-apiserver and etcd, the emulator with 30 ms per call,
// and a stand-in for the kubelet. The floor is the same number of plain API-server writes and emulator calls
// with the same concurrency, without the manager.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/controllers"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
	"github.com/uploadtenant/uploadtenant/test/perf/figures"
)

const (
	accessKeyID, accessKeySecret = "LTAI5tBench000000000000", "BenchSecret000000000000000000"
	latencyMS                    = 30
	// concurrency is the manager's default.
	concurrency = 32
)

func main() {
	log.SetLogger(logr.Discard())
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-controller:", err)
		os.Exit(1)
	}
}

func run() error {
	root := flag.String("root", ".", "top `folder` of the repository")
	tenants := flag.Int("tenants", 1000, "`number` of tenants created at once")
	most := flag.Int("scale", 0, "`number` of tenants for the figures controller_scale_*, such as 5000, in accounts of 1,000; it takes minutes more")
	profile := flag.String("pprof", "", "`address` where the manager serves /debug/pprof, such as 127.0.0.1:6060")
	flag.Parse()
	report, err := figures.New(*root, os.Stdout)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-controller-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg, stop, err := kubeapi.Start()
	if err != nil {
		return err
	}
	b := &bench{root: *root, dir: dir, tenants: *tenants, most: *most, profile: *profile, report: report, cluster: cfg}
	defer func() { b.close(); cancel(); _ = stop() }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{b.idle, b.createAll, b.floor, b.restart, b.throttled, b.handOver, b.scale} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return report.Close(*root, "controller")
}

type bench struct {
	root, dir string
	profile   string
	tenants   int
	most      int
	// changes counts what changeServed changed.
	changes int32
	report  *figures.Report
	cluster *rest.Config
	api     client.Client

	processes []*exec.Cmd
	manager   *process
	accounts  []account
	// calls, writes and wall of createAll, for the floor.
	calls, writes, wall float64
}

// prepare builds the binaries and starts everything but the manager.
func (b *bench) prepare(ctx context.Context) error {
	for _, name := range []string{"manager", "emulator"} {
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(b.dir, name), "./cmd/"+name)
		build.Dir, build.Stderr = b.root, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
	}
	scheme, err := controllers.Scheme()
	if err != nil {
		return err
	}
	b.cluster.QPS = -1
	if b.api, err = client.New(b.cluster, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	for i := range (max(b.tenants, b.most) + perAccount - 1) / perAccount {
		if err := b.startEmulator(ctx, i); err != nil {
			return err
		}
	}
	go func() {
		if err := kubeapi.RunKubelet(ctx, b.cluster); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "stand-in for the kubelet:", err)
		}
	}()
	return b.createSurroundings(ctx)
}

// idle measures the manager without a tenant.
func (b *bench) idle(ctx context.Context) error {
	if err := b.startManager(ctx); err != nil {
		return err
	}
	if err := b.awaitAccount(ctx); err != nil {
		return err
	}
	rss, err := b.manager.rss()
	b.report.Add(figures.Figure{Name: "controller_rss_0", Value: rss, Unit: "MiB"})
	return err
}

// createAll measures the way of all tenants, created at once, to Ready.
func (b *bench) createAll(ctx context.Context) error {
	before, err := b.manager.counters(ctx)
	if err != nil {
		return err
	}
	times, wall, err := b.untilReady(ctx, 0)
	if err != nil {
		return err
	}
	after, err := b.manager.counters(ctx)
	if err != nil {
		return err
	}
	rss, err := b.manager.rss()
	if err != nil {
		return err
	}
	n := float64(b.tenants)
	b.wall = wall
	b.calls, b.writes = after.calls-before.calls, after.apiWrites-before.apiWrites
	for _, f := range []figures.Figure{
		{Name: "controller_ready_wall", Value: b.wall, Unit: "s"},
		{Name: "controller_ready_p50", Value: times[len(times)/2], Unit: "s"},
		{Name: "controller_ready_p95", Value: times[len(times)*95/100], Unit: "s"},
		{Name: "controller_ready_rate", Value: n / b.wall, Unit: "tenants/s"},
		{Name: "controller_cloud_calls", Value: b.calls / n, Unit: "calls/tenant"},
		{Name: "controller_api_writes", Value: b.writes / n, Unit: "writes/tenant"},
		{Name: "controller_rss_all", Value: rss, Unit: "MiB"},
	} {
		b.report.Add(f)
	}
	return nil
}

// restart measures a manager that finds all tenants there: what it writes, and when it serves a person's
// change that comes meanwhile.
func (b *bench) restart(ctx context.Context) error {
	b.manager.stop()
	if err := b.startManager(ctx); err != nil {
		return err
	}
	served, err := b.changeServed(ctx)
	if err != nil {
		return err
	}
	b.report.Add(figures.Figure{Name: "controller_restart_change_served", Value: served, Unit: "s"})
	counted, err := b.settle(ctx)
	if err != nil {
		return err
	}
	// One tenant was changed: its write to the cloud, its objects and its status do not count.
	b.report.Add(figures.Figure{Name: "controller_quiet_cloud_writes", Value: counted.cloudWrites, Unit: "writes"})
	b.report.Add(figures.Figure{Name: "controller_quiet_api_writes", Value: max(counted.apiWrites-writesOfOneChange, 0), Unit: "writes"})
	return nil
}

// writesOfOneChange: ConfigMap, Deployment, three writes of the status and two events at most, and the
// status of the account.
const writesOfOneChange = 8

// patience for every single step.
const patience = 10 * time.Minute

var errTimeout = errors.New("it took longer than ten minutes")
