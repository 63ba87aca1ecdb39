// Package console writes structured logs for a person who watches a terminal: one short line per record,
// the part of the program first, without empty values.
package console

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// PartKey names the attribute that tells which part of the program speaks.
const PartKey = "part"

// Options of a Handler.
type Options struct {
	// Level below which records are dropped. Nil means slog.LevelInfo.
	Level slog.Leveler
	// Hide lists attributes that are left out.
	Hide []string
}

// Handler is a slog.Handler. It is safe for concurrent use.
type Handler struct {
	opts  Options
	mu    *sync.Mutex
	out   io.Writer
	part  string
	attrs string // rendered by WithAttrs
	group string // prefix of attribute names, with its dot
}

// New returns a handler that writes to out.
func New(out io.Writer, opts Options) *Handler {
	if opts.Level == nil {
		opts.Level = slog.LevelInfo
	}
	return &Handler{opts: opts, mu: &sync.Mutex{}, out: out}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.opts.Level.Level()
}

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	if !r.Time.IsZero() {
		b.WriteString(r.Time.Format("15:04:05 "))
	}
	if h.part != "" {
		fmt.Fprintf(&b, "%-9s", h.part)
	}
	if r.Level != slog.LevelInfo {
		b.WriteString(r.Level.String() + " ")
	}
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		h.render(&b, h.group, a)
		return true
	})
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.out, b.String())
	return err
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	var b strings.Builder
	for _, a := range attrs {
		if a.Key == PartKey && h.group == "" {
			next.part = a.Value.String()
			continue
		}
		h.render(&b, h.group, a)
	}
	next.attrs += b.String()
	return &next
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	next := *h
	if name != "" {
		next.group += name + "."
	}
	return &next
}

func (h *Handler) render(b *strings.Builder, prefix string, a slog.Attr) {
	value := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return
	}
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range value.Group() {
			h.render(b, prefix, member)
		}
		return
	}
	text := value.String()
	if text == "" || slices.Contains(h.opts.Hide, prefix+a.Key) {
		return
	}
	if strings.ContainsAny(text, " \"=\t\r\n\x1b") {
		text = strconv.Quote(text)
	}
	b.WriteString(" " + prefix + a.Key + "=" + text)
}
