// Package filelock holds a lock on a file for the life of a process. The
// kernel gives the lock up with the process, so that nothing stale is left
// behind, however the process ended.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Lock is a held lock.
type Lock struct{ file *os.File }

// Acquire waits for the lock on path, creating the file when needed, and calls
// waiting once when somebody else holds it.
func Acquire(ctx context.Context, path string, waiting func()) (*Lock, error) {
	for told := false; ; told = true {
		lock, err := Try(path)
		if err != nil || lock != nil {
			return lock, err
		}
		if !told {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", path, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Try takes the lock on path, or returns nil when somebody else holds it.
func Try(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{file: f}, nil
}

// Release gives the lock up.
func (l *Lock) Release() { l.file.Close() }
