// Package index is the signer's database of uploads with the outbox of their events: embedded SQLite or
// PostgreSQL behind one type. The bucket remains the ledger: an index that is lost can be rebuilt from it.
package index

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Status of an upload.
const (
	// StatusCompleted is an upload whose object is stored and verified.
	StatusCompleted = "completed"
	// StatusVerifying is a recorded upload whose object is still to be looked at.
	StatusVerifying = "verifying"
	// StatusRejected is an upload whose content is not what it claims to be.
	StatusRejected = "rejected"
)

// Sources say how the signer learned of an upload.
const (
	SourceCallback = "callback"
	SourceComplete = "complete"
	SourceSweep    = "sweep"
	// SourceInstant is a copy of content that was known.
	SourceInstant = "instant"
)

// Errors of this package.
var (
	ErrNotFound = errors.New("no such upload")
	// ErrConflict is another upload at the same object key.
	ErrConflict = errors.New("another upload owns this object key")
	// ErrDeleted is an upload that its owner deleted; it is not recorded again.
	ErrDeleted = errors.New("the upload was deleted")
	ErrClosed  = errors.New("the index is closed")
)

// Upload is one recorded upload.
type Upload struct {
	ID          string
	User        string
	Key         string
	Name        string
	Size        int64
	ContentType string
	// MD5 in lower-case hex and CRC64 in decimal come from OSS, never from the client.
	MD5, CRC64, ETag string
	Status           string
	// CreatedAt is when the object landed, to the millisecond.
	CreatedAt time.Time
	// Metadata is the client's JSON object, or empty.
	Metadata                []byte
	ImageWidth, ImageHeight int
	ImageFormat             string
	Source                  string
	// Reason says why Status is StatusRejected.
	Reason string
}

// Event is one message for the application, written with the change that it tells of.
type Event struct {
	// ID is the webhook-id; a second event with the same id is not written.
	ID       string
	UploadID string
	Type     string
	Payload  []byte
}

// Delivery is an event that is due.
type Delivery struct {
	Event
	Seq       int64
	Attempts  int
	CreatedAt time.Time
}

// Recorded is the outcome of Record.
type Recorded struct {
	Upload Upload
	// Created is false when the upload was recorded before.
	Created bool
}

// Store keeps uploads and events. It is safe for concurrent use.
type Store struct {
	write   *sql.DB
	holder  *sql.Conn // keeps a database in memory alive
	read    *sql.DB
	dialect dialect
	clock   func() time.Time
	log     *slog.Logger
	records chan *recordRequest
	// repair asks the maintainer of a database that may come and go to look at the schema.
	repair     chan struct{}
	quit       chan struct{}
	closing    sync.Once
	background sync.WaitGroup
	// What Stats tells of.
	commits, committed, commitTime atomic.Int64
}

// Stats tell how busy the database is.
type Stats struct {
	// Connections that are open, and those of them in use.
	Connections, InUse int
	// Waits for a free connection since the start, and the time spent on them.
	Waits    int64
	WaitTime time.Duration
	// Commits of records since the start, the records in them, and the time that they took.
	Commits, Committed int64
	CommitTime         time.Duration
}

// Stats are read without a query.
func (s *Store) Stats() Stats {
	stats := Stats{Commits: s.commits.Load(), Committed: s.committed.Load(), CommitTime: time.Duration(s.commitTime.Load())}
	pools := []*sql.DB{s.write, s.read}
	if s.read == s.write {
		pools = pools[:1]
	}
	for _, pool := range pools {
		p := pool.Stats()
		stats.Connections += p.OpenConnections
		stats.InUse += p.InUse
		stats.Waits += p.WaitCount
		stats.WaitTime += p.WaitDuration
	}
	return stats
}

func newStore(d dialect, clock func() time.Time) *Store {
	if clock == nil {
		clock = time.Now
	}
	return &Store{dialect: d, clock: clock, log: slog.New(slog.DiscardHandler),
		records: make(chan *recordRequest), repair: make(chan struct{}, 1), quit: make(chan struct{})}
}

// start begins to commit records, in at most committers transactions at the same time.
func (s *Store) start(committers int) {
	for range committers {
		s.background.Go(s.commitLoop)
	}
}

// wakeMaintainer never blocks.
func (s *Store) wakeMaintainer() {
	select {
	case s.repair <- struct{}{}:
	default:
	}
}

// Ping tells whether the database answers and has the schema that this signer needs.
func (s *Store) Ping(ctx context.Context) error {
	err := s.ping(ctx)
	if err != nil {
		s.wakeMaintainer()
	}
	return err
}

func (s *Store) ping(ctx context.Context) error {
	texts, err := migrations()
	if err != nil {
		return err
	}
	var version sql.NullInt64
	if err := s.read.QueryRowContext(ctx, `SELECT MAX(version) FROM schema_version`).Scan(&version); err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if int(version.Int64) < len(texts) {
		return fmt.Errorf("the schema has version %d and is migrated to %d", version.Int64, len(texts))
	}
	return nil
}

// Close ends the commits that run and closes the database. Records that wait are refused.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.quit)
		s.background.Wait()
		if s.holder != nil {
			err = s.holder.Close()
		}
		err = errors.Join(err, s.write.Close())
		if s.read != s.write {
			err = errors.Join(err, s.read.Close())
		}
	})
	return err
}

const uploadColumns = `id, user_id, object_key, name, size, content_type, md5, crc64, etag, status, created_at, metadata, image_width, image_height, image_format, source, reason`

// scanUpload reads the columns of uploadColumns.
func scanUpload(scan func(...any) error) (Upload, error) {
	var u Upload
	var created int64
	var metadata string
	err := scan(&u.ID, &u.User, &u.Key, &u.Name, &u.Size, &u.ContentType, &u.MD5, &u.CRC64, &u.ETag, &u.Status, &created, &metadata, &u.ImageWidth, &u.ImageHeight, &u.ImageFormat, &u.Source, &u.Reason)
	u.CreatedAt = time.UnixMilli(created).UTC()
	if metadata != "" {
		u.Metadata = []byte(metadata)
	}
	return u, err
}

func (u *Upload) values() []any {
	return []any{u.ID, u.User, u.Key, u.Name, u.Size, u.ContentType, u.MD5, u.CRC64, u.ETag, u.Status, u.CreatedAt.UnixMilli(), string(u.Metadata), u.ImageWidth, u.ImageHeight, u.ImageFormat, u.Source, u.Reason}
}

// clean replaces what PostgreSQL does not take into a text: zero bytes and bytes that are no UTF-8. A
// strange file name must not keep its upload from being recorded. Ids, users and keys of uploads never hold
// such bytes.
func clean(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
}

func (u *Upload) clean() {
	for _, field := range []*string{&u.Name, &u.ContentType, &u.MD5, &u.CRC64, &u.ETag, &u.ImageFormat} {
		*field = clean(*field)
	}
	if len(u.Metadata) > 0 {
		u.Metadata = bytes.ToValidUTF8(bytes.ReplaceAll(u.Metadata, []byte{0}, []byte("\uFFFD")), []byte("\uFFFD"))
	}
}

// Get returns user's upload, or ErrNotFound. Another user's upload is not found.
func (s *Store) Get(ctx context.Context, user, id string) (Upload, error) {
	u, err := s.Lookup(ctx, id)
	if err == nil && u.User != user {
		return Upload{}, ErrNotFound
	}
	return u, err
}

// Lookup returns the upload whoever owns it, or ErrNotFound, or ErrDeleted.
func (s *Store) Lookup(ctx context.Context, id string) (Upload, error) {
	var deleted int64
	row := s.read.QueryRowContext(ctx, s.dialect.rebind(`SELECT `+uploadColumns+`, deleted_at FROM uploads WHERE id = ?`), id)
	u, err := scanUpload(func(dest ...any) error { return row.Scan(append(dest, &deleted)...) })
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Upload{}, ErrNotFound
	case err != nil:
		return Upload{}, fmt.Errorf("read upload: %w", err)
	case deleted != 0:
		return u, ErrDeleted
	}
	return u, nil
}

// List returns at most limit uploads of user, newest first, with ids below cursor when it is not empty.
func (s *Store) List(ctx context.Context, user, cursor string, limit int) ([]Upload, error) {
	query, args := `SELECT `+uploadColumns+` FROM uploads WHERE user_id = ? AND deleted_at = 0`, []any{user}
	if cursor != "" {
		query, args = query+` AND id < ?`, append(args, cursor)
	}
	rows, err := s.read.QueryContext(ctx, s.dialect.rebind(query+` ORDER BY id DESC LIMIT ?`), append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	defer rows.Close()
	var list []Upload
	for rows.Next() {
		u, err := scanUpload(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list uploads: %w", err)
		}
		list = append(list, u)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	return list, nil
}
