// Package secretfile follows a mounted secret, so that a rotated one is used without a restart.
package secretfile

import (
	"bytes"
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkEvery bounds how often the file is read. The kubelet brings a changed Secret within a minute or two,
// so that a few seconds more do not matter.
const checkEvery = 5 * time.Second

// File is the parsed content of a secret file. It is safe for concurrent use.
type File[T any] struct {
	path  string
	parse func([]byte) (T, error)
	clock func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	raw     []byte
	value   T
	checked time.Time
	broken  bool
}

// Open reads and parses the file. A file that cannot be used at the start is an error.
func Open[T any](path string, parse func([]byte) (T, error), clock func() time.Time, log *slog.Logger) (*File[T], error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	value, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return &File[T]{path: path, parse: parse, clock: clock, log: log, raw: raw, value: value, checked: clock()}, nil
}

// Get returns the value of the file as it is now, or as it was when it could last be used.
func (f *File[T]) Get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock()
	if now.Sub(f.checked) < checkEvery {
		return f.value
	}
	f.checked = now
	raw, err := os.ReadFile(f.path)
	if err == nil && bytes.Equal(raw, f.raw) {
		f.broken = false
		return f.value
	}
	var value T
	if err == nil {
		value, err = f.parse(raw)
	}
	switch {
	case err == nil:
		f.raw, f.value, f.broken = raw, value, false
		f.log.Info("a changed secret is in use", "file", f.path)
	case !f.broken:
		// Told once; parse errors never quote a secret.
		f.broken = true
		f.log.Error("a changed secret cannot be used; the one before stays in use", "file", f.path, "error", err)
	}
	return f.value
}
