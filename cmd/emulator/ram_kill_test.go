package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"

	"github.com/uploadtenant/uploadtenant/test/program"
)

const killTrust = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::1234567890123456:root"]}}]}`

// startProcess runs the built command with its data in dir and returns a client of its RAM and a way to kill it.
func startProcess(t *testing.T, binary, dir string) (client *ram.Client, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "--oss-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0", "--access-key", "AK:SK", "--data", dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	says := regexp.MustCompile(`^RAM.* on http://(\S+)`)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if m := says.FindStringSubmatch(lines.Text()); m != nil {
			client, err = ram.NewClientWithOptions("cn-hangzhou", sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false), credentials.NewAccessKeyCredential("AK", "SK"))
			if err != nil {
				t.Fatal(err)
			}
			client.Domain = m[1]
			return client, kill
		}
	}
	t.Fatal("the emulator did not say where its API is")
	return nil, kill
}

// TestRolesSurviveKills kills the process in the middle of its work, again and again: what was acknowledged is there.
func TestRolesSurviveKills(t *testing.T) {
	binary, dir := filepath.Join(t.TempDir(), "emulator"), t.TempDir()
	if err := program.Build(binary, "."); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bool{}
	for round := range 5 {
		client, kill := startProcess(t, binary, dir)
		for name := range acknowledged {
			get := ram.CreateGetRoleRequest()
			get.RoleName = name
			if _, err := client.GetRole(get); err != nil {
				t.Fatalf("round %d: %s was acknowledged and is gone: %v", round, name, err)
			}
		}
		// Whatever the machine is busy with, something is acknowledged before the kill.
		dies := sync.OnceFunc(func() { time.AfterFunc(time.Duration(20+13*round)*time.Millisecond, kill) })
		for i := 0; ; i++ {
			create := ram.CreateCreateRoleRequest()
			create.RoleName, create.AssumeRolePolicyDocument = fmt.Sprintf("r%d-%d", round, i), killTrust
			create.MaxSessionDuration = requests.NewInteger(7200)
			if _, err := client.CreateRole(create); err != nil {
				break // it was killed
			}
			acknowledged[create.RoleName] = true
			dies()
		}
		kill()
		if len(acknowledged) <= round {
			t.Fatalf("round %d: the process ended before the kill", round)
		}
	}
}
