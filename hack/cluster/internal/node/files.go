package node

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/pki"
)

// Prepare writes every file that the node's processes read. The state folder
// must be new or empty.
func Prepare(l Layout, now time.Time) error {
	for _, dir := range []string{"log", "etcd", "cni", "var-log", "var-lib-cni", "plugins", "sysctl"} {
		if err := os.MkdirAll(l.path(dir), 0o700); err != nil {
			return err
		}
	}
	if err := l.writePKI(now); err != nil {
		return fmt.Errorf("make keys and certificates: %w", err)
	}
	files := map[string]string{
		"containerd.toml":     containerdConfig,
		"kubelet.yaml":        kubeletConfig,
		"proxy.yaml":          proxyConfig,
		"cni/10-ptp.conflist": cniConfig,
		"resolv.conf":         "nameserver " + DNSAddress + "\n",
	}
	fill := strings.NewReplacer(
		"${STATE}", l.State, "${POD_NET}", PodNet, "${DNS}", DNSAddress, "${NODE}", Name,
		"${NODE_IP}", NodeIP, "${PAUSE}", PauseImage, "${CGROUP}", CgroupRoot, "${CNI}", cniBinaries,
	)
	for name, text := range files {
		if err := os.WriteFile(l.path(filepath.FromSlash(name)), []byte(fill.Replace(text)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (l Layout) writePKI(now time.Time) error {
	ca, err := pki.NewAuthority(l.path("pki"), now)
	if err != nil {
		return err
	}
	node, loopback, api := net.ParseIP(NodeIP), net.IPv4(127, 0, 0, 1), net.ParseIP(APIAddress)
	for _, s := range []pki.Subject{
		{
			File: "apiserver", CommonName: "kube-apiserver",
			Names: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"},
			IPs:   []net.IP{node, loopback, api},
		},
		{File: "apiserver-kubelet", CommonName: "kube-apiserver-kubelet-client", Organization: "system:masters"},
		{File: "admin", CommonName: "admin", Organization: "system:masters"},
		{File: "controller-manager", CommonName: "system:kube-controller-manager"},
		{File: "scheduler", CommonName: "system:kube-scheduler"},
		{File: "proxy", CommonName: "system:kube-proxy"},
		{File: "node", CommonName: "system:node:" + Name, Organization: "system:nodes", Names: []string{Name}, IPs: []net.IP{node}},
	} {
		if err := ca.Issue(s); err != nil {
			return err
		}
	}
	if err := ca.ServiceAccountKeys(); err != nil {
		return err
	}
	for _, s := range []string{"controller-manager", "scheduler", "proxy", "node"} {
		if err := ca.Kubeconfig(l.path("pki", s+".kubeconfig"), Server, s); err != nil {
			return err
		}
	}
	return ca.Kubeconfig(l.Kubeconfig(), Server, "admin")
}

// restrict_oom_score_adj: machines without CAP_SYS_RESOURCE cannot lower the
// score, and runc then fails with "can't get final child's PID from pipe".
const containerdConfig = `version = 3
root = "${STATE}/containerd"
state = "${STATE}/containerd-state"
[grpc]
  address = "${STATE}/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "${PAUSE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["${CNI}"]
    conf_dir = "${STATE}/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: ${CGROUP}
failCgroupV1: false
containerRuntimeEndpoint: unix://${STATE}/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: ${STATE}/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: ${STATE}/pki/node.crt
tlsPrivateKeyFile: ${STATE}/pki/node.key
volumePluginDir: ${STATE}/plugins
failSwapOn: false
oomScoreAdj: 0
resolvConf: ${STATE}/resolv.conf
clusterDNS: [${DNS}]
clusterDomain: cluster.local
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
syncFrequency: 10s
`

const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: ${STATE}/pki/proxy.kubeconfig}
clusterCIDR: ${POD_NET}
hostnameOverride: ${NODE}
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0}
nftables: {minSyncPeriod: 100ms} # the default second is made for thousands of Services
`

// ptp and not bridge: every packet between pods passes the routing of the
// node, so that Service addresses work without the br_netfilter module.
const cniConfig = `{"cniVersion":"1.0.0","name":"pods","plugins":[
 {"type":"ptp","ipMasq":false,"ipam":{"type":"host-local","dataDir":"${STATE}/ipam",
  "ranges":[[{"subnet":"${POD_NET}"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
`
