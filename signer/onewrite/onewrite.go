// Package onewrite sends an answer in one write. net/http gives away its buffer of 4 KiB as soon as that is
// full, so that an answer of 6 KiB, as a grant is, costs two system calls here and wakes its reader twice.
package onewrite

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// small answers fit into the buffer of net/http with their header.
const small = 2 << 10

// maxKept bounds a buffer that is kept for the next answer.
const maxKept = 256 << 10

// Listener accepts connections that can hold back what is written.
type Listener struct {
	net.Listener
	buffers sync.Pool // of *[]byte
}

// Listen wraps l. The server that serves it needs ConnContext too.
func Listen(l net.Listener) *Listener { return &Listener{Listener: l} }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, buffers: &l.buffers}, nil
}

// conn is used by the goroutine that serves its requests one after the other.
type conn struct {
	net.Conn
	buffers *sync.Pool
	held    *[]byte // nil when writes pass
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if c.held == nil {
		return c.Conn.Write(p)
	}
	*c.held = append(*c.held, p...)
	return len(p), nil
}

type connKey struct{}

// ConnContext is for http.Server.ConnContext: it lets Write find the connection of a request.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// Write sends body, whose Content-Length is set, as the answer to r, and flushes it. On a connection of
// another listener it is w.Write.
func Write(w http.ResponseWriter, r *http.Request, body []byte) {
	c, ok := r.Context().Value(connKey{}).(*conn)
	flusher, flushes := w.(http.Flusher)
	if !ok || !flushes || len(body) <= small {
		w.Write(body)
		return
	}
	buffer, _ := c.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	c.held = buffer
	w.Write(body)
	flusher.Flush()
	c.held = nil
	_, _ = c.Conn.Write(*buffer) // a broken connection shows when the next request is read
	if cap(*buffer) <= maxKept {
		*buffer = (*buffer)[:0]
		c.buffers.Put(buffer)
	}
}
