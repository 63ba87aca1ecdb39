package index_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/index/pgtest"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// server is the one PostgreSQL of this package's tests; each test has a database of its own in it.
var server *pgtest.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if server, err = pgtest.New(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Close()
		return m.Run()
	}())
}

var testSchema = index.SchemaName("family/album", "family-album", "album/")

// opener opens a further store on the same data each time.
type opener func(t *testing.T, clock func() time.Time) *index.Store

// eachDatabase runs one test on every database; open has fresh data per run.
func eachDatabase(t *testing.T, test func(t *testing.T, open opener)) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "index.db")
		test(t, func(t *testing.T, clock func() time.Time) *index.Store {
			t.Helper()
			return opened(t)(index.OpenSQLite(t.Context(), path, clock))
		})
	})
	t.Run("postgres", func(t *testing.T) {
		dsn := dsnFile(t, database(t))
		test(t, func(t *testing.T, clock func() time.Time) *index.Store {
			t.Helper()
			return ready(t, opened(t)(index.OpenPostgres(t.Context(), index.PostgresOptions{DSNFile: dsn, Schema: testSchema, Clock: clock})))
		})
	})
}

func opened(t *testing.T) func(*index.Store, error) *index.Store {
	t.Helper()
	return func(s *index.Store, err error) *index.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
}

// ready waits for the schema: OpenPostgres leaves a migration that takes long to the background.
func ready(t *testing.T, s *index.Store) *index.Store {
	t.Helper()
	await.Nothing(t, func() string {
		if err := s.Ping(t.Context()); err != nil {
			return err.Error()
		}
		return ""
	})
	return s
}

// database returns the DSN of a new one.
func database(t *testing.T) string {
	t.Helper()
	dsn, err := server.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func dsnFile(t *testing.T, dsn string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte(dsn+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// fakeClock stands still until it is moved.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *fakeClock {
	return &fakeClock{now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// upload is a complete record of user.
func upload(user, id string) index.Upload {
	return index.Upload{ID: id, User: user, Key: "album/" + user + "/" + id + ".jpg", Name: "假日 photo.jpg", Size: 1234, ContentType: "image/jpeg",
		MD5: "d8e8fca2dc0f896fd7cb4cb0031ba249", CRC64: "16633938635979353501", ETag: "D8E8FCA2DC0F896FD7CB4CB0031BA249", Status: index.StatusCompleted,
		CreatedAt: time.UnixMilli(1795341600123).UTC(), Metadata: []byte(`{"album":"42"}`), ImageWidth: 640, ImageHeight: 480, ImageFormat: "jpg", Source: index.SourceCallback}
}

func eventOf(u index.Upload, kind string) *index.Event {
	return &index.Event{ID: u.ID + "." + kind, UploadID: u.ID, Type: kind, Payload: []byte(`{"id":"` + u.ID + `"}`)}
}

// record fails the test unless the outcome is as wanted.
func record(t *testing.T, s *index.Store, u index.Upload, event *index.Event, wantCreated bool) index.Recorded {
	t.Helper()
	got, err := recordPatiently(t, s, u, event)
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != wantCreated {
		t.Fatalf("created = %v, want %v", got.Created, wantCreated)
	}
	return got
}

// busy tells that a machine was too slow for a transaction, so that nothing was written: time was up, or
// another store had the file of SQLite for too long.
func busy(err error) bool {
	var failure *sqlite.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &failure) && failure.Code()&0xff == sqlite3.SQLITE_BUSY
}

// patiently asks again while the database is busy, as whoever wants an answer does.
func patiently(t *testing.T, f func() error) {
	t.Helper()
	err := f()
	for begin := time.Now(); busy(err) && time.Since(begin) < await.Patience; {
		err = f()
	}
	if err != nil {
		t.Error(err)
	}
}

// recordPatiently records an upload, on a busy machine again and again.
func recordPatiently(t *testing.T, s *index.Store, u index.Upload, event *index.Event) (got index.Recorded, err error) {
	for begin := time.Now(); ; {
		got, err = s.Record(t.Context(), u, event)
		if !busy(err) || time.Since(begin) > await.Patience {
			return got, err
		}
	}
}

func claim(t *testing.T, s *index.Store, limit int) []index.Delivery {
	t.Helper()
	due, err := s.Claim(t.Context(), limit, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return due
}
