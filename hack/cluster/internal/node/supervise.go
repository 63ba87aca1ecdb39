package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Restart delays of a process that ended: short, because a developer waits,
// and growing, so that a broken process does not eat a processor.
const (
	firstDelay = time.Second
	maxDelay   = 30 * time.Second
	healthyRun = time.Minute // after this long the delay starts over
)

// supervisor keeps processes running and reaps what they leave behind. It is
// made for process 1 of a namespace, where every orphan ends up.
type supervisor struct {
	log *slog.Logger
	env []string

	mu     sync.Mutex
	exited map[int]chan syscall.WaitStatus
}

func newSupervisor(log *slog.Logger, env []string) *supervisor {
	return &supervisor{log: log, env: env, exited: map[int]chan syscall.WaitStatus{}}
}

// reap collects every child that ends, ours and adopted ones. It returns when
// ctx is done.
func (s *supervisor) reap(ctx context.Context) {
	for ctx.Err() == nil {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil {
			if errors.Is(err, syscall.ECHILD) {
				pauseFor(ctx, 50*time.Millisecond) // no child yet
			}
			continue
		}
		// start holds the lock while it registers a new child, so that a child
		// which ends at once is known here.
		s.mu.Lock()
		if ch, ok := s.exited[pid]; ok {
			delete(s.exited, pid)
			ch <- status
		}
		s.mu.Unlock()
	}
}

// keep runs a process for ever, with growing pauses between its ends.
func (s *supervisor) keep(ctx context.Context, path string, args []string, logFile string) {
	delay := firstDelay
	for ctx.Err() == nil {
		began := time.Now()
		exited, err := s.start(path, args, logFile)
		if err != nil {
			s.log.Error("Process did not start", "process", filepath.Base(path), "error", err.Error())
		} else {
			select {
			case <-ctx.Done():
				return
			case status := <-exited:
				s.log.Error("Process ended", "process", filepath.Base(path), "status", describe(status), "log", logFile)
			}
		}
		if time.Since(began) > healthyRun {
			delay = firstDelay
		}
		pauseFor(ctx, delay)
		delay = min(2*delay, maxDelay)
	}
}

func (s *supervisor) start(path string, args []string, logFile string) (<-chan syscall.WaitStatus, error) {
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := os.StartProcess(path, append([]string{path}, args...), &os.ProcAttr{
		Env: s.env, Dir: "/", Files: []*os.File{null, out, out},
	})
	if err != nil {
		return nil, err
	}
	exited := make(chan syscall.WaitStatus, 1)
	s.exited[p.Pid] = exited
	// reap waits for it; nobody else may.
	return exited, p.Release()
}

func describe(w syscall.WaitStatus) string {
	if w.Signaled() {
		return fmt.Sprintf("killed by %v", w.Signal())
	}
	return fmt.Sprintf("exit status %d", w.ExitStatus())
}

func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
