package store

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// spillSize is how much of a body is kept in memory before it goes to a file: small objects are fast, large ones
// cost no memory.
const spillSize = 64 << 10

// Segment is a stored run of bytes. An object is a list of segments, so that completing a multipart upload,
// appending and copying move no data.
type Segment struct {
	Blob string `json:"blob"`
	Size int64  `json:"size"`
}

// blobs keeps the bytes of objects: in files, and in memory when there is no data directory and they are small.
type blobs struct {
	dir     string // final files
	tmp     string // files being written
	durable bool   // fsync and rename before a blob counts as stored

	mu     sync.Mutex
	refs   map[string]int
	memory map[string][]byte
}

func newBlobs(dir string, durable bool) (*blobs, error) {
	b := &blobs{
		dir: filepath.Join(dir, "blobs"), tmp: filepath.Join(dir, "tmp"), durable: durable,
		refs: map[string]int{}, memory: map[string][]byte{},
	}
	// What lies in tmp was being written when the process ended: no object refers to it.
	if err := os.RemoveAll(b.tmp); err != nil {
		return nil, fmt.Errorf("clear unfinished uploads: %w", err)
	}
	for _, d := range []string{b.dir, b.tmp} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("create blob directory: %w", err)
		}
	}
	return b, nil
}

// sweep removes blob files that nothing refers to: their upload was never acknowledged or their object is gone.
func (b *blobs) sweep() error {
	names, err := os.ReadDir(b.dir)
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	for _, n := range names {
		if b.refs[n.Name()] == 0 {
			if err := os.Remove(filepath.Join(b.dir, n.Name())); err != nil {
				return fmt.Errorf("remove unreferenced blob: %w", err)
			}
		}
	}
	return nil
}

func (b *blobs) retain(segments []Segment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range segments {
		b.refs[s.Blob]++
	}
}

// release drops references; a blob without any is removed. An open reader keeps reading: the file lives on
// until it is closed.
func (b *blobs) release(segments []Segment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range segments {
		if b.refs[s.Blob]--; b.refs[s.Blob] > 0 {
			continue
		}
		delete(b.refs, s.Blob)
		if _, ok := b.memory[s.Blob]; ok {
			delete(b.memory, s.Blob)
			continue
		}
		// A file that cannot be removed now is removed by the sweep of the next start.
		_ = os.Remove(filepath.Join(b.dir, s.Blob))
	}
}

// Body is a body on its way into the store. Write it, then Commit or Abort; Abort after Commit does nothing.
type Body struct {
	blobs *blobs
	id    string
	buf   []byte
	file  *os.File
	size  int64
	md5   hash.Hash
	crc   uint64
	done  bool
}

// crcTable is CRC-64/XZ, the polynomial behind x-oss-hash-crc64ecma.
var crcTable = crc64.MakeTable(crc64.ECMA)

func (b *blobs) create() (*Body, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("name blob: %w", err)
	}
	return &Body{blobs: b, id: hex.EncodeToString(id), md5: md5.New()}, nil
}

// MD5 is the digest of what has been written so far.
func (w *Body) MD5() []byte { return w.md5.Sum(nil) }

// CRC64 is the CRC-64/XZ of what has been written so far.
func (w *Body) CRC64() uint64 { return w.crc }

// WithCRC64 makes the running CRC start from that of earlier bytes, as AppendObject needs it.
func (w *Body) WithCRC64(start uint64) { w.crc = start }

// Size is the number of bytes written so far.
func (w *Body) Size() int64 { return w.size }

// Write appends p to the body.
func (w *Body) Write(p []byte) (int, error) {
	if w.file == nil && len(w.buf)+len(p) > spillSize {
		if err := w.spill(); err != nil {
			return 0, err
		}
	}
	w.size += int64(len(p))
	if w.file == nil {
		w.md5.Write(p)
		w.crc = crc64.Update(w.crc, crcTable, p)
		w.buf = append(w.buf, p...)
		return len(p), nil
	}
	return w.writeFile(p)
}

// writeFile hashes and writes side by side: MD5 takes about as long as all the rest.
func (w *Body) writeFile(p []byte) (int, error) {
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		w.md5.Write(p)
	}()
	w.crc = crc64.Update(w.crc, crcTable, p)
	n, err := w.file.Write(p)
	<-hashed
	if err != nil {
		return n, fmt.Errorf("write blob: %w", err)
	}
	return n, nil
}

func (w *Body) spill() error {
	f, err := os.OpenFile(filepath.Join(w.blobs.tmp, w.id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create blob: %w", err)
	}
	w.file = f
	if _, err := f.Write(w.buf); err != nil {
		return fmt.Errorf("write blob: %w", err)
	}
	w.buf = nil
	return nil
}

// commit makes the body a blob (durably when the store is durable) and returns it with one reference, held by
// the caller.
func (w *Body) commit() ([]Segment, error) {
	if w.done {
		return nil, errors.New("body is already committed or aborted")
	}
	if w.size == 0 {
		w.done = true
		return nil, nil
	}
	segments := []Segment{{Blob: w.id, Size: w.size}}
	if w.file == nil && !w.blobs.durable {
		w.done = true
		w.blobs.mu.Lock()
		w.blobs.memory[w.id] = bytes.Clone(w.buf)
		w.blobs.mu.Unlock()
		w.blobs.retain(segments)
		return segments, nil
	}
	if w.file == nil {
		if err := w.spill(); err != nil {
			return nil, err
		}
	}
	if w.blobs.durable {
		if err := w.file.Sync(); err != nil {
			return nil, fmt.Errorf("sync blob: %w", err)
		}
	}
	if err := w.file.Close(); err != nil {
		return nil, fmt.Errorf("close blob: %w", err)
	}
	w.done = true
	if err := os.Rename(w.file.Name(), filepath.Join(w.blobs.dir, w.id)); err != nil {
		return nil, fmt.Errorf("store blob: %w", err)
	}
	w.blobs.retain(segments)
	if w.blobs.durable {
		if err := syncDir(w.blobs.dir); err != nil {
			return nil, err
		}
	}
	return segments, nil
}

// Abort forgets the body. It is safe to call more than once and after a successful commit.
func (w *Body) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.buf = nil
	if w.file != nil {
		// The file may stay behind when this fails; the next start clears the folder.
		_ = w.file.Close()
		_ = os.Remove(w.file.Name())
	}
}

// Reader reads the bytes of an object as they were when it was opened, whatever happens to the object since.
// It is not safe for concurrent use.
type Reader struct {
	blobs    *blobs
	segments []Segment
	size     int64
	closed   bool
}

// open returns a reader that keeps the segments alive until it is closed.
func (b *blobs) open(segments []Segment) *Reader {
	b.retain(segments)
	r := &Reader{blobs: b, segments: segments}
	for _, s := range segments {
		r.size += s.Size
	}
	return r
}

// Size is the number of bytes that can be read.
func (r *Reader) Size() int64 { return r.size }

// CopyRange writes length bytes from offset to w.
func (r *Reader) CopyRange(w io.Writer, offset, length int64) error {
	for _, s := range r.segments {
		if offset >= s.Size {
			offset -= s.Size
			continue
		}
		n := min(s.Size-offset, length)
		if n <= 0 {
			return nil
		}
		if err := r.copySegment(w, s, offset, n); err != nil {
			return err
		}
		offset, length = 0, length-n
	}
	return nil
}

func (r *Reader) copySegment(w io.Writer, s Segment, offset, length int64) error {
	r.blobs.mu.Lock()
	data, ok := r.blobs.memory[s.Blob]
	r.blobs.mu.Unlock()
	if ok {
		_, err := w.Write(data[offset : offset+length])
		return err
	}
	f, err := os.Open(filepath.Join(r.blobs.dir, s.Blob))
	if err != nil {
		return fmt.Errorf("open blob: %w", err)
	}
	_, seekErr := f.Seek(offset, io.SeekStart)
	if seekErr != nil {
		return errors.Join(fmt.Errorf("seek blob: %w", seekErr), f.Close())
	}
	_, copyErr := io.CopyN(w, f, length)
	return errors.Join(copyErr, f.Close())
}

// Close lets the bytes go.
func (r *Reader) Close() {
	if !r.closed {
		r.closed = true
		r.blobs.release(r.segments)
	}
}
