package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// entry is one key of the journal with its new value; a nil value deletes the key.
type entry struct {
	Key   string          `json:"k"`
	Value json.RawMessage `json:"v,omitempty"`
}

// journal is an append-only log of batches. A batch is one line, "crc32 json", so that a line that was cut
// short by a crash is recognised and dropped: a batch is there as a whole or not at all.
type journal struct {
	dir     string
	file    *os.File
	lock    *os.File
	lines   int          // since the last compaction; guarded by the store's lock
	failed  error        // set once a write failed: memory and disk may differ, so nothing more is accepted
	written atomic.Int64 // bytes handed to the file

	syncMu sync.Mutex
	synced int64 // bytes known to be on disk; guarded by syncMu
}

// openJournal replays dir/journal through apply and opens it for appending.
func openJournal(dir string, apply func([]entry) error) (*journal, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s is in use by another process: %w", dir, err), lock.Close())
	}
	j := &journal{dir: dir, lock: lock}
	if err := j.replay(apply); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return j, nil
}

func (j *journal) path() string { return filepath.Join(j.dir, "journal") }

func (j *journal) replay(apply func([]entry) error) error {
	f, err := os.OpenFile(j.path(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	r := bufio.NewReaderSize(f, 1<<20)
	good := int64(0)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read journal: %w", err), f.Close())
		}
		batch, ok := parseLine(line)
		if !ok {
			break // torn tail of a crash; everything acknowledged lies before it
		}
		if err := apply(batch); err != nil {
			return errors.Join(fmt.Errorf("replay journal at byte %d: %w", good, err), f.Close())
		}
		good += int64(len(line))
		j.lines++
	}
	if err := f.Truncate(good); err != nil {
		return errors.Join(fmt.Errorf("cut torn journal tail: %w", err), f.Close())
	}
	if _, err := f.Seek(good, io.SeekStart); err != nil {
		return errors.Join(fmt.Errorf("seek journal: %w", err), f.Close())
	}
	j.file = f
	j.written.Store(good)
	j.synced = good
	return nil
}

func parseLine(line []byte) ([]entry, bool) {
	sum, payload, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if !ok {
		return nil, false
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || uint32(want) != crc32.ChecksumIEEE(payload) {
		return nil, false
	}
	var batch []entry
	if err := json.Unmarshal(payload, &batch); err != nil {
		return nil, false
	}
	return batch, true
}

func formatLine(batch []entry) ([]byte, error) {
	payload, err := json.Marshal(batch)
	if err != nil {
		return nil, fmt.Errorf("encode journal batch: %w", err)
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(payload), payload), nil
}

// append writes a batch and returns the position to pass to sync. The caller holds the store's lock.
func (j *journal) append(batch []entry) (int64, error) {
	if j.failed != nil {
		return 0, j.failed
	}
	line, err := formatLine(batch)
	if err != nil {
		return 0, err
	}
	if _, err := j.file.Write(line); err != nil {
		j.failed = fmt.Errorf("write journal: %w", err)
		return 0, j.failed
	}
	j.lines++
	return j.written.Add(int64(len(line))), nil
}

// sync returns when everything up to pos is on disk. Callers that arrive together share one fsync.
func (j *journal) sync(pos int64) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.synced >= pos {
		return nil
	}
	upTo := j.written.Load()
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	j.synced = upTo
	return nil
}

// compact replaces the journal by the given state. The caller holds the store's lock.
func (j *journal) compact(state []entry) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	tmp, err := os.OpenFile(j.path()+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create new journal: %w", err)
	}
	size, err := writeState(tmp, state)
	if err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := os.Rename(tmp.Name(), j.path()); err != nil {
		return errors.Join(fmt.Errorf("replace journal: %w", err), tmp.Close())
	}
	if err := syncDir(j.dir); err != nil {
		return errors.Join(err, tmp.Close())
	}
	old := j.file
	j.file, j.lines = tmp, len(state)
	// Positions only grow, so that a sync that waits for a position of the old file is satisfied.
	j.synced = j.written.Add(size)
	return old.Close()
}

func writeState(f *os.File, state []entry) (int64, error) {
	w := bufio.NewWriterSize(f, 1<<20)
	size := int64(0)
	for _, e := range state {
		line, err := formatLine([]entry{e})
		if err != nil {
			return 0, err
		}
		if _, err := w.Write(line); err != nil {
			return 0, fmt.Errorf("write new journal: %w", err)
		}
		size += int64(len(line))
	}
	if err := w.Flush(); err != nil {
		return 0, fmt.Errorf("write new journal: %w", err)
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("sync new journal: %w", err)
	}
	return size, nil
}

func (j *journal) close() error {
	return errors.Join(j.file.Sync(), j.file.Close(), j.lock.Close())
}

// syncDir makes renames and new names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	if err := d.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync directory: %w", err), d.Close())
	}
	return d.Close()
}
