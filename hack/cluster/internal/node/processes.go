package node

// Process is one long-running program of the node.
type Process struct {
	Name string // also the name of its log file
	Args []string
	// AfterAPI processes are started when the API server answers, so that
	// they do not fill their logs with retries.
	AfterAPI bool
}

// Processes lists what the node runs, in the order of starting.
func Processes(l Layout) []Process {
	pki := func(name string) string { return l.path("pki", name) }
	return []Process{
		{Name: "etcd", Args: []string{
			"--data-dir=" + l.path("etcd"),
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380",
			// A power cut may cost this cluster its data; it is made anew then.
			"--unsafe-no-fsync",
		}},
		{Name: "containerd", Args: []string{"--config=" + l.path("containerd.toml")}},
		{Name: "kube-apiserver", Args: []string{
			"--etcd-servers=http://127.0.0.1:2379",
			"--bind-address=0.0.0.0", "--secure-port=6443", "--advertise-address=" + NodeIP,
			"--service-cluster-ip-range=" + ServiceNet,
			"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
			"--client-ca-file=" + pki("ca.crt"),
			"--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
			"--service-account-issuer=" + Issuer,
			"--service-account-jwks-uri=" + Issuer + "/openid/v1/jwks",
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
			"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet.key"),
			// Otherwise `kubectl logs` asks the host's name server for the node's name.
			"--kubelet-preferred-address-types=InternalIP",
			"--cert-dir=" + l.path("pki"),
		}},
		{Name: "kube-controller-manager", AfterAPI: true, Args: []string{
			"--kubeconfig=" + pki("controller-manager.kubeconfig"),
			"--service-account-private-key-file=" + pki("sa.key"), "--root-ca-file=" + pki("ca.crt"),
			"--use-service-account-credentials",
			"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"),
			"--leader-elect=false", "--bind-address=127.0.0.1", "--cert-dir=" + l.path("pki"),
		}},
		{Name: "kube-scheduler", AfterAPI: true, Args: []string{
			"--kubeconfig=" + pki("scheduler.kubeconfig"),
			"--leader-elect=false", "--bind-address=127.0.0.1", "--cert-dir=" + l.path("pki"),
		}},
		{Name: "kubelet", AfterAPI: true, Args: []string{
			"--config=" + l.path("kubelet.yaml"), "--kubeconfig=" + pki("node.kubeconfig"),
			"--hostname-override=" + Name, "--node-ip=" + NodeIP,
			"--root-dir=" + l.path("kubelet"), "--cert-dir=" + l.path("pki"),
		}},
		{Name: "kube-proxy", AfterAPI: true, Args: []string{"--config=" + l.path("proxy.yaml")}},
	}
}
