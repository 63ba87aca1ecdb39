// Command images builds the container images of this repository without a
// container engine: static binaries on an empty base, user 65532, no shell.
// It writes tarballs that `docker load` and `hack/cluster load` read, or
// pushes to a registry.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/uploadtenant/uploadtenant/hack/images/image"
)

// source is where the code of an image lives.
const source = "https://github.com/uploadtenant/uploadtenant"

// product is one image of the repository.
type product struct {
	name  string
	pkg   string // main package, relative to the repository
	title string
	ports []string
}

var products = []product{
	{"manager", "./cmd/manager", "Controllers of uploadtenant", []string{"8080/tcp", "8081/tcp"}},
	{"signer", "./cmd/signer", "Grants uploads of one tenant and records them", []string{"8080/tcp", "8081/tcp"}},
	{"emulator", "./cmd/emulator", "Alibaba Cloud OSS, RAM and STS for demos and tests", []string{"9000/tcp", "9001/tcp"}},
	{"demo-receiver", "./test/demo/receiver", "Receives the events of make demo and make e2e", []string{"8080/tcp"}},
	{"demo-load", "./test/demo/load", "Uploads without end, for make e2e", []string{"8080/tcp"}},
}

// options of one run.
type options struct {
	out, repository, tag, push, arch, only string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.out, "out", "", "`folder` for the tarballs (default .cache/images of the checkout)")
	flag.StringVar(&o.repository, "repository", "docker.io/uploadtenant", "registry and `path` that the images are named after")
	flag.StringVar(&o.tag, "tag", "dev", "tag of the images")
	flag.StringVar(&o.push, "push", "", "push to this registry and `path` instead of writing tarballs, for example registry.cn-hangzhou.aliyuncs.com/team; credentials are those of `docker login`")
	flag.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture of the images")
	flag.StringVar(&o.only, "only", "", "comma-separated `names` of the images to build (default all)")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	began := time.Now()
	root, err := repositoryRoot()
	if err != nil {
		return err
	}
	if o.out == "" {
		o.out = filepath.Join(root, ".cache", "images")
	}
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	binaries := filepath.Join(o.out, "bin", o.arch)
	if err := compile(ctx, root, binaries, o.arch, chosen); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%7s  built %d binaries\n", time.Since(began).Round(100*time.Millisecond), len(chosen))
	revision := describe(ctx, root)
	for _, p := range chosen {
		img, err := image.Build(image.Spec{
			Binary: filepath.Join(binaries, p.name), Arch: o.arch, Ports: p.ports,
			Labels: map[string]string{
				"org.opencontainers.image.title":       "uploadtenant " + p.name,
				"org.opencontainers.image.description": p.title,
				"org.opencontainers.image.source":      source,
				"org.opencontainers.image.licenses":    "Apache-2.0",
				"org.opencontainers.image.revision":    revision,
			},
		})
		if err != nil {
			return fmt.Errorf("pack %s: %w", p.name, err)
		}
		if err := deliver(ctx, o, p, img); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "%7s  packed %d images\n", time.Since(began).Round(100*time.Millisecond), len(chosen))
	return nil
}

// deliver writes or pushes one image under two tags: the wanted one and one
// that names the content, so that a Deployment changes when the image does. It
// prints the product, the second reference and the tarball for other programs.
func deliver(ctx context.Context, o options, p product, img v1.Image) error {
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(o.repository, "/") + "/" + p.name + ":"
	if o.push != "" {
		base = strings.TrimSuffix(o.push, "/") + "/" + p.name + ":"
	}
	refs := []string{base + o.tag, base + o.tag + "-" + digest.Hex[:12]}
	if o.push != "" {
		if err := push(ctx, img, refs); err != nil {
			return err
		}
		fmt.Println(p.name, refs[1])
		return nil
	}
	path := filepath.Join(o.out, p.name+".tar")
	if err := saveIfNew(path, refs, img); err != nil {
		return err
	}
	fmt.Println(p.name, refs[1], path)
	return nil
}

func push(ctx context.Context, img v1.Image, refs []string) error {
	for _, r := range refs {
		ref, err := name.NewTag(r)
		if err != nil {
			return fmt.Errorf("--push: %w", err)
		}
		if err := remote.Write(ref, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return fmt.Errorf("push %s: %w (log in with `docker login`, or check that the registry takes this name)", ref, err)
		}
	}
	return nil
}

// saveIfNew leaves a tarball alone that already holds the image: the note
// beside it says which one it is, and is written last.
func saveIfNew(path string, refs []string, img v1.Image) error {
	note, want := path+".refs", []byte(strings.Join(refs, "\n")+"\n")
	if have, err := os.ReadFile(note); err == nil && bytes.Equal(have, want) {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
	}
	if err := image.Save(path, img, refs...); err != nil {
		return err
	}
	return os.WriteFile(note, want, 0o644)
}

func choose(only string) ([]product, error) {
	if only == "" {
		return products, nil
	}
	var chosen []product
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(products, func(p product) bool { return p.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no image %q: choose of manager, signer, emulator, demo-receiver, demo-load", name)
		}
		chosen = append(chosen, products[i])
	}
	return chosen, nil
}

// compile builds the binaries so that equal sources give equal bytes on every
// machine: no paths, no build ids of a version control system, no symbols.
func compile(ctx context.Context, root, out, arch string, chosen []product) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, p := range chosen {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(out, p.name), p.pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=", "GOWORK=off")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", p.pkg, err, output)
		}
	}
	return nil
}

// describe names the sources of the images: the commit, and whether the
// checkout had changes. Outside a git checkout it is "unknown".
func describe(ctx context.Context, root string) string {
	git := func(args ...string) string {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	commit := git("rev-parse", "HEAD")
	switch {
	case commit == "":
		return "unknown"
	case git("status", "--porcelain") != "":
		return commit + "-dirty"
	}
	return commit
}

// repositoryRoot finds the checkout above the working folder.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "hack", "images", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return "", errors.New("run this inside a checkout of uploadtenant")
}
