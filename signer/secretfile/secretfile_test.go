package secretfile

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func parse(raw []byte) (string, error) {
	if len(raw) == 0 {
		return "", errors.New("empty")
	}
	return string(raw), nil
}

func TestAChangedFileIsUsedAndABrokenOneIsNot(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "secret"), time.Unix(1, 0)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	f, err := Open(path, parse, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name  string
		do    func()
		after time.Duration
		want  string
	}{
		{"at first", func() {}, 0, "one"},
		{"not read again at once", func() { write("two") }, 0, "one"},
		{"read after a while", func() {}, checkEvery, "two"},
		{"broken", func() { write("") }, checkEvery, "two"},
		{"gone", func() { os.Remove(path) }, checkEvery, "two"},
		{"whole again", func() { write("three") }, checkEvery, "three"},
	}
	for _, step := range steps {
		step.do()
		now = now.Add(step.after)
		if got := f.Get(); got != step.want {
			t.Fatalf("%s: %q, want %q", step.name, got, step.want)
		}
	}
}

func TestAFileThatIsUnusableAtTheStartIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if _, err := Open(path, parse, time.Now, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a missing file was opened")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, parse, time.Now, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("an empty file was opened")
	}
}
