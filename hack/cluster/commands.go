package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/build"
	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/host"
	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/node"
)

func upCommand(ctx context.Context, args []string) error {
	var a app
	f := flags("up", &a)
	install := f.Bool("install", true, "install missing Debian packages")
	timeout := f.Duration("timeout", 5*time.Minute, "how long the node may take to become ready")
	if err := a.parse(f, args); err != nil {
		return err
	}
	// Known before minutes of building.
	if _, err := a.running(); err != nil {
		return err
	}
	if err := requirements(ctx, &a, *install); err != nil {
		return err
	}
	b, err := a.builder()
	if err != nil {
		return err
	}
	set, err := b.Build(ctx, build.All)
	if err != nil {
		return err
	}
	lock, err := a.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	c := &cluster{app: &a, layout: node.Layout{State: a.stateDir(), Binaries: set.Dir}}
	reused, err := c.reuse(ctx, set)
	if err != nil {
		return err
	}
	if !reused {
		if err := c.fresh(ctx, set, *timeout); err != nil {
			return err
		}
	}
	fmt.Printf("export KUBECONFIG=%s\n", c.layout.Kubeconfig())
	return nil
}

// reuse reports whether a healthy cluster runs already. One that runs but does
// not get well within a grace period is not reused.
func (c *cluster) reuse(ctx context.Context, set build.Set) (bool, error) {
	n, err := c.running()
	if err != nil || n == nil {
		return false, err
	}
	if len(n.Args) == 2 && n.Args[1] != c.layout.Binaries {
		c.progress.Say("the cluster runs %s, this checkout would run %s: `down` and `up` to change", filepath.Base(n.Args[1]), filepath.Base(c.layout.Binaries))
		c.layout.Binaries = n.Args[1]
	}
	// A process that ended is started again within seconds, on a busy machine in more.
	const grace = time.Minute
	_, unwell := c.layout.Client() // its files may have been removed
	if unwell == nil {
		unwell = c.wait(ctx, "looking at the cluster that runs", grace, c.healthy)
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if unwell != nil {
		c.progress.Say("it does not get well (%s): starting a new one", firstLine(unwell))
		return false, nil
	}
	// An earlier `up` may have been stopped half-way.
	if c.nameServerReady(ctx) == nil {
		return true, nil
	}
	return true, c.addOns(ctx, set)
}

// fresh clears what an earlier cluster left and starts a new one.
func (c *cluster) fresh(ctx context.Context, set build.Set, timeout time.Duration) error {
	if _, err := c.stop(ctx); err != nil {
		return err
	}
	c.layout.Binaries = set.Dir
	if err := c.start(ctx); err != nil {
		return err
	}
	if err := c.wait(ctx, "starting Kubernetes "+set.Versions["Kubernetes"], timeout, c.healthy); err != nil {
		return err
	}
	return c.addOns(ctx, set)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// requirements makes sure that the machine can run a node, or says what to do.
func requirements(ctx context.Context, a *app, install bool) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the cluster runs on Linux only, this is %s: use a Linux machine, or set KUBECONFIG to a cluster you have", runtime.GOOS)
	}
	packages, reasons := host.Missing()
	command := "apt-get update && apt-get install --no-install-recommends " + strings.Join(packages, " ")
	switch {
	case !host.IsRoot() && len(packages) > 0:
		return fmt.Errorf("this needs root, and these programs: %s\nOn Debian or Ubuntu: sudo sh -c '%s'\nThen run this again with: sudo -E env PATH=\"$PATH\" …", strings.Join(reasons, ", "), command)
	case !host.IsRoot():
		return errors.New("running a node needs root: run this again with: sudo -E env PATH=\"$PATH\" …")
	case len(packages) > 0 && (!install || !host.HasApt()):
		return fmt.Errorf("these programs are missing: %s\nOn Debian or Ubuntu: %s\nElsewhere install the packages with the same programs; the CNI plugins are looked for in /usr/lib/cni", strings.Join(reasons, ", "), command)
	case len(packages) > 0:
		step := a.progress.Start("installing %s", strings.Join(packages, ", "))
		err := host.Install(ctx, packages)
		step.End(err)
		if err != nil {
			return err
		}
		if still, _ := host.Missing(); len(still) > 0 {
			return fmt.Errorf("installed %s, but what the cluster needs of them is still missing", strings.Join(still, ", "))
		}
	}
	return host.CheckKernel()
}

func downCommand(ctx context.Context, args []string) error {
	var a app
	f := flags("down", &a)
	if err := a.parse(f, args); err != nil {
		return err
	}
	if !host.IsRoot() {
		return errors.New("stopping the node needs root: run this again with: sudo -E env PATH=\"$PATH\" …")
	}
	lock, err := a.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	was, err := a.stop(ctx)
	if err != nil {
		return err
	}
	if was {
		a.progress.Say("cluster stopped and removed; its binaries stay in %s", filepath.Join(a.home, "bin"))
	} else {
		a.progress.Say("no cluster was running; nothing is left of an earlier one")
	}
	return nil
}

func loadCommand(ctx context.Context, args []string) error {
	var a app
	f := flags("load", &a)
	if err := a.parse(f, args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return usageError{errors.New("name at least one image tarball: load FILE.tar")}
	}
	c, _, err := a.open()
	if err != nil {
		return err
	}
	for _, file := range f.Args() {
		if _, err := os.Stat(file); err != nil {
			return err
		}
		step := a.progress.Start("loading %s", filepath.Base(file))
		err := c.load(ctx, file)
		step.End(err)
		if err != nil {
			return err
		}
	}
	return nil
}

func statusCommand(ctx context.Context, args []string) error {
	var a app
	f := flags("status", &a)
	if err := a.parse(f, args); err != nil {
		return err
	}
	c, n, err := a.open()
	if err != nil {
		return err
	}
	fmt.Printf("node process  %d, for %s\n", n.PID, time.Since(n.Began).Round(time.Second))
	fmt.Printf("binaries      %s\n", c.layout.Binaries)
	fmt.Printf("logs          %s\n", filepath.Dir(c.layout.Log("node")))
	fmt.Printf("KUBECONFIG    %s\n", c.layout.Kubeconfig())
	if err := c.healthy(ctx); err != nil {
		return fmt.Errorf("it runs but is not well: %w", err)
	}
	out, err := c.kubectl(ctx, "", "get", "pods", "--all-namespaces")
	if err != nil {
		return err
	}
	fmt.Printf("\nready\n%s", out)
	return nil
}

func envCommand(ctx context.Context, args []string) error {
	var a app
	f := flags("env", &a)
	if err := a.parse(f, args); err != nil {
		return err
	}
	b, err := a.builder()
	if err != nil {
		return err
	}
	set, err := b.Build(ctx, build.ControlPlane)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s\n", node.Layout{State: a.stateDir()}.Kubeconfig())
	fmt.Printf("export KUBEBUILDER_ASSETS=%s\n", set.Dir)
	fmt.Printf("export PATH=%s:$PATH # kubectl\n", set.Dir)
	return nil
}
