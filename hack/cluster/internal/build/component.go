// Package build makes the binaries of the cluster from Go modules and keeps
// them in a cache whose key is everything they are made from.
package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// Component is one Go module below hack/cluster that is built with one
// go command.
type Component struct {
	Name     string   // folder below hack/cluster, and prefix of the cache folder
	Title    string   // for people
	Module   string   // the module whose version names the component
	Packages []string // what to build, as the go command takes it
	Tags     string
	Outputs  []string // files that the build leaves
	Links    []string // further names of Outputs[0]
	// Stamp gives further linker flags for the version in go.mod.
	Stamp func(version string) string
}

// Group is a set of components that are used together.
type Group string

// The groups that `build --only` knows.
const (
	ControlPlane Group = "control-plane" // kube-apiserver, etcd, kubectl: all that envtest needs
	Node         Group = "node"          // the above, containerd and its helpers
	All          Group = "all"           // the above and CoreDNS
)

const containerdModule = "github.com/containerd/containerd/v2"

func kube() Component {
	return Component{
		Name: "kube", Title: "Kubernetes", Module: "k8s.io/kubernetes", Packages: []string{"."},
		Outputs: []string{"kube"},
		Links:   []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"},
		Stamp: func(version string) string {
			const v = "k8s.io/component-base/version"
			major, minor := "", ""
			if parts := strings.Split(strings.TrimPrefix(version, "v"), "."); len(parts) > 1 {
				major, minor = parts[0], parts[1]
			}
			return fmt.Sprintf("-X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s", v, version, v, major, v, minor)
		},
	}
}

func etcd() Component {
	return Component{
		Name: "etcd", Title: "etcd", Module: "go.etcd.io/etcd/server/v3",
		Packages: []string{"go.etcd.io/etcd/server/v3"}, Outputs: []string{"etcd"},
	}
}

func containerd() Component {
	return Component{
		Name: "containerd", Title: "containerd", Module: containerdModule,
		Packages: []string{
			containerdModule + "/cmd/containerd",
			containerdModule + "/cmd/containerd-shim-runc-v2",
			containerdModule + "/cmd/ctr",
		},
		// The three snapshotters need C libraries; overlayfs is what is used.
		Tags:    "no_btrfs,no_devmapper,no_zfs",
		Outputs: []string{"containerd", "containerd-shim-runc-v2", "ctr"},
	}
}

func coreDNS() Component {
	return Component{
		Name: "coredns", Title: "CoreDNS", Module: "github.com/coredns/coredns",
		Packages: []string{"."}, Outputs: []string{"coredns"},
	}
}

func pause() Component {
	return Component{
		Name: "pause", Title: "pause", Packages: []string{"."}, Outputs: []string{"pause"},
	}
}

// Components returns what a group consists of.
func Components(g Group) ([]Component, error) {
	switch g {
	case ControlPlane:
		return []Component{kube(), etcd()}, nil
	case Node:
		return []Component{kube(), etcd(), containerd()}, nil
	case All:
		return []Component{kube(), etcd(), containerd(), coreDNS(), pause()}, nil
	}
	return nil, fmt.Errorf("unknown group %q: use %s, %s or %s", g, ControlPlane, Node, All)
}

// toolchain is what besides the sources decides about a binary.
type toolchain struct{ version, arch string }

// identity returns the version in the component's go.mod and a key over
// everything that the binary is made from.
func (c Component) identity(source string, tc toolchain) (version, key string, err error) {
	dir := filepath.Join(source, c.Name)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", "", err
	}
	sort.Strings(files)
	sum := sha256.New()
	fmt.Fprintln(sum, tc.version, tc.arch, c.Packages, c.Tags, c.Links)
	for _, name := range files {
		base := filepath.Base(name)
		if base != "go.mod" && base != "go.sum" && (filepath.Ext(base) != ".go" || strings.HasSuffix(base, "_test.go")) {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return "", "", err
		}
		fmt.Fprintln(sum, base, len(data))
		sum.Write(data)
		if base == "go.mod" && c.Module != "" {
			version = requiredVersion(string(data), c.Module)
		}
	}
	if c.Module != "" && version == "" {
		return "", "", fmt.Errorf("%s does not require %s", filepath.Join(dir, "go.mod"), c.Module)
	}
	return version, hex.EncodeToString(sum.Sum(nil))[:12], nil
}

// requiredVersion finds the version that a go.mod requires of a module.
func requiredVersion(gomod, module string) string {
	re := regexp.MustCompile(`(?m)^\s*(?:require\s+)?` + regexp.QuoteMeta(module) + `\s+(v\S+)`)
	if m := re.FindStringSubmatch(gomod); m != nil {
		return m[1]
	}
	return ""
}
