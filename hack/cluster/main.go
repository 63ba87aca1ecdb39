// Command cluster builds and runs a real single-node Kubernetes on a bare
// Linux machine, from Go modules and a few Debian packages: no Docker, no
// image registry. See docs/guides/local-cluster.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/build"
	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/node"
	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/progress"
)

const usage = `cluster runs a single-node Kubernetes on this machine.

Usage: go run -C hack/cluster . COMMAND [flags]

  up       build what is missing and start the cluster (needs root)
  down     stop it and remove everything but the binaries (needs root)
  load     load image tarballs into it: load FILE.tar ...
  status   say what runs
  build    build the binaries only: build [--only control-plane|node|all]
  env      print shell exports of KUBECONFIG and KUBEBUILDER_ASSETS

Every command takes -h.
`

// app is what every command works with.
type app struct {
	home     string // cache and state, shared by all checkouts of a user
	progress *progress.Printer
}

// usageError is a wrong command line; main answers it with status 2.
type usageError struct{ error }

func main() {
	if os.Args[0] == node.InitName {
		runInit(os.Args[1:])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var wrong usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Print(usage)
		return nil
	}
	commands := map[string]func(context.Context, []string) error{
		"up": upCommand, "down": downCommand, "load": loadCommand,
		"status": statusCommand, "build": buildCommand, "env": envCommand,
	}
	command, ok := commands[args[0]]
	if !ok {
		return usageError{fmt.Errorf("unknown command %q\n\n%s", args[0], usage)}
	}
	return command(ctx, args[1:])
}

// flags returns a flag set with what all commands share.
func flags(name string, a *app) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	home := os.Getenv("UPLOADTENANT_HOME")
	if home == "" {
		if dir, err := os.UserHomeDir(); err == nil {
			home = filepath.Join(dir, ".cache", "uploadtenant")
		}
	}
	f.StringVar(&a.home, "home", home, "folder for binaries and cluster `state` ($UPLOADTENANT_HOME)")
	a.progress = progress.New(os.Stderr)
	return f
}

// parse reads a command's flags and makes the home folder usable.
func (a *app) parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	if a.home == "" {
		return usageError{errors.New("HOME is not set: name a folder with --home or UPLOADTENANT_HOME")}
	}
	home, err := filepath.Abs(a.home)
	a.home = home
	return err
}

func (a *app) builder() (*build.Builder, error) {
	source, err := sourceDir()
	if err != nil {
		return nil, err
	}
	return &build.Builder{Source: source, Cache: filepath.Join(a.home, "bin"), Progress: a.progress}, nil
}

func buildCommand(ctx context.Context, args []string) error {
	var a app
	f := flags("build", &a)
	only := f.String("only", string(build.All), "`group` to build: control-plane (all that envtest needs), node or all")
	if err := a.parse(f, args); err != nil {
		return err
	}
	b, err := a.builder()
	if err != nil {
		return err
	}
	set, err := b.Build(ctx, build.Group(*only))
	if err != nil {
		return err
	}
	fmt.Println(set.Dir)
	return nil
}

// sourceDir finds hack/cluster: above the working folder, or where this
// program was compiled from.
func sourceDir() (string, error) {
	var tried []string
	if dir, err := os.Getwd(); err == nil {
		for ; ; dir = filepath.Dir(dir) {
			tried = append(tried, dir, filepath.Join(dir, "hack", "cluster"))
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	if _, file, _, ok := runtime.Caller(0); ok {
		tried = append(tried, filepath.Dir(file))
	}
	for _, dir := range tried {
		if _, err := os.Stat(filepath.Join(dir, "kube", "go.mod")); err == nil && strings.HasSuffix(dir, filepath.Join("hack", "cluster")) {
			return dir, nil
		}
	}
	return "", errors.New("cannot find the folder hack/cluster: run this from a checkout of uploadtenant")
}
