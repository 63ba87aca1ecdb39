package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Node is a running init process of a cluster.
type Node struct {
	PID   int
	Args  []string
	Began time.Time
}

// FindNodes looks through the process list for init processes, which are known
// by their name. There is no PID file that could be stale.
func FindNodes(name string) ([]Node, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []Node
	for _, dir := range dirs {
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue // ended in the meantime
		}
		args := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || args[0] != name || pid == os.Getpid() {
			continue
		}
		n := Node{PID: pid, Args: args[1:]}
		if info, err := os.Stat(dir); err == nil {
			n.Began = info.ModTime()
		}
		found = append(found, n)
	}
	return found, nil
}

// KillNode ends an init process. The kernel ends everything inside its process
// namespace with it, and KillNode returns when that is done.
func KillNode(n Node) error {
	if err := syscall.Kill(n.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end the node process %d: %w", n.PID, err)
	}
	// A zombie has no command line any more: it is found by nobody, and its
	// namespace is already empty.
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n.PID)); len(cmdline) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the node process %d does not end; look at /proc/%d/stack", n.PID, n.PID)
}
