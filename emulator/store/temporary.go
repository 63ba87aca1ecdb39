package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// temporaryPattern names the folders of stores that have no data directory.
const temporaryPattern = "oss-emulator-*"

// makeTemporary makes a folder of its own for this process and removes those that killed processes left behind: a
// folder whose lock nobody holds belongs to nobody.
func makeTemporary() (dir string, lock *os.File, err error) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), temporaryPattern))
	if err != nil {
		return "", nil, fmt.Errorf("look for old temporary directories: %w", err)
	}
	for _, old := range left {
		removeAbandoned(old)
	}
	if dir, err = os.MkdirTemp("", temporaryPattern); err != nil {
		return "", nil, fmt.Errorf("create temporary directory: %w", err)
	}
	// The lock gets its name only when it is held, so that nobody sees a folder of a living process without it.
	if lock, err = os.OpenFile(filepath.Join(dir, "lock.new"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return "", nil, fmt.Errorf("create lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "", nil, errors.Join(fmt.Errorf("lock temporary directory: %w", err), lock.Close())
	}
	if err := os.Rename(lock.Name(), filepath.Join(dir, "lock")); err != nil {
		return "", nil, errors.Join(fmt.Errorf("name lock: %w", err), lock.Close())
	}
	return dir, lock, nil
}

// removeAbandoned removes a folder unless a process holds its lock. Failing to is no reason not to start.
func removeAbandoned(dir string) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		return // being made, or somebody else's
	}
	defer lock.Close()
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		_ = os.RemoveAll(dir)
	}
}
