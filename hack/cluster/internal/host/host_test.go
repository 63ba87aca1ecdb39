package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestHierarchies(t *testing.T) {
	tests := map[string]struct {
		mounts string
		want   []hierarchy
	}{
		"version 1": {
			"tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n",
			[]hierarchy{{dir: "/sys/fs/cgroup/cpu"}, {dir: "/sys/fs/cgroup/memory"}},
		},
		"version 2": {"cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", []hierarchy{{dir: "/sys/fs/cgroup", v2: true}}},
		"both": {
			"cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
			[]hierarchy{{dir: "/sys/fs/cgroup/cpu"}, {dir: "/sys/fs/cgroup/unified", v2: true}},
		},
		"elsewhere": {"cgroup2 /mnt/other cgroup2 rw 0 0\n", nil},
		"none":      {"proc /proc proc rw 0 0\nshort\n", nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := hierarchies(tc.mounts); !slices.Equal(got, tc.want) {
				t.Errorf("hierarchies() = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRemoveGroupTakesChildrenFirst(t *testing.T) {
	root := filepath.Join(t.TempDir(), "group")
	if err := os.MkdirAll(filepath.Join(root, "pod", "container"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeGroup(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("the group is still there: %v", err)
	}
	if err := removeGroup(root); err != nil {
		t.Errorf("removing nothing = %v, want success", err)
	}
}

// A node is found by its name in the process list, and KillNode returns when
// it is gone.
func TestFindAndKillNode(t *testing.T) {
	name := fmt.Sprintf("uploadtenant-node-of-test-%d", os.Getpid()) // the process list is the whole machine's
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sleep)
	cmd.Args = []string{name, "300"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	nodes, err := FindNodes(name)
	if err != nil || len(nodes) != 1 || nodes[0].PID != cmd.Process.Pid || !slices.Equal(nodes[0].Args, []string{"300"}) {
		t.Fatalf("FindNodes() = %v, %v, want process %d with argument 300", nodes, err, cmd.Process.Pid)
	}
	if err := KillNode(nodes[0]); err != nil {
		t.Fatal(err)
	}
	<-ended
	if nodes, err := FindNodes(name); err != nil || len(nodes) != 0 {
		t.Errorf("FindNodes() after KillNode = %v, %v, want none", nodes, err)
	}
	if err := KillNode(Node{PID: cmd.Process.Pid}); err != nil {
		t.Errorf("killing a node that has ended = %v, want success", err)
	}
}

func TestRequirementMet(t *testing.T) {
	tests := map[string]struct {
		file string
		want bool
	}{
		"a program":         {"sh", true},
		"a path":            {"/proc/self/status", true},
		"a missing program": {"uploadtenant-no-such-program", false},
		"a missing path":    {"/nowhere/ptp", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (requirement{file: tc.file}).met(); got != tc.want {
				t.Errorf("met() = %v, want %v", got, tc.want)
			}
		})
	}
}
