package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRequiredVersion(t *testing.T) {
	const module = "k8s.io/kubernetes"
	tests := map[string]struct{ gomod, want string }{
		"one line":             {"module m\n\nrequire k8s.io/kubernetes v1.36.3\n", "v1.36.3"},
		"block":                {"require (\n\ta.b/c v1.0.0\n\tk8s.io/kubernetes v1.36.3 // indirect\n)", "v1.36.3"},
		"not by its beginning": {"require k8s.io/kubernetes/extra v1.0.0\n", ""},
		"not by a replacement": {"replace k8s.io/kubernetes => ../k v1.0.0\n", ""},
		"missing":              {"module m\n", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := requiredVersion(tc.gomod, module); got != tc.want {
				t.Errorf("requiredVersion() = %q, want %q", got, tc.want)
			}
		})
	}
}

// The key must change with everything that changes the binary, and with
// nothing else: a stale binary would hide a change, a needless new key costs
// eight minutes.
func TestIdentity(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, dir string, c *Component, tc *toolchain)
		same   bool
	}{
		"nothing":     {func(*testing.T, string, *Component, *toolchain) {}, true},
		"a test file": {file("x_test.go", "package m"), true},
		"a note":      {file("README.md", "hello"), true},
		"the source":  {file("main.go", "package m"), false},
		"a checksum":  {file("go.sum", "a.b/c v1 h1:x"), false},
		"the version": {func(t *testing.T, dir string, _ *Component, _ *toolchain) {
			write(t, dir, "go.mod", "require a.b/c v1.0.1")
		}, false},
		"the compiler": {func(_ *testing.T, _ string, _ *Component, tc *toolchain) { tc.version = "go9" }, false},
		"the tags":     {func(_ *testing.T, _ string, c *Component, _ *toolchain) { c.Tags = "no_x" }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			source := t.TempDir()
			c, tool := Component{Name: "m", Module: "a.b/c", Packages: []string{"."}}, toolchain{"go1.26", "amd64"}
			dir := filepath.Join(source, "m")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, dir, "go.mod", "require a.b/c v1.0.0")
			write(t, dir, "go.sum", "")
			write(t, dir, "main.go", "package main")
			version, before, err := c.identity(source, tool)
			if err != nil || version != "v1.0.0" {
				t.Fatalf("identity() = %q, _, %v, want v1.0.0", version, err)
			}
			tc.change(t, dir, &c, &tool)
			_, after, err := c.identity(source, tool)
			if err != nil {
				t.Fatal(err)
			}
			if same := before == after; same != tc.same {
				t.Errorf("same key: %v, want %v", same, tc.same)
			}
		})
	}
}

// file is a change that writes a file.
func file(name, text string) func(*testing.T, string, *Component, *toolchain) {
	return func(t *testing.T, dir string, _ *Component, _ *toolchain) {
		t.Helper()
		write(t, dir, name, text)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestIsPackagePath(t *testing.T) {
	tests := map[string]bool{
		"k8s.io/api/core/v1":                      true,
		"internal/abi":                            true,
		"# k8s.io/api/core/v1":                    false,
		"./main.go:65:6: assignment mismatch":     false,
		"go: finding module for package k8s.io/x": false,
		"":                            false,
		"\tmore about the line above": false,
	}
	for line, want := range tests {
		if got := isPackagePath(line); got != want {
			t.Errorf("isPackagePath(%q) = %v, want %v", line, got, want)
		}
	}
}

func TestEveryBinaryHasOneHome(t *testing.T) {
	components, err := Components(All)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, c := range components {
		for _, f := range append(append([]string{}, c.Outputs...), c.Links...) {
			if other, ok := seen[f]; ok {
				t.Errorf("%s is built by %s and %s", f, other, c.Name)
			}
			seen[f] = c.Name
		}
	}
	if _, err := Components("everything"); err == nil || !strings.Contains(err.Error(), "control-plane") {
		t.Errorf("Components(everything) = %v, want an error that names the groups", err)
	}
}
