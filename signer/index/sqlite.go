package index

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite" // also the "sqlite" driver of database/sql
	sqlite3 "modernc.org/sqlite/lib"
)

// busyTimeout is how long a statement waits for another process that holds the file.
const busyTimeout = 5 * time.Second

// OpenSQLite opens or creates the database at path; ":memory:" keeps nothing. Clock defaults to time.Now.
func OpenSQLite(ctx context.Context, path string, clock func() time.Time) (*Store, error) {
	s := newStore(sqliteDialect{}, clock)
	if path == ":memory:" {
		return s.inMemory(ctx)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of the index: %w", err)
	}
	// FULL makes a commit survive a power cut, so that an upload which OSS was told is recorded stays
	// recorded; group commit shares the price. A small cache keeps the signer small: rows are read by key.
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String() +
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-1024)&_txlock=immediate" +
		fmt.Sprintf("&_pragma=busy_timeout(%d)", busyTimeout.Milliseconds())
	var err error
	if s.write, err = sql.Open("sqlite", dsn); err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn); err != nil {
		s.write.Close()
		return nil, fmt.Errorf("open the index: %w", err)
	}
	s.read.SetMaxOpenConns(4)
	s.read.SetConnMaxIdleTime(time.Minute)
	return s.startSQLite(ctx)
}

// inMemory opens a database that lives as long as the store. A query whose context ends takes its connection
// with it, so the database has a name of its own, and a connection that nobody uses holds it.
func (s *Store) inMemory(ctx context.Context) (*Store, error) {
	db, err := sql.Open("sqlite", "file:/"+rand.Text()+"?vfs=memdb&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	if s.holder, err = db.Conn(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the index: %w", err), db.Close())
	}
	db.SetMaxOpenConns(2) // the holder and one that works
	s.read, s.write = db, db
	return s.startSQLite(ctx)
}

// startSQLite migrates and begins to commit. One transaction at a time is all that SQLite takes.
func (s *Store) startSQLite(ctx context.Context) (*Store, error) {
	if err := s.migrateSQLite(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.release(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.start(1)
	return s, nil
}

// migrateSQLite migrates, and asks again while another process holds the file: every lock waits for its
// turn (busy_timeout), except the one with which the first connection turns on the write-ahead log.
func (s *Store) migrateSQLite(ctx context.Context) error {
	for giveUp := time.After(busyTimeout); ; {
		err := s.migrate(ctx)
		var failure *sqlite.Error
		if !errors.As(err, &failure) || failure.Code()&0xff != sqlite3.SQLITE_BUSY {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-giveUp:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// release ends what an earlier process held when it was killed: with one process to a file, nobody is
// there to hold a lease, and no event should wait for one to run out.
func (s *Store) release(ctx context.Context) error {
	if _, err := s.write.ExecContext(ctx, `DELETE FROM leases`); err != nil {
		return fmt.Errorf("release leases: %w", err)
	}
	now := s.clock().UnixMilli()
	if _, err := s.write.ExecContext(ctx, `UPDATE outbox SET next_at = ? WHERE state = '`+statePending+`' AND next_at > ?`, now, now); err != nil {
		return fmt.Errorf("release events: %w", err)
	}
	return nil
}

// sqliteDialect speaks to the embedded database, which one process has for itself.
type sqliteDialect struct{}

func (sqliteDialect) rebind(query string) string     { return query }
func (sqliteDialect) schema(statement string) string { return statement }
func (sqliteDialect) skipLocked() string             { return "" }

// lockSchema has nothing to do: transactions are immediate, so a second process waits at their begin.
func (sqliteDialect) lockSchema(context.Context, *sql.Tx) error { return nil }

func (sqliteDialect) in(column string, values []string) (string, []any) {
	if len(values) == 0 {
		return "1 = 0", nil
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	return column + " IN (?" + strings.Repeat(",?", len(values)-1) + ")", args
}

// unavailable is false: a file that cannot be written fails every record on its own.
func (sqliteDialect) unavailable(error) bool { return false }
