package onewrite_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/uploadtenant/uploadtenant/signer/onewrite"
)

// counting counts the writes to its connections.
type counting struct {
	net.Listener
	writes *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countingConn{c, l.writes}, err
}

type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func TestAnAnswerIsOneWrite(t *testing.T) {
	var writes atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.Atoi(r.URL.Query().Get("size"))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		onewrite.Write(w, r, bytes.Repeat([]byte{byte(size)}, size))
	}))
	server.Listener = onewrite.Listen(counting{server.Listener, &writes})
	server.Config.ConnContext = onewrite.ConnContext
	server.Start()
	defer server.Close()
	// One client keeps its connection, so that what one answer left behind would show in the next.
	for _, size := range []int{0, 1, 2048, 2049, 3900, 4096, 6348, 8192, 300_000, 6348} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			before := writes.Load()
			resp, err := server.Client().Get(server.URL + "?size=" + strconv.Itoa(size))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(body, bytes.Repeat([]byte{byte(size)}, size)) {
				t.Errorf("%d bytes and error %v, want %d bytes unchanged", len(body), err, size)
			}
			if got := writes.Load() - before; got != 1 {
				t.Errorf("%d writes, want 1", got)
			}
		})
	}
}

// Behind another listener, as in tests and in development mode, an answer is written as usual.
func TestAnswersPassWithoutTheListener(t *testing.T) {
	recorder := httptest.NewRecorder()
	onewrite.Write(recorder, httptest.NewRequest(http.MethodGet, "/", nil), bytes.Repeat([]byte{'x'}, 5000))
	if recorder.Body.Len() != 5000 {
		t.Errorf("%d bytes, want 5000", recorder.Body.Len())
	}
}
