package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// requirement is a file that must exist, and the Debian package that has it.
type requirement struct {
	file    string // a path, or the name of a program in PATH
	debian  string
	purpose string
}

// Requirements of a node, beyond what is built from source. runc must know
// seccomp, which needs a C library: Debian's does.
var requirements = []requirement{
	{"runc", "runc", "runs the containers"},
	{"/usr/lib/cni/ptp", "containernetworking-plugins", "connects the pods"},
	{"/usr/lib/cni/host-local", "containernetworking-plugins", "gives the pods their addresses"},
	{"/usr/lib/cni/loopback", "containernetworking-plugins", "gives the pods their loopback"},
	{"nft", "nftables", "carries the Services"},
	{"ip", "iproute2", "connects the node"},
	{"mount", "mount", "mounts the pods' volumes"},
}

// sbin is searched besides PATH: the PATH of a user may lack it.
var sbin = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

func (r requirement) met() bool {
	if strings.HasPrefix(r.file, "/") {
		_, err := os.Stat(r.file)
		return err == nil
	}
	if _, err := exec.LookPath(r.file); err == nil {
		return true
	}
	for _, dir := range sbin {
		if _, err := os.Stat(dir + "/" + r.file); err == nil {
			return true
		}
	}
	return false
}

// Missing returns the Debian packages that are still needed, and for people a
// line about each.
func Missing() (packages, reasons []string) {
	seen := map[string]bool{}
	for _, r := range requirements {
		if r.met() || seen[r.debian] {
			continue
		}
		seen[r.debian] = true
		packages = append(packages, r.debian)
		reasons = append(reasons, fmt.Sprintf("%s (%s)", r.file, r.purpose))
	}
	return packages, reasons
}

// HasApt reports whether packages can be installed the Debian way.
func HasApt() bool {
	_, err := exec.LookPath("apt-get")
	return err == nil
}

// Install installs Debian packages, without recommendations and without
// starting or asking anything.
func Install(ctx context.Context, packages []string) error {
	run := func(args ...string) error {
		var out bytes.Buffer
		// A mirror may fail for a moment; the lock waits for an apt that somebody else runs.
		args = append([]string{"-q", "-o", "Acquire::Retries=5", "-o", "DPkg::Lock::Timeout=600"}, args...)
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = io.Discard, &out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(out.String()))
		}
		return nil
	}
	// A list that cannot be renewed may still be good enough.
	updated := run("update")
	err := run(append([]string{"install", "-y", "--no-install-recommends"}, packages...)...)
	if err != nil {
		return errors.Join(err, updated)
	}
	return nil
}

// CheckKernel reports what the kernel lacks.
func CheckKernel() error {
	read := func() string {
		data, err := os.ReadFile("/proc/filesystems")
		if err != nil {
			return ""
		}
		return string(data)
	}
	if strings.Contains(read(), "\toverlay\n") {
		return nil
	}
	// It may be a module that nobody has loaded yet.
	_ = exec.Command("modprobe", "overlay").Run()
	if !strings.Contains(read(), "\toverlay\n") {
		return errors.New("the kernel has no overlay file system: load the module with `modprobe overlay`, or use a kernel that has it")
	}
	return nil
}
