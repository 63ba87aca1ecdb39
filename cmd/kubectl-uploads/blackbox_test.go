package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/test/program"
)

const sample = "../../config/samples/dev.yaml"

// binary builds the program once per test run.
func binary(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubectl-uploads")
	if err := program.Build(file, "."); err != nil {
		t.Fatal(err)
	}
	return file
}

// process is a running "kubectl-uploads dev".
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	signer  string
	upload  []string
	stderr  bytes.Buffer
	stopped chan error
}

var signerLine = regexp.MustCompile(`(?m)^  signer +(http://\S+)`)

// startDev starts the program and reads what it prints until it is ready.
func startDev(t *testing.T, program, data string) *process {
	t.Helper()
	p := &process{t: t, stopped: make(chan error, 1)}
	p.cmd = exec.Command(program, "dev", "-f", sample, "--addr", "127.0.0.1:0", "--oss-addr", "127.0.0.1:0", "--data", data)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.stopped
		if t.Failed() {
			t.Logf("stderr of the program:\n%s", p.stderr.String())
		}
	})
	guide := make(chan string, 1)
	go func() {
		var text strings.Builder
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			fmt.Fprintln(&text, lines.Text())
			if strings.HasPrefix(lines.Text(), "  curl") && strings.HasSuffix(lines.Text(), "/v1/uploads -H 'Authorization: Bearer dev:alice'") {
				guide <- text.String()
			}
		}
		p.stopped <- p.cmd.Wait()
		close(p.stopped)
	}()
	select {
	case text := <-guide:
		p.read(text)
	case <-time.After(60 * time.Second):
		t.Fatalf("not ready after 30 s:\n%s", p.stderr.String())
	}
	return p
}

// read takes addresses and sample lines out of what the program printed.
func (p *process) read(guide string) {
	p.t.Helper()
	found := signerLine.FindStringSubmatch(guide)
	if found == nil {
		p.t.Fatalf("no address of the signer in:\n%s", guide)
	}
	p.signer = found[1]
	_, lines, _ := strings.Cut(guide, "Upload a file")
	for _, line := range strings.Split(lines, "\n")[1:] {
		if line = strings.TrimSpace(line); line != "" {
			p.upload = append(p.upload, line)
		}
	}
}

// paste runs the sample lines as a person would.
func (p *process) paste() {
	p.t.Helper()
	shell := exec.CommandContext(p.t.Context(), "bash", "-euo", "pipefail", "-c", strings.Join(p.upload, "\n"))
	shell.Dir = p.t.TempDir()
	if out, err := shell.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(`"status":"completed"`)) {
		p.t.Fatalf("the printed lines: %v\n%s\n%s", err, strings.Join(p.upload, "\n"), out)
	}
}

func (p *process) records() int {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.signer+"/v1/uploads", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer dev:alice")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct{ Items []json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("list: %s %v", resp.Status, err)
	}
	return len(list.Items)
}

// TestPastedLinesUploadAndSurviveAKill is the promise of the README's first page.
func TestPastedLinesUploadAndSurviveAKill(t *testing.T) {
	program, data := binary(t), t.TempDir()
	p := startDev(t, program, data)
	p.paste()
	if got := p.records(); got != 1 {
		t.Fatalf("%d records after one upload", got)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.stopped

	p = startDev(t, program, data)
	if got := p.records(); got != 1 {
		t.Fatalf("%d records after a kill, want the one from before", got)
	}
	p.paste()
	if got := p.records(); got != 2 {
		t.Errorf("%d records after a second upload, want 2", got)
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.stopped:
		if err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
	case <-time.After(60 * time.Second):
		t.Error("Ctrl-C did not end the program")
	}
	if strings.Contains(p.stderr.String(), "Signature") || strings.Contains(p.stderr.String(), "security-token") {
		t.Error("the log holds a signature or a token")
	}
}

// TestReadmeShowsWhatIsPrinted keeps the lines of the READMEs those that were tested above.
func TestReadmeShowsWhatIsPrinted(t *testing.T) {
	p := startDev(t, binary(t), t.TempDir())
	oss := regexp.MustCompile(`http://127\.0\.0\.1:\d+/family-album`)
	for _, readme := range []string{"../../README.md", "../../README.zh-CN.md"} {
		raw, err := os.ReadFile(readme)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range p.upload {
			line = strings.ReplaceAll(line, p.signer, "http://127.0.0.1:8080")
			line = oss.ReplaceAllString(line, "http://127.0.0.1:9000/family-album")
			if !strings.Contains(string(raw), "\n    "+line+"\n") {
				t.Errorf("%s does not show the line\n    %s", readme, line)
			}
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"unknown command":          {[]string{"deploy"}, `unknown command "deploy"`},
		"no file":                  {[]string{"dev"}, "-f FILE is missing"},
		"no such file":             {[]string{"dev", "-f", "absent.yaml"}, "absent.yaml"},
		"extra argument":           {[]string{"dev", "-f", sample, "album"}, `unexpected argument "album"`},
		"unknown flag":             {[]string{"dev", "--port", "1"}, "port"},
		"no tenant":                {[]string{"plan"}, "kubectl uploads plan album -n family"},
		"unknown format":           {[]string{"status", "-o", "xml"}, "json, yaml, wide"},
		"no such file of clusters": {[]string{"status", "--kubeconfig", "absent"}, "absent"},
		"no such context":          {[]string{"status", "--kubeconfig", os.DevNull, "--context", "absent"}, "absent"},
		"replay what":              {[]string{"dead-letters", "album", "replay"}, "either IDs or --all"},
		"replay too much":          {[]string{"dead-letters", "album", "replay", "1", "--all"}, "either IDs or --all"},
		"show what":                {[]string{"dead-letters", "album", "show"}, "show takes one ID"},
		"dead what":                {[]string{"dead-letters", "album", "burn"}, `there is no "burn"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // nothing here may get as far as serving
			var out, errOut bytes.Buffer
			err := run(ctx, tc.args, strings.NewReader(""), &out, &errOut)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one that says %q", err, tc.want)
			}
		})
	}
}

// TestHelp holds that every command says what it does, with an example that names it.
func TestHelp(t *testing.T) {
	for _, c := range newRoot().Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		var out bytes.Buffer
		if err := run(t.Context(), []string{c.Name(), "--help"}, strings.NewReader(""), &out, &out); err != nil {
			t.Errorf("%s --help: %v", c.Name(), err)
		}
		if c.Short == "" || c.GroupID == "" || !strings.Contains(out.String(), "kubectl uploads "+c.Name()) || !strings.Contains(c.Example, "kubectl uploads "+c.Name()) {
			t.Errorf("help of %s lacks something:\n%s", c.Name(), out.String())
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), nil, strings.NewReader(""), &out, &out); err != nil || !strings.Contains(out.String(), "doctor") {
		t.Errorf("without a command: %v\n%s", err, out.String())
	}
}
