package console

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHandlerWritesOneShortLine(t *testing.T) {
	at := time.Date(2026, 11, 22, 6, 37, 41, 0, time.UTC)
	tests := map[string]struct {
		log  func(*slog.Logger)
		want string
	}{
		"plain":        {func(l *slog.Logger) { l.Info("ready") }, "ready"},
		"part first":   {func(l *slog.Logger) { l.With(PartKey, "signer").Info("recorded", "size", 5) }, "signer   recorded size=5"},
		"level":        {func(l *slog.Logger) { l.Warn("slow") }, "WARN slow"},
		"empty value":  {func(l *slog.Logger) { l.Info("a", "code", "", "b", "c") }, "a b=c"},
		"hidden":       {func(l *slog.Logger) { l.With("took", 3).Info("a", "requestId", "X", "b", "c") }, "a b=c"},
		"quoted":       {func(l *slog.Logger) { l.Info("a", "error", errors.New("x y")) }, `a error="x y"`},
		"escape codes": {func(l *slog.Logger) { l.Info("a", "name", "\x1b[31mred") }, `a name="\x1b[31mred"`},
		"group":        {func(l *slog.Logger) { l.WithGroup("g").With("a", 1).Info("m", slog.Group("h", "b", 2)) }, "m g.a=1 g.h.b=2"},
		"below level":  {func(l *slog.Logger) { l.Debug("noise") }, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			tc.log(slog.New(New(&out, Options{Hide: []string{"requestId", "took"}})))
			got := strings.TrimSuffix(out.String(), "\n")
			if got != "" {
				got = got[len("15:04:05 "):]
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
	var out strings.Builder
	record := slog.NewRecord(at, slog.LevelInfo, "m", 0)
	if err := New(&out, Options{}).Handle(t.Context(), record); err != nil || out.String() != "06:37:41 m\n" {
		t.Errorf("line = %q, %v; want the time of the record", out.String(), err)
	}
}

// TestHandlerKeepsTheContract runs the checks that the standard library has for handlers; the lines are
// turned back into maps.
func TestHandlerKeepsTheContract(t *testing.T) {
	var out strings.Builder
	slogtest.Run(t, func(*testing.T) slog.Handler { out.Reset(); return New(&out, Options{}) }, func(t *testing.T) map[string]any {
		t.Helper()
		return parseLine(strings.TrimSuffix(out.String(), "\n"))
	})
}

func parseLine(line string) map[string]any {
	fields := strings.Fields(line)
	m := map[string]any{slog.LevelKey: slog.LevelInfo}
	if len(fields) > 0 && strings.Count(fields[0], ":") == 2 {
		m[slog.TimeKey], fields = fields[0], fields[1:]
	}
	for _, field := range fields {
		name, value, isAttr := strings.Cut(field, "=")
		if !isAttr {
			m[slog.MessageKey] = field
			continue
		}
		at := m
		path := strings.Split(name, ".")
		for _, group := range path[:len(path)-1] {
			if at[group] == nil {
				at[group] = map[string]any{}
			}
			at = at[group].(map[string]any)
		}
		at[path[len(path)-1]] = value
	}
	return m
}
