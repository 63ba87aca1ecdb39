package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestBoundMemory(t *testing.T) {
	tests := map[string]struct {
		file      string
		env       map[string]string
		wantLimit int64
		wantGC    int
	}{
		"a container's limit":   {file: "1000\n", wantLimit: 900, wantGC: gcPercent},
		"no limit":              {file: "max\n", wantLimit: math.MaxInt64, wantGC: gcPercent},
		"no cgroup":             {wantLimit: math.MaxInt64, wantGC: gcPercent},
		"somebody knows better": {file: "1000\n", env: map[string]string{"GOGC": "200", "GOMEMLIMIT": "1GiB"}, wantLimit: math.MaxInt64, wantGC: 100},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			defer debug.SetGCPercent(debug.SetGCPercent(100))
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
			file := filepath.Join(t.TempDir(), "memory.max")
			if tc.file != "" {
				if err := os.WriteFile(file, []byte(tc.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			boundMemory(func(name string) string { return tc.env[name] }, file)
			if got := debug.SetMemoryLimit(-1); got != tc.wantLimit {
				t.Errorf("memory limit = %d, want %d", got, tc.wantLimit)
			}
			if got := debug.SetGCPercent(100); got != tc.wantGC {
				t.Errorf("GC percent = %d, want %d", got, tc.wantGC)
			}
		})
	}
}
