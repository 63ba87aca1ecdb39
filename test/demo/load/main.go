// Command load is a crowd of clients that never try again: each asks the signer for a grant, uploads one
// photo and expects that OSS answers 200, which it does when the signer took the callback. GET /report tells
// how it went, GET /report?stop=1 ends it first. The end-to-end tests run it inside the cluster, so that it
// goes the way of all callers: the name server and the Service.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// report is how it went so far.
type report struct {
	// Grants and Uploads count what was answered as it should be.
	Grants, Uploads int
	// IDs of the uploads that OSS answered with 200.
	IDs []string
	// Failures is the count of anything else, Examples are the first of them.
	Failures int
	Examples []string
}

// maxExamples are enough to see what is wrong.
const maxExamples = 20

// crowd is all clients together.
type crowd struct {
	signer, token string
	pause         time.Duration
	file          []byte

	mu sync.Mutex
	report
}

func main() {
	addr := flag.String("addr", ":8080", "`address` of the report")
	signer := flag.String("signer", "", "base `URL` of the signer")
	tokenFile := flag.String("token-file", "", "`file` with the user's token")
	clients := flag.Int("clients", 6, "how many clients; every other one opens a new connection for each request")
	pause := flag.Duration("pause", 100*time.Millisecond, "`time` between two uploads of a client")
	size := flag.Int("size", 4<<10, "`bytes` of a file")
	flag.Parse()
	if err := run(*addr, *tokenFile, *clients, &crowd{signer: *signer, pause: *pause, file: bytes.Repeat([]byte{0xff}, *size)}); err != nil {
		slog.Error("Load failed", "error", err.Error())
		os.Exit(1)
	}
}

func run(addr, tokenFile string, clients int, c *crowd) error {
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return fmt.Errorf("read the token: %w", err)
	}
	c.token = strings.TrimSpace(string(token))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	load, end := context.WithCancel(ctx)
	defer end()
	var wg sync.WaitGroup
	for i := range clients {
		client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: i%2 == 1, MaxIdleConnsPerHost: 1}}
		wg.Go(func() { c.client(load, client, fmt.Sprintf("photo-%d.jpg", i)) })
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("stop") != "" {
			end()
			wg.Wait()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := json.NewEncoder(w).Encode(c.report); err != nil {
			slog.Error("Report was not written", "error", err.Error())
		}
	})
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// client uploads one file after the other until ctx ends; what it has begun it finishes.
func (c *crowd) client(ctx context.Context, client *http.Client, name string) {
	tick := time.NewTicker(c.pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.upload(context.WithoutCancel(ctx), client, name)
		}
	}
}

// verdict is what the signer answers for one file.
type verdict struct {
	Status, ID, URL, FileField string

	Fields map[string]string
}

func (c *crowd) upload(ctx context.Context, client *http.Client, name string) {
	v, err := c.grant(ctx, client, name)
	if err != nil {
		c.failed("grant", err)
		return
	}
	c.count(func(r *report) { r.Grants++ })
	if err := c.post(ctx, client, v, name); err != nil {
		c.failed("upload of "+v.ID, err)
		return
	}
	c.count(func(r *report) { r.Uploads++; r.IDs = append(r.IDs, v.ID) })
}

func (c *crowd) count(change func(*report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.report)
}

func (c *crowd) failed(what string, err error) {
	slog.Error("Failed", "what", what, "error", err.Error())
	c.count(func(r *report) {
		r.Failures++
		if len(r.Examples) < maxExamples {
			r.Examples = append(r.Examples, fmt.Sprintf("%s: %s: %v", time.Now().UTC().Format(time.TimeOnly), what, err))
		}
	})
}

func (c *crowd) grant(ctx context.Context, client *http.Client, name string) (verdict, error) {
	body := fmt.Sprintf(`{"files":[{"name":%q,"size":%d,"contentType":"image/jpeg"}]}`, name, len(c.file))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.signer+"/v1/uploads", strings.NewReader(body))
	if err != nil {
		return verdict{}, err
	}
	req.GetBody = nil // the transport must not try again either
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	answer, err := send(client, req)
	if err != nil {
		return verdict{}, err
	}
	var all struct{ Uploads []verdict }
	if err := json.Unmarshal(answer, &all); err != nil || len(all.Uploads) != 1 || all.Uploads[0].Status != "upload" {
		return verdict{}, fmt.Errorf("the signer answered %.300s", answer)
	}
	return all.Uploads[0], nil
}

func (c *crowd) post(ctx context.Context, client *http.Client, v verdict, name string) error {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for field, value := range v.Fields {
		if err := w.WriteField(field, value); err != nil {
			return err
		}
	}
	part, err := w.CreateFormFile(v.FileField, name)
	if err != nil {
		return err
	}
	if _, err := part.Write(c.file); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.URL, &form)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	_, err = send(client, req)
	return err
}

// send takes 200 alone: OSS answers 203 when a callback failed.
func send(client *http.Client, req *http.Request) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.300s", resp.StatusCode, answer)
	}
	return answer, err
}
