package iam

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// journal keeps the state of an account in a file: one line of JSON per call, each a list of changes. A line is
// written in one piece before the call is answered, so what a caller was told survives the end of the process;
// changes of users, roles and policies are also synced to the disk.
type journal struct {
	path  string
	file  *os.File
	lines int
}

// rewriteAfter is how many lines a journal may hold before it is rewritten. Sessions make most of them.
const rewriteAfter = 20_000

// openJournal replays the journal in dir into s and leaves it open for appending.
func openJournal(dir string, s *state, now time.Time) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	j := &journal{path: filepath.Join(dir, "journal.jsonl")}
	raw, err := os.ReadFile(j.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	if err := replay(raw, s); err != nil {
		return nil, fmt.Errorf("replay %s: %w", j.path, err)
	}
	if err := j.rewrite(s, now); err != nil {
		return nil, err
	}
	return j, nil
}

// replay applies every whole line. A last line without its newline was never acknowledged and is dropped.
func replay(raw []byte, s *state) error {
	end := bytes.LastIndexByte(raw, '\n')
	lines := bufio.NewScanner(bytes.NewReader(raw[:end+1]))
	lines.Buffer(nil, len(raw)+1)
	for n := 1; lines.Scan(); n++ {
		var changes []change
		if err := json.Unmarshal(lines.Bytes(), &changes); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		for _, c := range changes {
			if err := s.apply(c); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
	return lines.Err()
}

func encodeLine(changes []change) ([]byte, error) {
	out := make([]change, len(changes))
	for i, c := range changes {
		out[i] = c
		if c.decoded != nil {
			v, err := json.Marshal(c.decoded)
			if err != nil {
				return nil, err
			}
			out[i].Value = v
		}
	}
	line, err := json.Marshal(out)
	return append(line, '\n'), err
}

// append writes the changes of one call. With durable it returns only when they are on the disk.
func (j *journal) append(changes []change, durable bool) error {
	line, err := encodeLine(changes)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(line); err != nil {
		return fmt.Errorf("append to the journal: %w", err)
	}
	j.lines++
	if durable {
		return j.file.Sync()
	}
	return nil
}

// rewrite replaces the journal with the shortest one that builds s. The rename makes it all or nothing.
func (j *journal) rewrite(s *state, now time.Time) error {
	next, err := os.OpenFile(j.path+".next", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite the journal: %w", err)
	}
	w := bufio.NewWriter(next)
	changes := s.all(now)
	for _, c := range changes {
		line, err := encodeLine([]change{c})
		if err == nil {
			_, err = w.Write(line)
		}
		if err != nil {
			return errors.Join(err, next.Close())
		}
	}
	if err := errors.Join(w.Flush(), next.Sync()); err != nil {
		return errors.Join(fmt.Errorf("rewrite the journal: %w", err), next.Close())
	}
	if err := os.Rename(j.path+".next", j.path); err != nil {
		return errors.Join(err, next.Close())
	}
	if err := syncDir(filepath.Dir(j.path)); err != nil {
		return errors.Join(err, next.Close())
	}
	old := j.file
	j.file, j.lines = next, len(changes)
	if old != nil {
		return old.Close()
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
