// Command sdkintegration runs the integration tests that ship inside the module zip of the official OSS Go SDK
// against the emulator: the module as published, copied to a temporary folder because the module cache is read-only.
//
// The tests that are left out stand in leftout.txt with the reason of each; every other test must pass.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator"
)

const module = "github.com/aliyun/alibabacloud-oss-go-sdk-v2"

//go:embed leftout.txt
var leftOutText string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	only := flag.String("run", "", "run only the tests that this regular expression matches, left out or not")
	signature := flag.String("signature", "v4", "signature version of the clients: v1 or v4")
	flag.Parse()
	if err := run(ctx, *only, *signature); err != nil {
		fmt.Fprintln(os.Stderr, "sdkintegration:", err)
		stop()
		os.Exit(1)
	}
}

// leftOut maps a test to the reason why it is not run.
func leftOut(text string) (map[string]string, error) {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, " ")
		if !ok || !strings.HasPrefix(name, "Test") {
			return nil, fmt.Errorf("leftout.txt: %q is not a test with a reason", line)
		}
		out[name] = strings.TrimSpace(reason)
	}
	return out, nil
}

func run(ctx context.Context, only, signature string) error {
	skip, err := leftOut(leftOutText)
	if err != nil {
		return err
	}
	dir, err := copyModule(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder in the temporary directory
	tests, err := findTests(filepath.Join(dir, "oss"))
	if err != nil {
		return err
	}
	for name := range skip {
		if !slices.Contains(tests, name) {
			return fmt.Errorf("leftout.txt names %s, which the SDK does not have", name)
		}
	}
	chosen, err := choose(tests, skip, only)
	if err != nil {
		return err
	}
	endpoint, closeEmulator, err := startEmulator(ctx)
	if err != nil {
		return err
	}
	defer closeEmulator()
	failed, err := runTests(ctx, dir, []string{
		"OSS_TEST_REGION=" + emulator.DefaultRegion, "OSS_TEST_ENDPOINT=" + endpoint,
		"OSS_TEST_ACCESS_KEY_ID=" + emulator.DefaultAccessKeyID, "OSS_TEST_ACCESS_KEY_SECRET=" + emulator.DefaultAccessKeySecret,
		"OSS_TEST_RAM_UID=" + emulator.DefaultAccountID, "OSS_TEST_SIGNATURE_VERSION=" + signature,
	}, chosen)
	if err != nil {
		return err
	}
	fmt.Printf("%d tests of the SDK passed, %d failed, %d left out (see leftout.txt)\n", len(chosen)-len(failed), len(failed), len(tests)-len(chosen))
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

func choose(tests []string, skip map[string]string, only string) ([]string, error) {
	var chosen []string
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	for _, name := range tests {
		if only == "" && skip[name] == "" || only != "" && pattern.MatchString(name) {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("no test to run")
	}
	return chosen, nil
}

// copyModule copies the SDK as the module cache has it.
func copyModule(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the SDK in the module cache: %w", err)
	}
	dir, err := os.MkdirTemp("", "oss-sdk-")
	if err != nil {
		return "", fmt.Errorf("create folder: %w", err)
	}
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		return "", fmt.Errorf("copy the SDK: %w", err)
	}
	return dir, nil
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// findTests lists the tests of the files that are built with the tag integration only.
func findTests(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "client_integration_*_test.go"))
	if err != nil {
		return nil, err
	}
	var tests []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("read test: %w", err)
		}
		for _, m := range testFunction.FindAllSubmatch(text, -1) {
			tests = append(tests, string(m[1]))
		}
	}
	slices.Sort(tests)
	return tests, nil
}

// startEmulator serves the emulator on a free port. The tests expect a callback to a public site to be answered
// with 301; here every callback is.
func startEmulator(ctx context.Context) (endpoint string, stop func(), err error) {
	e, err := emulator.New(emulator.Options{CallbackTransport: redirects{}})
	if err != nil {
		return "", nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, errors.Join(err, e.Close())
	}
	server := &http.Server{Handler: e.OSS(), ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) //nolint:errcheck // ends with Close
	// The tests take a bucket for one of another region, out on the internet, unless the endpoint they were given
	// contains the one that the bucket names: hence the user part, which no client sends.
	endpoint = "http://oss-" + emulator.DefaultRegion + ".aliyuncs.com@" + listener.Addr().String()
	return endpoint, func() {
		_ = server.Close()
		_ = e.Close()
	}, nil
}

type redirects struct{}

func (redirects) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusMovedPermanently, Status: "301 Moved Permanently", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Location": {"https://www.aliyun.com/"}}, Body: http.NoBody, Request: r,
	}, nil
}

// workers is how many tests run at a time. They mostly sleep, out of respect for a service that they think is far.
const workers = 6

// accountWide are tests that change what holds for all buckets of the account, so they run before the others.
var accountWide = []string{"TestPublicAccessBlock"}

// testTimeout is far more than the slowest test needs; a client that waits for a state that never comes is cut off.
const testTimeout = 3 * time.Minute

type result struct {
	name   string
	output []byte
	err    error
	took   time.Duration
}

// runTests builds the SDK's tests once and runs each in a process of its own: one that panics takes no other along.
func runTests(ctx context.Context, dir string, env, tests []string) ([]string, error) {
	binary := filepath.Join(dir, "integration.test")
	build := exec.CommandContext(ctx, "go", "test", "-mod=mod", "-tags", "integration", "-c", "-o", binary, "./oss")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the SDK's tests: %w\n%s", err, out)
	}
	var failed []string
	var rest []string
	for _, name := range tests {
		if !slices.Contains(accountWide, name) {
			rest = append(rest, name)
		} else if !show(runTest(ctx, dir, binary, env, name)) {
			failed = append(failed, name)
		}
	}
	queue, results := make(chan string), make(chan result)
	for n := range workers {
		go func() {
			for name := range queue {
				results <- runTest(ctx, dir, binary, append(slices.Clone(env), fmt.Sprintf("OSS_TEST_BUCKET_PREFIX=w%d-", n)), name)
			}
		}()
	}
	go func() {
		for _, name := range rest {
			queue <- name
		}
		close(queue)
	}()
	for range rest {
		if r := <-results; !show(r) {
			failed = append(failed, r.name)
		}
	}
	slices.Sort(failed)
	return failed, nil
}

// show prints a result and tells whether the test passed.
func show(r result) bool {
	if r.err == nil {
		fmt.Printf("pass %s (%.1fs)\n", r.name, r.took.Seconds())
		return true
	}
	fmt.Printf("FAIL %s (%.1fs): %v\n%s\n", r.name, r.took.Seconds(), r.err, r.output)
	return false
}

func runTest(ctx context.Context, dir, binary string, env []string, name string) result {
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^"+name+"$", "-test.count", "1")
	cmd.Dir = filepath.Join(dir, "oss")
	cmd.Env = append(os.Environ(), env...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err == nil && !strings.Contains(string(out), "PASS") {
		err = errors.New("the test did not say PASS")
	}
	if len(out) > 8<<10 {
		out = out[:8<<10]
	}
	return result{name, out, err, time.Since(start)}
}
