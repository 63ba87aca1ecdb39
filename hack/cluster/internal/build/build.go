package build

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/filelock"
	"github.com/uploadtenant/uploadtenant/hack/cluster/internal/progress"
)

// minFreeBytes is what a first build writes at most: modules, build cache and
// binaries together were measured at 4.6 GB.
const minFreeBytes = 6 << 30

// Builder builds components into a cache folder that several checkouts may
// share: what two of them build alike is built once.
type Builder struct {
	Source   string // the hack/cluster folder of a checkout
	Cache    string // folder for finished binaries
	Progress *progress.Printer
}

// Set is a folder that holds every binary of a group under its usual name.
type Set struct {
	Dir      string
	Versions map[string]string // title -> version, for people
	files    map[string]string
}

// Path returns the path of one binary of the set.
func (s Set) Path(name string) string { return filepath.Join(s.Dir, name) }

// Build makes the group's binaries, or finds them in the cache, and returns
// the folder that links them all.
func (b *Builder) Build(ctx context.Context, g Group) (Set, error) {
	components, err := Components(g)
	if err != nil {
		return Set{}, err
	}
	tc, err := b.toolchain(ctx)
	if err != nil {
		return Set{}, err
	}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return Set{}, fmt.Errorf("create the binary cache: %w", err)
	}
	set := Set{Versions: map[string]string{}, files: map[string]string{}}
	names := sha256.New()
	for _, c := range components {
		version, key, err := c.identity(b.Source, tc)
		if err != nil {
			return Set{}, fmt.Errorf("read the sources of %s: %w", c.Title, err)
		}
		dir := filepath.Join(b.Cache, strings.Trim(c.Name+"-"+version, "-")+"-"+key)
		if err := b.ensure(ctx, c, version, dir); err != nil {
			return Set{}, fmt.Errorf("build %s %s: %w", c.Title, version, err)
		}
		set.Versions[c.Title] = version
		for _, f := range c.Outputs {
			set.files[f] = filepath.Join(dir, f)
		}
		for _, f := range c.Links {
			set.files[f] = filepath.Join(dir, c.Outputs[0])
		}
		fmt.Fprintln(names, dir)
	}
	set.Dir = filepath.Join(b.Cache, string(g)+"-"+set.Versions["Kubernetes"]+"-"+hex.EncodeToString(names.Sum(nil))[:12])
	return set, b.link(set)
}

func (b *Builder) toolchain(ctx context.Context) (toolchain, error) {
	out, err := b.command(ctx, b.Source, "env", "GOVERSION", "GOHOSTARCH").Output()
	if err != nil {
		return toolchain{}, fmt.Errorf("run go: %w (Go 1.26 must be in PATH)", err)
	}
	f := strings.Fields(string(out))
	if len(f) != 2 {
		return toolchain{}, fmt.Errorf("go env printed %q", out)
	}
	return toolchain{version: f[0], arch: f[1]}, nil
}

// command prepares a go command whose result depends on the component's own
// go.mod alone: no workspace, no flags or targets of the caller.
func (b *Builder) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOOS=", "GOARCH=")
	return cmd
}

// ensure leaves the finished component in dir. The folder appears by one
// rename, so that a build that was cut off is never taken for a finished one.
func (b *Builder) ensure(ctx context.Context, c Component, version, dir string) error {
	if complete(c, dir) {
		return nil
	}
	lock, err := filelock.Acquire(ctx, filepath.Join(b.Cache, "."+c.Name+".lock"), func() {
		b.Progress.Say("waiting for another build of %s", c.Title)
	})
	if err != nil {
		return err
	}
	defer lock.Release()
	if complete(c, dir) {
		return nil
	}
	if err := checkFree(b.Cache); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(b.Cache, ".build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }() // gone already when all went well
	if err := b.compile(ctx, c, version, tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

func complete(c Component, dir string) bool {
	for _, f := range c.Outputs {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Size() == 0 {
			return false
		}
	}
	return true
}

func checkFree(dir string) error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return fmt.Errorf("look at the free space of %s: %w", dir, err)
	}
	if free := int64(s.Bavail) * s.Bsize; free < minFreeBytes {
		return fmt.Errorf("only %d MB are free below %s; the first build needs up to %d MB for modules, build cache and binaries",
			free>>20, dir, int64(minFreeBytes)>>20)
	}
	return nil
}

// compile runs the go command and turns its output into progress.
func (b *Builder) compile(ctx context.Context, c Component, version, out string) error {
	flags := []string{"-mod=readonly", "-buildvcs=false"}
	if c.Tags != "" {
		flags = append(flags, "-tags="+c.Tags)
	}
	dir := filepath.Join(b.Source, c.Name)
	step := b.Progress.Start("%s", strings.TrimSpace("building "+c.Title+" "+version))
	total, err := b.countStale(ctx, dir, step, append(append([]string{"list", "-deps", "-f", "{{if .Stale}}x{{end}}"}, flags...), c.Packages...))
	if err == nil {
		ldflags := "-s -w"
		if c.Stamp != nil {
			ldflags += " " + c.Stamp(version)
		}
		target := out + "/"
		if len(c.Outputs) == 1 {
			target += c.Outputs[0] // go would name it after the package, which may be "server"
		}
		args := append([]string{"build", "-v", "-ldflags=" + ldflags, "-o", target}, flags...)
		err = b.run(ctx, dir, append(args, c.Packages...), io.Discard, func(n int) {
			step.Detail("%d of %d packages", n, max(n, total))
		}, step)
	}
	if err == nil && !complete(c, out) {
		err = fmt.Errorf("go build left none of %s", strings.Join(c.Outputs, ", "))
	}
	step.End(err)
	return err
}

// countStale downloads what is needed and returns how many packages are still
// to be compiled.
func (b *Builder) countStale(ctx context.Context, dir string, step *progress.Step, args []string) (int, error) {
	var stdout bytes.Buffer
	err := b.run(ctx, dir, args, &stdout, func(int) {}, step)
	return strings.Count(stdout.String(), "x"), err
}

// run executes go and reads its standard error: module downloads and, of
// go build -v, one package path per line. Everything else is an explanation
// that belongs into the error.
func (b *Builder) run(ctx context.Context, dir string, args []string, stdout io.Writer, packages func(int), step *progress.Step) error {
	cmd := b.command(ctx, dir, args...)
	cmd.Stdout = stdout
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run go: %w (Go 1.26 must be in PATH)", err)
	}
	var said []string
	compiled, downloads := 0, 0
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "go: downloading"):
			downloads++
			step.Detail("%d modules downloaded", downloads)
		case isPackagePath(line):
			compiled++
			packages(compiled)
		default:
			said = append(said, line)
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return errors.New(strings.Join(append([]string{"go " + args[0] + ": " + err.Error()}, tail(said, 20)...), "\n    "))
	}
	return nil
}

// isPackagePath tells a line of go build -v from a compiler message.
func isPackagePath(line string) bool {
	return line != "" && !strings.ContainsAny(line, " \t:#")
}

func tail(lines []string, n int) []string {
	return lines[max(0, len(lines)-n):]
}

// link leaves one folder with every binary of the set under its usual name.
func (b *Builder) link(set Set) error {
	ok := true
	for name, target := range set.files {
		if have, err := os.Readlink(set.Path(name)); err != nil || have != target {
			ok = false
		}
	}
	if ok {
		return nil
	}
	tmp, err := os.MkdirTemp(b.Cache, ".links-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }() // gone already when all went well
	for name, target := range set.files {
		if err := os.Symlink(target, filepath.Join(tmp, name)); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(set.Dir); err != nil {
		return err
	}
	// Another build may have put its equal folder there in the meantime.
	if err := os.Rename(tmp, set.Dir); err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("link the binaries: %w", err)
	}
	return nil
}
