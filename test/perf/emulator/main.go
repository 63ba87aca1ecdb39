// Command emulator measures form uploads to the emulator binary, each figure next to a bare net/http handler that
// reads the same multipart body with mime/multipart and throws it away. docs/guides/emulator.md tells what the
// figures mean.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uploadtenant/uploadtenant/test/perf/figures"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-emulator:", err)
		os.Exit(1)
	}
}

func run() error {
	root := flag.String("root", ".", "top `folder` of the repository")
	rounds := flag.Int("rounds", 3, "rounds of each comparison; the median counts")
	length := flag.Duration("length", time.Second, "`time` of one measurement")
	sink := flag.Bool("sink", false, "be the bare sink, for internal use")
	flag.Parse()
	if *sink {
		return serveSink()
	}
	report, err := figures.New(*root, os.Stdout)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-emulator-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder in the temporary directory
	b := &bench{root: *root, dir: dir, rounds: *rounds, length: *length, report: report}
	defer b.close()
	for _, step := range []func() error{b.start, b.small, b.medium, b.large} {
		if err := step(); err != nil {
			return err
		}
	}
	return report.Close(*root, "emulator")
}

// serveSink reads forms and forgets them.
func serveSink() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("sink on http://" + l.Addr().String())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form, err := r.MultipartReader()
		for err == nil {
			part, nextErr := form.NextPart()
			if err = nextErr; err == nil {
				_, err = io.Copy(io.Discard, part)
			}
		}
		if !errors.Is(err, io.EOF) {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
}

type bench struct {
	root, dir string
	rounds    int
	length    time.Duration
	report    *figures.Report

	emulator, sink *server
}

// server is a process under load.
type server struct {
	cmd *exec.Cmd
	url string
}

func (b *bench) close() {
	for _, s := range []*server{b.emulator, b.sink} {
		if s != nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
	}
}

// start builds both binaries and runs them as processes of their own, so that memory can be told apart.
func (b *bench) start() error {
	build := func(name, pkg string) (string, error) {
		out := filepath.Join(b.dir, name)
		cmd := exec.Command("go", "build", "-trimpath", "-o", out, pkg)
		cmd.Dir, cmd.Env, cmd.Stderr = b.root, append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
		return out, cmd.Run()
	}
	emulator, err := build("emulator", "./cmd/emulator")
	if err != nil {
		return fmt.Errorf("build the emulator: %w", err)
	}
	sink, err := build("sink", "./test/perf/emulator")
	if err != nil {
		return fmt.Errorf("build the sink: %w", err)
	}
	if b.sink, err = spawn(sink, "-sink"); err != nil {
		return err
	}
	b.emulator, err = spawn(emulator, "--oss-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0", "--bucket", bucketName)
	return err
}

func spawn(binary string, args ...string) (*server, error) {
	cmd := exec.Command(binary, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(binary), err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, rest, ok := strings.Cut(line, "http://")
	if err != nil || !ok {
		return nil, fmt.Errorf("%s did not say where it listens: %q", filepath.Base(binary), line)
	}
	return &server{cmd, "http://" + strings.Fields(rest)[0]}, nil
}

// compare measures the emulator and the sink in turns and returns the medians.
func (b *bench) compare(measure func(*server) (float64, error)) (value, floor float64, err error) {
	var values, floors []float64
	for range b.rounds {
		for s, list := range map[*server]*[]float64{b.emulator: &values, b.sink: &floors} {
			v, err := measure(s)
			if err != nil {
				return 0, 0, err
			}
			*list = append(*list, v)
		}
	}
	return figures.Median(values), figures.Median(floors), nil
}

func (b *bench) small() error {
	value, floor, err := b.compare(func(s *server) (float64, error) { return b.throughput(s, 1<<10, 8) })
	if err != nil {
		return err
	}
	b.report.Add(figures.Figure{Name: "emulator_post_1KiB", Value: value, Unit: "uploads/s", Floor: floor})
	return nil
}

func (b *bench) medium() error {
	value, floor, err := b.compare(func(s *server) (float64, error) { return b.throughput(s, 1<<20, 4) })
	if err != nil {
		return err
	}
	b.report.Add(figures.Figure{Name: "emulator_post_1MiB", Value: value, Unit: "MiB/s", Floor: floor})
	return nil
}

// large uploads 1 GiB and watches the memory of the process while it does.
func (b *bench) large() error {
	const size = 1 << 30
	grown := map[*server]float64{}
	value, floor, err := b.compare(func(s *server) (float64, error) {
		before, err := rss(s.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		peak := watch(s.cmd.Process.Pid)
		begin := time.Now()
		if err := upload(context.Background(), http.DefaultClient, s.url, newForm("large", size)); err != nil {
			return 0, err
		}
		took := time.Since(begin)
		grown[s] = max(grown[s], (peak()-before)/(1<<20))
		return size / (1 << 20) / took.Seconds(), nil
	})
	if err != nil {
		return err
	}
	b.report.Add(figures.Figure{Name: "emulator_post_1GiB", Value: value, Unit: "MiB/s", Floor: floor})
	b.report.Add(figures.Figure{Name: "emulator_post_1GiB_rss_growth", Value: grown[b.emulator], Unit: "MiB", Floor: grown[b.sink]})
	return nil
}

// throughput uploads forms of a size over several connections: uploads per second below 1 MiB, else MiB per second.
func (b *bench) throughput(s *server, size int64, connections int) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), b.length)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var count atomic.Int64
	var failure atomic.Value
	var group sync.WaitGroup
	begin := time.Now()
	for n := range connections {
		group.Add(1)
		go func() {
			defer group.Done()
			f := newForm("bench-"+strconv.Itoa(n), size)
			for ctx.Err() == nil {
				// The last upload of a measurement is let through: cutting it would count half the work.
				if err := upload(context.WithoutCancel(ctx), client, s.url, f); err != nil {
					failure.Store(err)
					return
				}
				count.Add(1)
			}
		}()
	}
	group.Wait()
	if err, ok := failure.Load().(error); ok {
		return 0, err
	}
	value := float64(count.Load()) / time.Since(begin).Seconds()
	if size >= 1<<20 {
		value *= float64(size) / (1 << 20)
	}
	return value, nil
}

// rss is the resident memory of a process in bytes.
func rss(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of the process: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("the kernel does not tell VmRSS")
}

// watch samples the memory of a process; the returned function stops and gives the peak.
func watch(pid int) func() float64 {
	stop, done := make(chan struct{}), make(chan float64)
	go func() {
		peak := 0.0
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			if now, err := rss(pid); err == nil {
				peak = max(peak, now)
			}
			select {
			case <-tick.C:
			case <-stop:
				done <- peak
				return
			}
		}
	}()
	return func() float64 {
		close(stop)
		return <-done
	}
}
