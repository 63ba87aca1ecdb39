// Package host is what the cluster needs of, does to and takes back from the
// machine it runs on.
package host

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// CNICache is where the CNI library keeps its cache; the path is not
// configurable. The node mounts a folder of its own over it.
const CNICache = "/var/lib/cni"

// hierarchy is one mounted control group file system.
type hierarchy struct {
	dir string
	v2  bool
}

// hierarchies lists the mounted control group file systems: many with version
// 1, one with version 2, both on machines in between.
func hierarchies(mounts string) []hierarchy {
	var found []hierarchy
	for lines := bufio.NewScanner(strings.NewReader(mounts)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 3 || !strings.HasPrefix(f[1], "/sys/fs/cgroup") {
			continue
		}
		switch f[2] {
		case "cgroup":
			found = append(found, hierarchy{dir: f[1]})
		case "cgroup2":
			found = append(found, hierarchy{dir: f[1], v2: true})
		}
	}
	return found
}

func mountedHierarchies() ([]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	return hierarchies(string(mounts)), nil
}

// MakeCgroups creates the control group that the kubelet works below, in every
// hierarchy of the machine.
func MakeCgroups(name string) error {
	all, err := mountedHierarchies()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("no control group file system is mounted below /sys/fs/cgroup")
	}
	for _, h := range all {
		dir := filepath.Join(h.dir, name)
		if h.v2 {
			delegate(h.dir)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create %s: %w (the cluster needs to write control groups)", dir, err)
		}
		// A new cpuset of version 1 is empty and takes no process.
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			if data, err := os.ReadFile(filepath.Join(h.dir, f)); err == nil && !h.v2 {
				if err := os.WriteFile(filepath.Join(dir, f), data, 0o644); err != nil {
					return fmt.Errorf("fill %s: %w", filepath.Join(dir, f), err)
				}
			}
		}
		if h.v2 {
			delegate(dir)
		}
	}
	return nil
}

// delegate enables every controller for the children of a version 2 group.
// One that cannot be enabled is reported by the kubelet when it needs it.
func delegate(dir string) {
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(controllers)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644)
	}
}

// RemoveCgroups removes the control group and all below it. The processes in
// it must have ended; the kernel may take a moment to notice.
func RemoveCgroups(name string) error {
	all, err := mountedHierarchies()
	if err != nil {
		return err
	}
	var failed []error
	for _, h := range all {
		if err := removeGroup(filepath.Join(h.dir, name)); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func removeGroup(dir string) error {
	var groups []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Children sort after their parents, and must go first.
	sort.Sort(sort.Reverse(sort.StringSlice(groups)))
	for _, g := range groups {
		deadline := time.Now().Add(30 * time.Second)
		for {
			err := os.Remove(g)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("remove the control group: %w", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}
