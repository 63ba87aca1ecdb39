package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// process is a running manager.
type process struct {
	cmd            *exec.Cmd
	metrics, ready string
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// account is an account of the cloud, each an emulator of its own: RAM takes 1,000 roles of an account.
type account struct {
	name, id       string
	ossURL, apiURL string
}

func (b *bench) startEmulator(ctx context.Context, i int) error {
	a := account{name: "default", id: fmt.Sprintf("12345678901234%02d", i)}
	if i > 0 {
		a.name = fmt.Sprintf("account-%d", i)
	}
	oss, err := freeAddress()
	if err != nil {
		return err
	}
	api, err := freeAddress()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, "emulator"),
		"--oss-addr", oss, "--api-addr", api, "--access-key", accessKeyID+":"+accessKeySecret, "--account-id", a.id)
	if err := cmd.Start(); err != nil {
		return err
	}
	b.processes = append(b.processes, cmd)
	a.ossURL, a.apiURL = "http://"+oss, "http://"+api
	b.accounts = append(b.accounts, a)
	// While it starts, nobody answers.
	return poll(ctx, func() (bool, error) { return b.faults(ctx, usual) == nil, ctx.Err() })
}

// startManager makes a new manager the one to measure.
func (b *bench) startManager(ctx context.Context) error {
	started, err := b.launchManager(ctx, "--pprof-bind-address", b.profile)
	b.manager = started
	return err
}

func (b *bench) launchManager(ctx context.Context, args ...string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	probes, err := freeAddress()
	if err != nil {
		return nil, err
	}
	kubeconfig, err := b.kubeconfig()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, "manager"),
		"--kubeconfig", kubeconfig, "--metrics-bind-address", address, "--health-probe-bind-address", probes,
		"--namespace", "uploadtenant-system", "--log-level", "ERROR", "--signer-image", "signer:bench")
	cmd.Env = append(os.Environ(), "ALIBABA_CLOUD_ACCESS_KEY_ID="+accessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+accessKeySecret)
	cmd.Args = append(cmd.Args, args...)
	log, err := os.Create(filepath.Join(b.dir, fmt.Sprintf("manager-%d.log", len(b.processes))))
	if err != nil {
		return nil, err
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.processes = append(b.processes, cmd)
	p := &process{cmd: cmd, metrics: "http://" + address + "/metrics", ready: "http://" + probes + "/readyz"}
	return p, poll(ctx, func() (bool, error) {
		_, err := p.counters(ctx)
		return err == nil, nil
	})
}

// warm waits until a standby manager is ready: it has read what it needs.
func (p *process) warm(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.ready, nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, ctx.Err() // it is starting
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
}

func (b *bench) kubeconfig() (string, error) {
	c := clientcmdapi.NewConfig()
	c.Clusters["bench"] = &clientcmdapi.Cluster{Server: b.cluster.Host, CertificateAuthorityData: b.cluster.CAData}
	c.AuthInfos["bench"] = &clientcmdapi.AuthInfo{ClientCertificateData: b.cluster.CertData, ClientKeyData: b.cluster.KeyData}
	c.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "bench"}
	c.CurrentContext = "bench"
	file := filepath.Join(b.dir, "kubeconfig")
	return file, clientcmd.WriteToFile(*c, file)
}

// stop ends the manager as a kubelet would.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

func (b *bench) close() {
	for _, cmd := range b.processes {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// rss is the resident memory of the manager in MiB.
func (p *process) rss() (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmRSS of process %d", p.cmd.Process.Pid)
}

// counters are what the manager's metrics tell since its start.
type counters struct{ calls, cloudWrites, apiWrites float64 }

func (p *process) counters(ctx context.Context) (counters, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.metrics, nil)
	if err != nil {
		return counters{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return counters{}, err
	}
	defer response.Body.Close()
	return parse(response.Body)
}

func parse(metrics io.Reader) (c counters, err error) {
	lines := bufio.NewScanner(metrics)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "} ")
		if !ok {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(name, "uploadtenant_cloud_call_duration_seconds_count"):
			c.calls += number
			_, operation, _ := strings.Cut(name, `operation="`)
			_, verb, _ := strings.Cut(operation, ":")
			if !strings.HasPrefix(verb, "Get") && !strings.HasPrefix(verb, "List") && !strings.HasPrefix(verb, "Assume") {
				c.cloudWrites += number
			}
		case strings.HasPrefix(name, "rest_client_requests_total") && !strings.Contains(name, `method="GET"`):
			c.apiWrites += number
		}
	}
	return c, lines.Err()
}

// poll asks every 50 ms, for ten minutes.
func poll(ctx context.Context, reached func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if ok, err := reached(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errTimeout
		case <-time.After(50 * time.Millisecond):
		}
	}
}
