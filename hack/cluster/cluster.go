package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/addons"
	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/build"
	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/filelock"
	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/host"
	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/node"
)

// link is how the host and the node are connected.
func link() host.Link {
	return host.Link{
		Device: node.Link, HostIP: node.HostIP, NodeIP: node.NodeIP, Net: node.NodeNet,
		Routes: []string{node.PodNet, node.ServiceNet},
	}
}

// cluster is the one cluster of a home folder.
type cluster struct {
	*app
	layout node.Layout
}

func (a *app) stateDir() string { return filepath.Join(a.home, "cluster") }

// lock keeps two commands from changing the cluster at the same time.
func (a *app) lock(ctx context.Context) (*filelock.Lock, error) {
	if err := os.MkdirAll(a.home, 0o755); err != nil {
		return nil, fmt.Errorf("create the home folder: %w", err)
	}
	return filelock.Acquire(ctx, filepath.Join(a.home, ".cluster.lock"), func() {
		a.progress.Say("waiting for another up, down or load of this cluster")
	})
}

// otherHomeError says that the machine's one set of addresses is taken by the
// cluster of another home folder.
type otherHomeError struct {
	pid   int
	state string
}

func (e otherHomeError) Error() string {
	return fmt.Sprintf("a cluster of another home folder runs on this machine (process %d, state %s): stop it first with `down --home %s`, or use it with --home",
		e.pid, e.state, filepath.Dir(e.state))
}

// running returns the cluster's init process, or nil. A cluster of another
// home folder is an otherHomeError, because both would use the same addresses.
func (a *app) running() (*host.Node, error) {
	nodes, err := host.FindNodes(node.InitName)
	if err != nil {
		return nil, err
	}
	var mine *host.Node
	for _, n := range nodes {
		state := ""
		if len(n.Args) > 0 {
			state = n.Args[0]
		}
		if state != a.stateDir() {
			return nil, otherHomeError{n.PID, state}
		}
		mine = &n
	}
	return mine, nil
}

// open returns the running cluster with the binaries it was started with.
func (a *app) open() (*cluster, *host.Node, error) {
	n, err := a.running()
	if err != nil {
		return nil, nil, err
	}
	if n == nil {
		return nil, nil, errors.New("no cluster runs here: start one with `up`")
	}
	if len(n.Args) < 2 {
		return nil, nil, fmt.Errorf("process %d calls itself %s but has no arguments: stop it with `down`", n.PID, node.InitName)
	}
	return &cluster{app: a, layout: node.Layout{State: n.Args[0], Binaries: n.Args[1]}}, n, nil
}

// start makes the state folder anew and brings the node's processes up.
func (c *cluster) start(ctx context.Context) error {
	if err := link().Free(); err != nil {
		return err
	}
	if err := node.Prepare(c.layout, time.Now()); err != nil {
		return fmt.Errorf("write the cluster's files: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(c.layout.Log("node"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Args = []string{node.InitName, c.layout.State, c.layout.Binaries}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = log, log
	// A session of its own: Ctrl-C in this terminal is not meant for the node.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: node.Namespaces}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the node in namespaces of its own: %w (a container needs to be privileged for this)", err)
	}
	pid := cmd.Process.Pid
	// Collects the process should it end while we wait for it.
	go func() { _ = cmd.Wait() }()
	skipped, err := link().Connect(ctx, pid)
	if err != nil {
		return fmt.Errorf("connect the node: %w", err)
	}
	for _, r := range skipped {
		c.progress.Say("the machine has a route to %s already: those addresses are reachable from inside the cluster only", r)
	}
	return nil
}

// runInit is the init process: what `start` starts.
func runInit(args []string) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if len(args) != 2 {
		log.Error("Started with the wrong arguments; use `up`")
		os.Exit(2)
	}
	if err := node.Init(node.Layout{State: args[0], Binaries: args[1]}, log); err != nil {
		log.Error("Node failed", "error", err.Error())
		os.Exit(1)
	}
}

// stop ends the cluster if it runs and removes everything it may have left,
// whatever the state it was left in.
func (a *app) stop(ctx context.Context) (wasRunning bool, err error) {
	n, err := a.running()
	var other otherHomeError
	if errors.As(err, &other) {
		// Device and control groups are the other cluster's.
		a.progress.Say("a cluster of %s runs and is left alone", filepath.Dir(other.state))
		return false, os.RemoveAll(a.stateDir())
	}
	if err != nil {
		return false, err
	}
	if n != nil {
		if err := host.KillNode(*n); err != nil {
			return true, err
		}
	}
	if err := link().Disconnect(ctx); err != nil {
		return n != nil, err
	}
	if err := host.RemoveCgroups(node.CgroupRoot); err != nil {
		return n != nil, err
	}
	// The node mounts a folder over this one; an empty one is ours or nobody's.
	_ = os.Remove(host.CNICache)
	if err := os.RemoveAll(a.stateDir()); err != nil {
		return n != nil, fmt.Errorf("remove the cluster's state: %w", err)
	}
	return n != nil, nil
}

// kubectl runs kubectl as the administrator.
func (c *cluster) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.layout.Binary("kubectl"), append([]string{"--kubeconfig", c.layout.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// healthy reports whether the API server answers and the node is ready.
func (c *cluster) healthy(ctx context.Context) error {
	api, err := c.layout.Client()
	if err != nil {
		return err
	}
	return api.Healthy(ctx)
}

// nameServerReady reports whether pods can resolve names.
func (c *cluster) nameServerReady(ctx context.Context) error {
	api, err := c.layout.Client()
	if err != nil {
		return err
	}
	return api.NameServerReady(ctx)
}

// wait tries until it succeeds, the node's init process is gone or time is up.
func (c *cluster) wait(ctx context.Context, title string, timeout time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	step := c.progress.Start("%s", title)
	err := c.poll(ctx, try)
	step.End(err)
	if err != nil {
		return fmt.Errorf("%s: %w\nLook at the logs in %s, first at node.log; then try `down` and `up`", title, err, filepath.Dir(c.layout.Log("node")))
	}
	return nil
}

func (c *cluster) poll(ctx context.Context, try func(context.Context) error) error {
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if n, findErr := c.running(); findErr == nil && n == nil {
			return fmt.Errorf("the node has ended: %s", lastLine(c.layout.Log("node")))
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func lastLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}

// load imports image tarballs into the node's container store.
func (c *cluster) load(ctx context.Context, files ...string) error {
	for _, f := range files {
		cmd := exec.CommandContext(ctx, c.layout.Binary("ctr"), "--address", c.layout.Socket(), "--namespace", "k8s.io", "images", "import", f)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("load %s: %w: %s", f, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// addOnWait bounds each step of what is added to a ready node. Only a failure takes that long.
const addOnWait = 5 * time.Minute

// addOns loads and applies what every cluster has from the start.
func (c *cluster) addOns(ctx context.Context, set build.Set) error {
	ref := "docker.io/uploadtenant/coredns:" + set.Versions["CoreDNS"]
	images, err := addons.Images(set, filepath.Join(c.home, "images"), node.PauseImage, ref)
	if err != nil {
		return err
	}
	if err := c.wait(ctx, "loading the images of the cluster", addOnWait, func(ctx context.Context) error {
		return c.load(ctx, images...)
	}); err != nil {
		return err
	}
	if _, err := c.kubectl(ctx, addons.Manifest(ref, node.DNSAddress), "apply", "--server-side", "--filename=-"); err != nil {
		return err
	}
	return c.wait(ctx, "starting the name server", addOnWait, c.nameServerReady)
}
