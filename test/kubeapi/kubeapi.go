// Package kubeapi starts a real kube-apiserver with etcd for tests, with the CRDs of config/crd installed.
package kubeapi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Main runs the tests of a package with one API server, which it stops afterwards. use starts what the
// tests need beside it; its context ends before the API server does. TestMain calls it:
//
//	func TestMain(m *testing.M) { os.Exit(kubeapi.Main(m, use)) }
func Main(m *testing.M, use func(context.Context, *rest.Config) error) int {
	cfg, stop, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the API server:", err)
		return 1
	}
	defer func() {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the API server:", err)
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := use(ctx, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "prepare the tests:", err)
		return 1
	}
	return m.Run()
}

// How long a machine that compiles everything else meanwhile may take; envtest would give up after 20 and 10
// seconds.
const (
	startPatience = 2 * time.Minute
	patience      = time.Minute
)

// attempts at a start. The ports are chosen before anybody listens on them, so that another process may take
// one meanwhile, and envtest insists on those that it chose.
const attempts = 3

// Start starts an API server and returns its address and the function that stops it.
func Start() (*rest.Config, func() error, error) {
	log.SetLogger(logr.Discard())
	root, err := repositoryRoot()
	if err != nil {
		return nil, nil, err
	}
	assets, err := assets(root)
	if err != nil {
		return nil, nil, err
	}
	var failures []error
	for range attempts {
		cfg, stop, err := start(root, assets)
		if err == nil {
			return cfg, stop, nil
		}
		failures = append(failures, err)
	}
	return nil, nil, errors.Join(failures...)
}

func start(root, assets string) (*rest.Config, func() error, error) {
	env := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDInstallOptions:        envtest.CRDInstallOptions{MaxTime: patience},
		CRDDirectoryPaths:        []string{filepath.Join(root, "config", "crd")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startPatience,
		ControlPlaneStopTimeout:  patience,
	}
	// The default range holds 254 Services, which a benchmark with 1,000 tenants would exhaust.
	env.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.0.0.0/16")
	cfg, err := env.Start()
	if err != nil {
		return nil, nil, errors.Join(err, env.Stop())
	}
	return cfg, env.Stop, nil
}

// assets is the folder with kube-apiserver and etcd: KUBEBUILDER_ASSETS, else what hack/cluster builds,
// which takes minutes the first time and nothing afterwards.
func assets(root string) (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	build := exec.Command("go", "run", "-C", filepath.Join(root, "hack", "cluster"), ".", "build", "--only", "control-plane")
	build.Stderr = os.Stderr
	out, err := build.Output()
	if err != nil {
		return "", fmt.Errorf("build kube-apiserver and etcd: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1], nil
}

func repositoryRoot() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("the test binary does not know its source")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file))), nil
}
