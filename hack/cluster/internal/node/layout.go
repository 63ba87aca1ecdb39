// Package node is the single node of the cluster: its files, its processes and
// the init process that keeps them running inside namespaces of their own.
package node

import "path/filepath"

// Addresses of the cluster. They live in a network namespace; the host sees
// only the veth pair and three routes through it.
const (
	Name        = "uploadtenant" // the node's name in the cluster
	Link        = "uploadtenant0"
	HostIP      = "10.99.0.1"
	NodeIP      = "10.99.0.2"
	NodeNet     = "10.99.0.0/24"
	PodNet      = "10.244.0.0/24"
	ServiceNet  = "10.96.0.0/16"
	APIAddress  = "10.96.0.1" // the first address of ServiceNet, by definition
	DNSAddress  = "10.96.0.10"
	Server      = "https://" + NodeIP + ":6443"
	Issuer      = "https://kubernetes.default.svc" // of service account tokens
	PauseImage  = "docker.io/uploadtenant/pause:1"
	CgroupRoot  = "/uploadtenant"
	cniBinaries = "/usr/lib/cni" // Debian's containernetworking-plugins
)

// InitName is the name under which the init process shows in a process list,
// and by which it is found again.
const InitName = "uploadtenant-node"

// Layout names the files of one cluster below its state folder.
type Layout struct {
	State    string
	Binaries string
}

func (l Layout) path(parts ...string) string {
	return filepath.Join(append([]string{l.State}, parts...)...)
}

// Kubeconfig is the administrator's kubeconfig.
func (l Layout) Kubeconfig() string { return l.path("kubeconfig") }

// Socket is containerd's socket.
func (l Layout) Socket() string { return l.path("containerd.sock") }

// Log is the log file of a process; "node" is the init process.
func (l Layout) Log(process string) string { return l.path("log", process+".log") }

// Binary is the path of an executable.
func (l Layout) Binary(name string) string { return filepath.Join(l.Binaries, name) }
