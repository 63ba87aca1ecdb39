package index_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/index/pgtest"
	"github.com/uploadtenant/uploadtenant/test/await"
)

func openPostgres(t *testing.T, dsn string) *index.Store {
	t.Helper()
	return ready(t, opened(t)(index.OpenPostgres(t.Context(), index.PostgresOptions{DSNFile: dsn, Schema: testSchema})))
}

// exec runs a statement as the superuser.
func exec(t *testing.T, dsn, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Error(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What Record returned without an error was told to OSS, which never asks again.
func TestAcknowledgedRecordsSurviveAKilledServer(t *testing.T) {
	own := pgtest.Start(t)
	dsn, err := own.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	replicas := []*index.Store{openPostgres(t, dsnFile(t, dsn)), openPostgres(t, dsnFile(t, dsn))}
	const kills, writers = 3, 16
	var mu sync.Mutex
	var acknowledged []index.Upload
	var down atomic.Bool
	failed := 0 // while the server was down
	for round := range kills {
		load, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := 0; load.Err() == nil; i++ {
					u := upload("ann", fmt.Sprintf("u%d-%02d-%05d", round, w, i))
					got, err := replicas[w%len(replicas)].Record(t.Context(), u, eventOf(u, "completed"))
					gone := down.Load()
					mu.Lock()
					switch {
					case err == nil:
						acknowledged = append(acknowledged, got.Upload)
					case gone:
						failed++
					}
					mu.Unlock()
					if err != nil && gone {
						return
					}
				}
			})
		}
		count := func() int { mu.Lock(); defer mu.Unlock(); return len(acknowledged) }
		before := count()
		await.True(t, "records are written", func() bool { return count() >= before+300 })
		down.Store(true)
		if err := own.Kill(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		stop()
		if err := own.Restart(); err != nil {
			t.Fatal(err)
		}
		down.Store(false)
		for _, s := range replicas {
			ready(t, s)
		}
	}
	for _, want := range acknowledged {
		got, err := replicas[0].Get(t.Context(), "ann", want.ID)
		if err != nil {
			t.Fatalf("acknowledged record %s: %v", want.ID, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("acknowledged record %s (-want +got):\n%s", want.ID, diff)
		}
	}
	backlog, err := replicas[0].Backlog(t.Context())
	if err != nil || backlog.Pending < int64(len(acknowledged)) {
		t.Errorf("%d events for %d acknowledged records, %v", backlog.Pending, len(acknowledged), err)
	}
	if failed == 0 {
		t.Error("no record failed: the server was not killed under load")
	}
	t.Logf("%d acknowledged, %d refused, %d kills", len(acknowledged), failed, kills)
}

func TestAServerThatIsAwayIsAwaited(t *testing.T) {
	own := pgtest.Start(t)
	dsn, err := own.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Stop(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := opened(t)(index.OpenPostgres(t.Context(), index.PostgresOptions{DSNFile: dsnFile(t, dsn+" password=hunter2"), Schema: testSchema,
		Logger: slog.New(slog.NewTextHandler(&syncWriter{w: &log}, nil))}))
	refusal := func() time.Duration {
		begin := time.Now()
		if err := s.Ping(t.Context()); err == nil {
			t.Error("a server that is away must not be ready")
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error holds the password: %v", err)
		}
		if _, err := s.Record(t.Context(), upload("ann", "u1"), nil); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("recording without a server: %v", err)
		}
		return time.Since(begin)
	}
	// The fastest of some counts: a machine that stands still for seconds does not do so each time.
	took := refusal()
	for n := 1; n < 5 && took > 4*time.Second; n++ {
		took = min(took, refusal())
	}
	if took > 4*time.Second {
		t.Errorf("it took %s to refuse; OSS waits 5 s", took)
	}
	if err := own.Restart(); err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	record(t, s, upload("ann", "u1"), nil, true)
	// The server goes and comes back once more, now with connections in the pool.
	if err := own.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("ready without a server")
	}
	if err := own.Restart(); err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	record(t, s, upload("ann", "u1"), nil, false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), "not available") {
		t.Errorf("log:\n%s", log.String())
	}
}

type syncWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (s *syncWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// The bucket is the ledger: an index that somebody drops is made anew, and the sweeper fills it.
func TestADroppedSchemaIsMadeAnew(t *testing.T) {
	dsn := database(t)
	s := openPostgres(t, dsnFile(t, dsn))
	record(t, s, upload("ann", "u1"), nil, true)
	exec(t, dsn, `DROP SCHEMA `+testSchema+` CASCADE`)
	if _, err := s.Record(t.Context(), upload("ann", "u2"), nil); err == nil {
		t.Error("recorded without a table")
	}
	ready(t, s)
	record(t, s, upload("ann", "u1"), nil, true)
}

func TestAChangedConnectionStringNeedsNoRestart(t *testing.T) {
	old, moved := database(t), database(t)
	file := dsnFile(t, old)
	s := openPostgres(t, file)
	record(t, s, upload("ann", "u1"), nil, true)
	if err := os.WriteFile(file, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	// It waits until they have ended: a connection that lives leads to the old database.
	exec(t, moved, `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'uploadtenant-signer' AND datname <> current_database()`)
	ready(t, s)
	record(t, s, upload("ann", "u1"), nil, true)
	record(t, openPostgres(t, dsnFile(t, moved)), upload("ann", "u1"), nil, false)
}

func TestTenantsShareADatabaseWithoutSeeingEachOther(t *testing.T) {
	dsn := dsnFile(t, database(t))
	album := openPostgres(t, dsn)
	other := ready(t, opened(t)(index.OpenPostgres(t.Context(), index.PostgresOptions{DSNFile: dsn, Schema: index.SchemaName("family/video", "family-album", "video/")})))
	u := upload("ann", "u1")
	record(t, album, u, eventOf(u, "completed"), true)
	if _, err := other.Lookup(t.Context(), "u1"); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("another tenant's upload: %v, want ErrNotFound", err)
	}
	if due := claim(t, other, 10); len(due) != 0 {
		t.Errorf("another tenant's events: %+v", due)
	}
	if mine, err := album.Lease(t.Context(), "sweep", "a", time.Minute); err != nil || !mine {
		t.Errorf("lease: %v, %v", mine, err)
	}
	if mine, err := other.Lease(t.Context(), "sweep", "b", time.Minute); err != nil || !mine {
		t.Errorf("lease of the other tenant: %v, %v", mine, err)
	}
	record(t, other, u, nil, true)
}

// A careful administrator gives the role nothing but a schema of its own.
func TestARoleWithNothingButItsSchemaSuffices(t *testing.T) {
	dsn := database(t)
	name := strings.TrimPrefix(dsn[strings.Index(dsn, "dbname="):], "dbname=")
	name, _, _ = strings.Cut(name, " ")
	role := name + "_role"
	exec(t, dsn, `CREATE ROLE `+role+` LOGIN`)
	exec(t, dsn, `REVOKE ALL ON DATABASE `+name+` FROM PUBLIC; GRANT CONNECT ON DATABASE `+name+` TO `+role+`; REVOKE ALL ON SCHEMA public FROM PUBLIC`)
	s := opened(t)(index.OpenPostgres(t.Context(), index.PostgresOptions{DSNFile: dsnFile(t, strings.Replace(dsn, "user=postgres", "user="+role, 1)), Schema: testSchema}))
	err := s.Ping(t.Context())
	if err == nil {
		t.Fatal("ready without a schema")
	}
	exec(t, dsn, `CREATE SCHEMA `+testSchema+` AUTHORIZATION `+role)
	ready(t, s)
	record(t, s, upload("ann", "u1"), nil, true)
}

// Records that share a transaction do not share their fate.
func TestARefusedRecordTakesNoOtherWithIt(t *testing.T) {
	s := openPostgres(t, dsnFile(t, database(t)))
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			u := upload("ann", fmt.Sprintf("u%02d", i))
			bad := i%20 == 7
			if bad {
				u.Key = incompressible(20_000) // more than an index of PostgreSQL takes
			}
			_, err := recordPatiently(t, s, u, eventOf(u, "completed"))
			if bad != (err != nil) {
				t.Errorf("%s: bad %v, error %v", u.ID, bad, err)
			}
		})
	}
	wg.Wait()
}

func incompressible(n int) string {
	letters := make([]byte, n)
	for i := range letters {
		letters[i] = byte('!' + rand.N(90))
	}
	return string(letters)
}

func TestAnUnusableConnectionStringIsToldWithoutItself(t *testing.T) {
	tests := map[string]string{
		"no string at all": "hunter2",
		"empty":            "",
		"bad port":         "postgres://u:hunter2@host:port/db",
		"bad mode":         "postgres://u:hunter2@host/db?sslmode=hunter2",
		"missing file":     "host=h user=u password=hunter2 sslmode=verify-full sslrootcert=/nonexistent/hunter2",
		"broken quotes":    "host=h password='hunter2",
	}
	for name, dsn := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := index.OpenPostgres(t.Context(), index.PostgresOptions{DSNFile: dsnFile(t, dsn), Schema: testSchema})
			if err == nil {
				t.Fatal(s.Close(), "opened")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
	if _, err := index.OpenPostgres(t.Context(), index.PostgresOptions{DSNFile: filepath.Join(t.TempDir(), "none"), Schema: testSchema}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
