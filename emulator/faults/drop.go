package faults

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Wait delays a call, for as long as its caller is there.
func Wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Drop returns a writer and a request whose connection breaks as the plan says. Without a body to break, a dropped
// request ends before the answer.
func (p Plan) Drop(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	if !p.DropRequest && !p.DropResponse {
		return w, r
	}
	cut := &cutWriter{ResponseWriter: w}
	if p.DropRequest {
		cut.silent.Store(true)
		if r.ContentLength != 0 && r.Body != nil {
			r = r.WithContext(r.Context())
			r.Body = &cutBody{ReadCloser: r.Body, left: max(1, r.ContentLength/2)}
		}
	}
	return cut, r
}

// cutBody ends in the middle, as when the client had gone away.
type cutBody struct {
	io.ReadCloser
	left int64
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// cutWriter sends half of an answer, or none of it, and closes the connection.
type cutWriter struct {
	http.ResponseWriter
	// silent writers close before the status line.
	silent atomic.Bool
	dead   bool
	left   int64
}

func (w *cutWriter) WriteHeader(status int) {
	if w.dead {
		return
	}
	length, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64)
	if w.silent.Load() || err != nil || length == 0 {
		// Nothing says how long the answer is: half of it is none.
		w.kill()
		return
	}
	w.left = max(1, length/2)
	w.ResponseWriter.WriteHeader(status)
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if !w.dead && w.left == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.dead {
		return len(p), nil // the handler is to finish: the call takes effect, only the answer is lost
	}
	n := min(int64(len(p)), w.left)
	if _, err := w.ResponseWriter.Write(p[:n]); err != nil {
		return 0, err
	}
	if w.left -= n; w.left == 0 {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		w.kill()
	}
	return len(p), nil
}

// kill closes the connection under the answer. Where it cannot be had (HTTP/2), the server aborts the stream.
func (w *cutWriter) kill() {
	w.dead = true
	conn, _, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.Close()
}
