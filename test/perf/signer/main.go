// Command signer measures the signer binary from outside, each figure next to its floor in the same run.
// docs/guides/benchmarks.md tells what the figures mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/test/perf/figures"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-signer:", err)
		os.Exit(1)
	}
}

func run() error {
	root := flag.String("root", ".", "top `folder` of the repository")
	rounds := flag.Int("rounds", 5, "rounds of each comparison; the median counts")
	length := flag.Duration("length", time.Second, "`time` of one measurement")
	floor := flag.Int("floor", -1, "serve this many `bytes` per request, for internal use")
	flag.Parse()
	if *floor >= 0 {
		return serveFloor(*floor)
	}
	report, err := figures.New(*root, os.Stdout)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-signer-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{root: *root, dir: dir, rounds: *rounds, length: *length, report: report}
	defer b.close()
	for _, step := range []func() error{b.build, b.prepare, b.startAndIdle, b.grants, b.busy, b.callbacks} {
		if err := step(); err != nil {
			return err
		}
	}
	return report.Close(*root, "signer")
}

type bench struct {
	root, dir string
	rounds    int
	length    time.Duration
	report    *figures.Report

	binary string
	world  *world
	stops  []func()
}

func (b *bench) close() {
	for i := len(b.stops) - 1; i >= 0; i-- {
		b.stops[i]()
	}
}

// build makes the binary like the image does, and reports its size.
func (b *bench) build() error {
	b.binary = filepath.Join(b.dir, "signer")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.binary, "./cmd/signer")
	cmd.Dir, cmd.Env, cmd.Stderr = b.root, append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the signer: %w", err)
	}
	info, err := os.Stat(b.binary)
	if err != nil {
		return err
	}
	b.report.Add(figures.Figure{Name: "signer_binary", Value: float64(info.Size()) / (1 << 20), Unit: "MiB"})
	return nil
}

// process is a started program.
type process struct {
	cmd       *exec.Cmd
	addr, ops string
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed, so it reports an error
}

// freePort asks the system for a port; the gap until its use does no harm on a benchmark machine.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start runs the signer and waits until it is ready; took is the time from exec to ready.
func (b *bench) start() (p *process, took time.Duration, err error) {
	p = &process{}
	if p.addr, err = freePort(); err != nil {
		return nil, 0, err
	}
	if p.ops, err = freePort(); err != nil {
		return nil, 0, err
	}
	p.cmd = exec.Command(b.binary, "--config", b.world.config, "--addr", p.addr, "--ops-addr", p.ops)
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, 0, err
	}
	client := &http.Client{Timeout: time.Second}
	for time.Since(begin) < 10*time.Second {
		resp, err := client.Get("http://" + p.ops + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p, time.Since(begin), nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	p.stop()
	return nil, 0, errors.New("the signer did not become ready within 10 s")
}

// startAndIdle reports start-up time and idle memory over several starts.
func (b *bench) startAndIdle() error {
	var starts, sizes []float64
	for range b.rounds {
		p, took, err := b.start()
		if err != nil {
			return err
		}
		starts = append(starts, float64(took.Microseconds())/1000)
		time.Sleep(b.length) // idle
		rss, err := residentMiB(p.cmd.Process.Pid)
		p.stop()
		if err != nil {
			return err
		}
		sizes = append(sizes, rss)
	}
	b.report.Add(figures.Figure{Name: "signer_start", Value: figures.Median(starts), Unit: "ms"})
	b.report.Add(figures.Figure{Name: "signer_idle_rss", Value: figures.Median(sizes), Unit: "MiB"})
	return nil
}

// residentMiB reads VmRSS of a process.
func residentMiB(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of the signer: %w", err)
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// startFloor runs this program as the bare handler that answers with size bytes.
func (b *bench) startFloor(size int) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-floor", strconv.Itoa(size))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	if _, err := fmt.Fscanln(out, &p.addr); err != nil {
		p.stop()
		return nil, fmt.Errorf("start the bare handler: %w", err)
	}
	return p, nil
}

// grants compares POST /v1/uploads with the bare handler for 1 and for 20 files.
func (b *bench) grants() error {
	signer, _, err := b.start()
	if err != nil {
		return err
	}
	defer signer.stop()
	for _, c := range []struct {
		name  string
		files int
	}{{"signer_grants_1_file", 1}, {"signer_grants_20_files", 20}} {
		request := b.world.grantRequest(signer.addr, c.files)
		size, err := probe(signer.addr, request)
		if err != nil {
			return err
		}
		floor, err := b.startFloor(size)
		if err != nil {
			return err
		}
		var values, floors, ratios []float64
		for range b.rounds {
			bare, err := throughput(context.Background(), floor.addr, request, b.length)
			if err != nil {
				floor.stop()
				return err
			}
			ours, err := throughput(context.Background(), signer.addr, request, b.length)
			if err != nil {
				floor.stop()
				return err
			}
			values, floors, ratios = append(values, ours), append(floors, bare), append(ratios, ours/bare)
		}
		floor.stop()
		b.report.Add(figures.Figure{Name: c.name, Value: figures.Median(values), Unit: "requests/s", Floor: figures.Median(floors), Ratio: figures.Median(ratios)})
	}
	rss, err := residentMiB(signer.cmd.Process.Pid)
	if err != nil {
		return err
	}
	b.report.Add(figures.Figure{Name: "signer_loaded_rss", Value: rss, Unit: "MiB"})
	return b.allocations()
}

// allocations reports the heap allocations of one grant request, without the HTTP server.
func (b *bench) allocations() error {
	cmd := exec.Command("go", "test", "./signer", "-run", "^$", "-bench", "BenchmarkGrants/1_file", "-benchtime", "2000x", "-benchmem")
	cmd.Dir, cmd.Stderr = b.root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("count allocations: %w", err)
	}
	fields := strings.Fields(string(out))
	for i, field := range fields {
		if field == "allocs/op" {
			n, err := strconv.ParseFloat(fields[i-1], 64)
			if err != nil {
				return fmt.Errorf("count allocations: %w", err)
			}
			b.report.Add(figures.Figure{Name: "signer_grant_allocations", Value: n, Unit: "allocs"})
			return nil
		}
	}
	return errors.New("the benchmark printed no allocations")
}
