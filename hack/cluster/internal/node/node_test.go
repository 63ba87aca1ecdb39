package node

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Every file that a process is told to read must have been written.
func TestPrepareWritesWhatTheProcessesRead(t *testing.T) {
	l := Layout{State: t.TempDir(), Binaries: "/nowhere"}
	if err := Prepare(l, time.Now()); err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{l.path("kubelet"): true, l.path("etcd"): true} // folders the processes make
	check := func(who, path string) {
		if made[path] {
			return
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s reads %s: %v", who, path, err)
		}
	}
	for _, p := range Processes(l) {
		for _, arg := range p.Args {
			if _, value, _ := strings.Cut(arg, "="); strings.HasPrefix(value, l.State) {
				check(p.Name, value)
			}
		}
	}
	for _, name := range []string{"containerd.toml", "kubelet.yaml", "proxy.yaml", "cni/10-ptp.conflist"} {
		data, err := os.ReadFile(l.path(filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "${") {
			t.Errorf("%s has a placeholder that nothing filled", name)
		}
	}
	if _, err := l.Client(); err != nil {
		t.Errorf("Client() = %v", err)
	}
}

// A process that ends is started again.
func TestSupervisorStartsAgain(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	var running sync.WaitGroup
	defer running.Wait() // nothing may write to the folder when it is removed
	defer cancel()
	s := newSupervisor(slog.New(slog.NewTextHandler(io.Discard, nil)), []string{"PATH=/usr/bin:/bin"})
	log := filepath.Join(dir, "log")
	running.Go(func() { s.reap(ctx) })
	running.Go(func() { s.keep(ctx, "/bin/sh", []string{"-c", "echo started"}, log) })
	for ctx.Err() == nil {
		data, _ := os.ReadFile(log)
		if strings.Count(string(data), "started\n") >= 2 {
			return
		}
		pauseFor(ctx, 20*time.Millisecond)
	}
	t.Error("the process was not started a second time")
}
