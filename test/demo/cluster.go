package demo

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// LocalKubeconfig is where hack/cluster keeps the kubeconfig of its cluster.
func LocalKubeconfig() string {
	home := os.Getenv("UPLOADTENANT_HOME")
	if home == "" {
		if dir, err := os.UserHomeDir(); err == nil {
			home = filepath.Join(dir, ".cache", "uploadtenant")
		}
	}
	return filepath.Join(home, "cluster", "kubeconfig")
}

// startCluster connects to the cluster, and starts the local one when no other was named.
func (d *Demo) startCluster(ctx context.Context) error {
	if d.local {
		if _, err := d.command(ctx, "run", "-C", "hack/cluster", ".", "up"); err != nil {
			return err
		}
		d.say("its own: a single node on this machine, `make cluster-down` stops it")
	}
	return d.Connect()
}

// Connect makes the clients for the cluster. It is part of the first step; `down` calls it alone.
func (d *Demo) Connect() error {
	path := d.opts.Kubeconfig
	if d.local {
		path = LocalKubeconfig()
	}
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: filepath.SplitList(path)}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return fmt.Errorf("read the kubeconfig %s: %w", path, err)
	}
	// The demo is one impatient client of a small cluster.
	config.QPS, config.Burst = 50, 100
	config.WarningHandler = rest.NoWarnings{}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	d.config = config
	if d.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	d.net, err = newNetwork(config)
	return err
}

// environment is how a person's shell reaches the same cluster.
func (d *Demo) environment() string {
	if d.local {
		return `eval "$(go run -C hack/cluster . env)"`
	}
	return "export KUBECONFIG=" + d.opts.Kubeconfig
}

// buildImages builds the images and brings them to the cluster: into the node's store, or to the registry.
func (d *Demo) buildImages(ctx context.Context) error {
	args := []string{"run", "-C", "hack/images", "."}
	if !d.local {
		args = append(args, "--push", d.opts.Registry)
	}
	out, err := d.command(ctx, args...)
	if err != nil {
		return err
	}
	var tarballs []string
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		// name reference [tarball]
		f := strings.Fields(lines.Text())
		if len(f) < 2 {
			return fmt.Errorf("hack/images printed %q", lines.Text())
		}
		d.images[f[0]] = f[1]
		d.say("%s", f[1])
		if len(f) > 2 {
			tarballs = append(tarballs, f[2])
		}
	}
	if d.local {
		_, err = d.command(ctx, append([]string{"run", "-C", "hack/cluster", ".", "load"}, tarballs...)...)
	}
	return err
}

// command runs go in the checkout. What it says about its progress goes to the person; its standard
// output is returned.
func (d *Demo) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = d.opts.Root
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.kubeconfig())
	var stdout bytes.Buffer
	said := &indenter{out: d.opts.Out}
	cmd.Stdout, cmd.Stderr = &stdout, said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w%s", strings.Join(args, " "), err, said.hint())
	}
	return stdout.String(), nil
}

func (d *Demo) kubeconfig() string {
	if d.local {
		return LocalKubeconfig()
	}
	return d.opts.Kubeconfig
}

// indenter passes whole lines on, shifted to the right, and keeps the last one.
type indenter struct {
	out  interface{ Write([]byte) (int, error) }
	line []byte
	last string
}

func (w *indenter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b != '\n' {
			w.line = append(w.line, b)
			continue
		}
		if !bytes.HasPrefix(w.line, []byte("exit status")) { // go run says so last
			w.last = string(w.line)
		}
		if _, err := fmt.Fprintf(w.out, "   | %s\n", w.line); err != nil {
			return 0, err
		}
		w.line = w.line[:0]
	}
	return len(p), nil
}

func (w *indenter) hint() string {
	if w.last == "" {
		return ""
	}
	return " (its last words: " + strings.TrimSpace(w.last) + ")"
}
