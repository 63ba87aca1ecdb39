package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/host"
)

// Namespaces of the init process. Everything the node does happens inside
// them, so that killing this one process makes the kernel end every process,
// unmount every mount and remove every network device of the cluster.
const Namespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// linkWait is how long the init process waits for its network device; the
// parent moves it in right after the start.
const linkWait = time.Minute

// Init is process 1 of the node. It returns only on an error or when it is
// told to stop; with its end everything it started ends.
func Init(l Layout, log *slog.Logger) error {
	if os.Getpid() != 1 {
		return errors.New("the init process must be started in namespaces of its own: use `up`")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := mounts(l); err != nil {
		return fmt.Errorf("set up the mounts: %w", err)
	}
	if err := syscall.Sethostname([]byte(Name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := network(); err != nil {
		return fmt.Errorf("set up the network: %w", err)
	}
	if err := host.MakeCgroups(CgroupRoot); err != nil {
		return fmt.Errorf("set up the control groups: %w", err)
	}
	env := []string{"PATH=" + l.Binaries + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	s := newSupervisor(log, env)
	go s.reap(ctx)
	waited := false
	for _, p := range Processes(l) {
		if p.AfterAPI && !waited {
			waitForAPI(ctx, log)
			waited = true
		}
		log.Info("Start process", "process", p.Name)
		go s.keep(ctx, l.Binary(p.Name), p.Args, l.Log(p.Name))
	}
	<-ctx.Done()
	log.Info("Stop")
	return nil
}

// kubeletTunables are the kernel settings that the kubelet insists on. They
// count for the whole machine, which is not ours alone, so the kubelet gets to
// see files with the values it wants in their places.
var kubeletTunables = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// mounts gives the node its own view of the few places outside the state
// folder that containerd, runc and the kubelet insist on writing to.
func mounts(l Layout) error {
	// Nothing mounted from here on reaches the host. Shared again below, as
	// the kubelet expects on a usual machine.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for target, source := range map[string]string{"/var/log": l.path("var-log"), host.CNICache: l.path("var-lib-cni")} {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
	}
	for setting, value := range kubeletTunables {
		file := l.path("sysctl", strings.ReplaceAll(setting, "/", "."))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
			return err
		}
		target := filepath.Join("/proc/sys", setting)
		if err := syscall.Mount(file, target, "", syscall.MS_BIND, ""); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cover %s: %w", target, err)
		}
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make / shared: %w", err)
	}
	return nil
}

// network brings up the devices of the node's network namespace.
func network() error {
	deadline := time.Now().Add(linkWait)
	for {
		if _, err := net.InterfaceByName("eth0"); err == nil {
			break
		} else if time.Now().After(deadline) {
			return fmt.Errorf("no network device came within %v: %w", linkWait, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", NodeIP + "/24", "dev", "eth0"},
		{"link", "set", "eth0", "up"},
		{"route", "add", "default", "via", HostIP},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	settings, err := filepath.Glob("/proc/sys/net/ipv[46]/conf/all/forwarding")
	if err != nil {
		return err
	}
	for _, f := range settings {
		if err := os.WriteFile(f, []byte("1"), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// waitForAPI returns when the API server is ready or the node stops.
func waitForAPI(ctx context.Context, log *slog.Logger) {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		// Only the status is read, over the namespace's own loopback.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	began := time.Now()
	for ctx.Err() == nil {
		resp, err := client.Get("https://127.0.0.1:6443/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				log.Info("API server is ready", "after", time.Since(began).Round(time.Millisecond).String())
				return
			}
		}
		pauseFor(ctx, 100*time.Millisecond)
	}
}
