package emulator_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"

	"github.com/uploadtenant/uploadtenant/emulator"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// dataEnv makes the test binary an emulator over the named directory, to be killed by its parent.
const dataEnv = "EMULATOR_TEST_DATA"

func TestMain(m *testing.M) {
	if dir := os.Getenv(dataEnv); dir != "" {
		if err := serveUntilKilled(dir); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) error {
	e, err := emulator.New(emulator.Options{DataDir: dir, Buckets: []string{"bucket"}})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, e.OSS())
}

// process is an emulator in a process of its own.
type process struct {
	cmd *exec.Cmd
	url string
}

func spawn(t *testing.T, dir string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dataEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // an error when the test has killed it
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "http") {
		t.Fatalf("emulator did not start: %q, %v", line, err)
	}
	return &process{cmd, strings.TrimSpace(line)}
}

// kill ends the process as kill -9 does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // reports the signal
}

func (p *process) client() *sdk.Client {
	return sdk.NewClient(sdk.LoadDefaultConfig().WithRegion("cn-hangzhou").WithEndpoint(p.url).WithRetryMaxAttempts(1).
		WithConnectTimeout(await.Patience).WithReadWriteTimeout(await.Patience). // a disk may be slow to sync
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(emulator.DefaultAccessKeyID, emulator.DefaultAccessKeySecret)))
}

func TestAcknowledgedObjectsSurviveKills(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]string{}
	var mu sync.Mutex
	for round := range 6 {
		p := spawn(t, dir)
		c := p.client()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var stored int
		enough, ended := make(chan struct{}), make(chan error, 3)
		for w := range 3 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for n := 0; ctx.Err() == nil; n++ {
					key := fmt.Sprintf("r%d/w%d/n%d", round, w, n)
					text := strings.Repeat(key+" ", 1+n*n*37%20_000) // some in one write, some in many
					if _, err := c.PutObject(ctx, &sdk.PutObjectRequest{Bucket: sdk.Ptr("bucket"), Key: &key, Body: strings.NewReader(text)}); err != nil {
						ended <- err // killed
						return
					}
					mu.Lock()
					acknowledged[key] = text
					if stored++; stored == 15+round*3 {
						close(enough)
					}
					mu.Unlock()
				}
			}()
		}
		select {
		case <-enough:
		case err := <-ended:
			t.Fatalf("round %d: an upload failed before the kill: %v", round, err)
		}
		p.kill(t) // while the workers write
		cancel()
		wg.Wait()
	}
	p := spawn(t, dir)
	defer p.kill(t)
	c := p.client()
	for key, want := range acknowledged {
		r, err := c.GetObject(t.Context(), &sdk.GetObjectRequest{Bucket: sdk.Ptr("bucket"), Key: &key})
		if err != nil {
			t.Fatalf("%s was acknowledged and is gone: %v", key, err)
		}
		got, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || string(got) != want {
			t.Fatalf("%s: %d bytes, %v; want %d", key, len(got), err, len(want))
		}
	}
	if len(acknowledged) < 6*15 {
		t.Errorf("only %d objects were acknowledged: the test did not test much", len(acknowledged))
	}
}

func TestKilledUploadLeavesNoObject(t *testing.T) {
	dir := t.TempDir()
	p := spawn(t, dir)
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := p.client().PutObject(t.Context(), &sdk.PutObjectRequest{
			Bucket: sdk.Ptr("bucket"), Key: sdk.Ptr("half"), Body: pr, ContentLength: sdk.Ptr(int64(64 << 20)),
		})
		done <- err
	}()
	if _, err := pw.Write(make([]byte, 32<<20)); err != nil {
		t.Fatal(err)
	}
	await.True(t, "the server holds a good part of the upload", func() bool { return folderSize(t, dir+"/oss/tmp") > 16<<20 })
	p.kill(t)
	pw.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-done; err == nil {
		t.Fatal("half an upload was acknowledged")
	}
	p = spawn(t, dir)
	defer p.kill(t)
	if exists, err := p.client().IsObjectExist(t.Context(), "bucket", "half"); err != nil || exists {
		t.Errorf("object exists = %v, %v", exists, err)
	}
	if size := folderSize(t, dir+"/oss/tmp") + folderSize(t, dir+"/oss/blobs"); size != 0 {
		t.Errorf("%d bytes of the killed upload are left", size)
	}
}

func folderSize(t *testing.T, dir string) int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // it may just have gone
			total += info.Size()
		}
	}
	return total
}
