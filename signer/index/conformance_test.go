package index_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/signer/index"
)

// The tests of this file are the promises of a Store. All run on both databases.

func TestARecordIsReadBackAsWritten(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		full, bare := upload("ann", "u1"), index.Upload{ID: "u2", User: "ann", Key: "album/2", Status: index.StatusCompleted, CreatedAt: time.UnixMilli(1).UTC(), Source: index.SourceSweep}
		for _, want := range []index.Upload{full, bare} {
			record(t, s, want, nil, true)
			got, err := s.Get(t.Context(), "ann", want.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", want.ID, diff)
			}
		}
	})
}

func TestOnlyTheOwnerSeesAnUpload(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		record(t, s, upload("ann", "u1"), nil, true)
		for name, user := range map[string]string{"another user": "bob", "another case": "Ann", "no user": ""} {
			if _, err := s.Get(t.Context(), user, "u1"); !errors.Is(err, index.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", name, err)
			}
			list, err := s.List(t.Context(), user, "", 10)
			if err != nil || len(list) != 0 {
				t.Errorf("%s: listed %d uploads, %v", name, len(list), err)
			}
		}
		if _, err := s.Lookup(t.Context(), "u2"); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("unknown id: got %v, want ErrNotFound", err)
		}
	})
}

func TestRecordingTwiceCreatesOneRecordAndOneEvent(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		first := upload("ann", "u1")
		record(t, s, first, eventOf(first, "completed"), true)
		again := first
		again.Name, again.Source = "other.jpg", index.SourceSweep
		got := record(t, s, again, eventOf(again, "completed"), false)
		if diff := cmp.Diff(first, got.Upload); diff != "" {
			t.Errorf("the second call must return what the first wrote (-want +got):\n%s", diff)
		}
		if due := claim(t, s, 10); len(due) != 1 {
			t.Errorf("%d events, want 1", len(due))
		}
	})
}

func TestAKeyBelongsToOneUpload(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		record(t, s, upload("ann", "u1"), nil, true)
		thief := upload("bob", "u2")
		thief.Key = upload("ann", "u1").Key
		if _, err := s.Record(t.Context(), thief, eventOf(thief, "completed")); !errors.Is(err, index.ErrConflict) {
			t.Errorf("got %v, want ErrConflict", err)
		}
		if due := claim(t, s, 10); len(due) != 0 {
			t.Errorf("a refused record left %d events", len(due))
		}
	})
}

// PostgreSQL takes no zero byte and no invalid UTF-8; such a name must not keep the upload out.
func TestStrangeTextIsRecorded(t *testing.T) {
	tests := map[string]struct{ name, want string }{
		"zero byte":     {"a\x00b.jpg", "a\uFFFDb.jpg"},
		"invalid UTF-8": {"a\xff.jpg", "a\uFFFD.jpg"},
		"quotes":        {`a'"?$1\.jpg`, `a'"?$1\.jpg`},
		"emoji":         {"📷.jpg", "📷.jpg"},
	}
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				u := upload("ann", name)
				u.Name, u.Metadata = test.name, []byte(`{"n":"`+test.name+`"}`)
				event := eventOf(u, "completed")
				event.Payload = u.Metadata
				if got := record(t, s, u, event, true); got.Upload.Name != test.want {
					t.Errorf("returned name %q, want %q", got.Upload.Name, test.want)
				}
				got, err := s.Get(t.Context(), "ann", name)
				if err != nil || got.Name != test.want {
					t.Errorf("stored name %q, %v, want %q", got.Name, err, test.want)
				}
			})
		}
	})
}

// The ids are chosen so that a language's collation would order them otherwise than bytes do.
func TestListGoesThroughAllPagesNewestFirst(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		var want []string
		for _, id := range []string{"B", "a", "A", "b", "_", "a-1", "a1", "Z", "0"} {
			record(t, s, upload("ann", id), nil, true)
			record(t, s, upload("bob", "bob"+id), nil, true)
			want = append(want, id)
		}
		slices.Sort(want)
		slices.Reverse(want)
		var got []string
		cursor := ""
		for {
			page, err := s.List(t.Context(), "ann", cursor, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, u := range page {
				got = append(got, u.ID)
			}
			cursor = got[len(got)-1]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestManyRecordsAtTheSameTimeAreEachCreatedOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		replicas := []*index.Store{open(t, nil), open(t, nil)}
		const uploads, callers = 150, 3
		var created atomic.Int64
		var wg sync.WaitGroup
		for i := range uploads * callers {
			wg.Go(func() {
				u := upload("ann", fmt.Sprintf("u%03d", i%uploads))
				got, err := recordPatiently(t, replicas[i%len(replicas)], u, eventOf(u, "completed"))
				if err != nil {
					t.Error(err)
				}
				if got.Created {
					created.Add(1)
				}
			})
		}
		wg.Wait()
		if created.Load() != uploads {
			t.Errorf("%d records were created, want %d", created.Load(), uploads)
		}
		backlog, err := replicas[0].Backlog(t.Context())
		if err != nil || backlog.Pending != uploads {
			t.Errorf("%d events, %v, want %d", backlog.Pending, err, uploads)
		}
		var stats index.Stats
		for _, s := range replicas {
			one := s.Stats()
			stats.Committed, stats.Commits, stats.CommitTime = stats.Committed+one.Committed, stats.Commits+one.Commits, stats.CommitTime+one.CommitTime
			if one.Connections == 0 {
				t.Error("a database without a connection answered")
			}
		}
		if stats.Committed != uploads*callers || stats.Commits == 0 || stats.Commits > stats.Committed || stats.CommitTime <= 0 {
			t.Errorf("%+v: want %d records in fewer commits", stats, uploads*callers)
		}
	})
}

func TestEventsOfAnUploadComeInOrder(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		s := open(t, clock.Now)
		u, other := upload("ann", "u1"), upload("ann", "u2")
		record(t, s, u, eventOf(u, "completed"), true)
		// A second event of the same upload, by an upload that is created with it.
		second := eventOf(u, "deleted")
		record(t, s, other, second, true)

		first := claim(t, s, 10)
		if len(first) != 1 || first[0].Type != "completed" || first[0].Attempts != 1 || !first[0].CreatedAt.Equal(clock.Now()) {
			t.Fatalf("got %+v, want the first event only", first)
		}
		if due := claim(t, s, 10); len(due) != 0 {
			t.Fatalf("%d events while the first is under way", len(due))
		}
		if err := s.Retry(t.Context(), first[0].Seq, clock.Now().Add(time.Hour), "no luck"); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Minute)
		if due := claim(t, s, 10); len(due) != 0 {
			t.Fatalf("%d events while the first waits for its retry", len(due))
		}
		clock.Add(time.Hour)
		retried := claim(t, s, 10)
		if len(retried) != 1 || retried[0].Type != "completed" || retried[0].Attempts != 2 {
			t.Fatalf("got %+v, want the retried event", retried)
		}
		if err := s.Delivered(t.Context(), retried[0].Seq); err != nil {
			t.Fatal(err)
		}
		// A replica that was slower than its lease learns too late that its own attempt failed.
		if err := s.Retry(t.Context(), first[0].Seq, clock.Now(), "late"); err != nil {
			t.Fatal(err)
		}
		if due := claim(t, s, 10); len(due) != 1 || due[0].Type != "deleted" {
			t.Fatalf("got %+v, want the second event", due)
		}
	})
}

func TestALeaseThatRunsOutGivesTheEventToAnother(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		dead, alive := open(t, clock.Now), open(t, clock.Now)
		u := upload("ann", "u1")
		record(t, dead, u, eventOf(u, "completed"), true)
		if due := claim(t, dead, 1); len(due) != 1 {
			t.Fatalf("%d events, want 1", len(due))
		}
		clock.Add(59 * time.Second)
		if due := claim(t, alive, 1); len(due) != 0 {
			t.Fatal("claimed during another's lease")
		}
		clock.Add(time.Second)
		if due := claim(t, alive, 1); len(due) != 1 || due[0].Attempts != 2 {
			t.Fatalf("got %+v after the lease", due)
		}
	})
}

// Replicas claim at the same time: none gets what another has, and all is delivered in order.
func TestNoEventIsDeliveredByTwoReplicasAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		const uploads, kinds = 40, 3
		replicas := []*index.Store{open(t, nil), open(t, nil), open(t, nil)}
		for i := range uploads {
			for k := range kinds {
				u := upload("ann", fmt.Sprintf("u%d.%d", i, k))
				event := eventOf(u, "k")
				event.UploadID = fmt.Sprintf("u%d", i)
				record(t, replicas[0], u, event, true)
			}
		}
		var mu sync.Mutex
		busy, order := map[string]bool{}, map[string][]string{}
		var delivered atomic.Int64
		var wg sync.WaitGroup
		for _, s := range replicas {
			for range 2 {
				wg.Go(func() {
					for delivered.Load() < uploads*kinds && !t.Failed() {
						var due []index.Delivery
						patiently(t, func() (err error) { due, err = s.Claim(t.Context(), 7, time.Hour); return err })
						for _, d := range due {
							mu.Lock()
							if busy[d.UploadID] {
								t.Errorf("two events of %s are under way at once", d.UploadID)
							}
							busy[d.UploadID] = true
							order[d.UploadID] = append(order[d.UploadID], d.ID)
							mu.Unlock()

							mu.Lock()
							busy[d.UploadID] = false
							mu.Unlock()
							patiently(t, func() error { return s.Delivered(t.Context(), d.Seq) })
							delivered.Add(1)
						}
					}
				})
			}
		}
		wg.Wait()
		for i := range uploads {
			id := fmt.Sprintf("u%d", i)
			want := []string{id + ".0.k", id + ".1.k", id + ".2.k"}
			if diff := cmp.Diff(want, order[id]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", id, diff)
			}
		}
	})
}

func TestBacklogDeadLettersAndRetention(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		begin := clock.Now()
		s := open(t, clock.Now)
		if b, err := s.Backlog(t.Context()); err != nil || b != (index.Backlog{}) {
			t.Fatalf("empty backlog: %+v, %v", b, err)
		}
		for _, id := range []string{"u1", "u2", "u3"} {
			u := upload("ann", id)
			record(t, s, u, eventOf(u, "completed"), true)
		}
		due := claim(t, s, 10)
		if len(due) != 3 {
			t.Fatalf("%d events, want 3", len(due))
		}
		if err := s.Delivered(t.Context(), due[0].Seq); err != nil {
			t.Fatal(err)
		}
		if err := s.Bury(t.Context(), due[1].Seq, "gone\x00"); err != nil {
			t.Fatal(err)
		}
		want := index.Backlog{Pending: 1, Dead: 1, Oldest: begin, NextDue: begin.Add(time.Minute)}
		if b, err := s.Backlog(t.Context()); err != nil || b != want {
			t.Errorf("got %+v, %v, want %+v", b, err, want)
		}
		clock.Add(time.Hour)
		if n, err := s.Prune(t.Context(), begin); err != nil || n != 0 {
			t.Errorf("pruned %d young events, %v", n, err)
		}
		if n, err := s.Prune(t.Context(), begin.Add(time.Second)); err != nil || n != 1 {
			t.Errorf("pruned %d events, %v, want the delivered one", n, err)
		}
		if b, err := s.Backlog(t.Context()); err != nil || b != want {
			t.Errorf("pruning changed the backlog: %+v, %v", b, err)
		}
	})
}

func TestReplicasThatStartTogetherMigrateOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		// Stores are opened by goroutines of subtests, whose failures are their own.
		for i := range 5 {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				if err := open(t, nil).Ping(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

func TestAClosedStoreRefusesRecords(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Record(t.Context(), upload("ann", "u1"), nil); !errors.Is(err, index.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestSchemaNamesAreSafeAndDiffer(t *testing.T) {
	long := strings.Repeat("n", 63) + "/" + strings.Repeat("t", 52)
	seen := map[string]string{}
	for _, c := range [][3]string{{"family/album", "b", "p/"}, {"family/album", "b", "q/"}, {"family/album", "c", "p/"}, {"family-album", "b", "p/"},
		{long, "b", "p/"}, {long + "x", "b", "p/"}, {`a"; DROP`, "b", "p/"}, {"a/b", "c", "d/e/"}, {"a/b", "c", "d/"}} {
		name := index.SchemaName(c[0], c[1], c[2])
		if len(name) > 63 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("%q makes the schema name %q", c[0], name)
		}
		if seen[name] != "" {
			t.Errorf("%v and %s share %s", c, seen[name], name)
		}
		seen[name] = c[0]
	}
}
