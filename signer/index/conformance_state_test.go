package index_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/signer/index"
)

// More promises of a Store on both databases: what sweeping, deleting, deduplication and multipart need.

func TestKnownKeysTellsRecordedDeletedStrangeAndNew(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		kept, gone := upload("ann", "kept"), upload("ann", "gone")
		record(t, s, kept, nil, true)
		record(t, s, gone, nil, true)
		if _, err := s.Delete(t.Context(), "ann", "gone", nil); err != nil {
			t.Fatal(err)
		}
		for key, etag := range map[string]string{"album/s1": "old", "album/s2": "same", "album/\x00\xff": "same"} {
			if err := s.MarkStranger(t.Context(), key, etag, ""); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.MarkStranger(t.Context(), "album/s1", "older", ""); err != nil {
			t.Fatal(err)
		}
		got, err := s.KnownKeys(t.Context(), map[string]string{kept.Key: "x", gone.Key: "x", "album/s1": "new", "album/s2": "same", "album/new": "x", "album/\x01\xfe\x00": "x"})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{kept.Key: true, gone.Key: false, "album/s2": true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got, err := s.KnownKeys(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("no keys: %v, %v", got, err)
		}
	})
}

// Objects whose ticket key was not known are looked at again once it is; other strangers are not.
func TestStrangersOfARestoredKeyAreForgotten(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		for key, ticketKey := range map[string]string{"album/lost": "k1", "album/other": "k2", "album/foreign": "", "album/odd": "\x00\xff"} {
			if err := s.MarkStranger(t.Context(), key, "E", ticketKey); err != nil {
				t.Fatal(err)
			}
		}
		for _, tc := range []struct {
			keys []string
			want int64
		}{{nil, 0}, {[]string{""}, 0}, {[]string{"k0", "k1"}, 1}, {[]string{"k0", "k1"}, 0}} {
			if n, err := s.ForgetStrangers(t.Context(), tc.keys); err != nil || n != tc.want {
				t.Errorf("keys %q: %d, %v; want %d", tc.keys, n, err, tc.want)
			}
		}
		got, err := s.KnownKeys(t.Context(), map[string]string{"album/lost": "E", "album/other": "E", "album/foreign": "E"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]bool{"album/other": true, "album/foreign": true}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A client may ask for anything; the answer is that there is nothing, not an error.
func TestStrangeQuestionsFindNothing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		record(t, s, upload("ann", "u1"), nil, true)
		for _, id := range []string{"\x00", "\xff", "u1\x00", "%", "'", ""} {
			if _, err := s.Get(t.Context(), "ann", id); !errors.Is(err, index.ErrNotFound) {
				t.Errorf("get %q: %v", id, err)
			}
			if _, err := s.List(t.Context(), "ann", id, 5); err != nil {
				t.Errorf("list from %q: %v", id, err)
			}
			if found, err := s.OwnHashes(t.Context(), "ann", []string{id}); err != nil || len(found) != 0 {
				t.Errorf("hash %q: %v, %v", id, found, err)
			}
		}
	})
}

func TestDeleteHidesTheUploadAndTellsOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		u := upload("ann", "u1")
		record(t, s, u, nil, true)
		event := func(u index.Upload) (*index.Event, error) { return eventOf(u, "deleted"), nil }
		if _, err := s.Delete(t.Context(), "bob", "u1", event); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("another user: %v, want ErrNotFound", err)
		}
		got, err := s.Delete(t.Context(), "ann", "u1", event)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(u, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if _, err := s.Delete(t.Context(), "ann", "u1", event); !errors.Is(err, index.ErrDeleted) {
			t.Errorf("again: %v, want ErrDeleted", err)
		}
		if _, err := s.Get(t.Context(), "ann", "u1"); !errors.Is(err, index.ErrDeleted) && !errors.Is(err, index.ErrNotFound) {
			t.Errorf("get: %v", err)
		}
		if _, err := s.Record(t.Context(), u, eventOf(u, "completed")); !errors.Is(err, index.ErrDeleted) {
			t.Errorf("a late callback: %v, want ErrDeleted", err)
		}
		if list, err := s.List(t.Context(), "ann", "", 10); err != nil || len(list) != 0 {
			t.Errorf("listed %d, %v", len(list), err)
		}
		if due := claim(t, s, 10); len(due) != 1 || due[0].Type != "deleted" {
			t.Errorf("events %+v, want the one of the deletion", due)
		}
	})
}

func TestOneHolderHasALease(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		a, b := open(t, clock.Now), open(t, clock.Now)
		lease := func(s *index.Store, name, holder string, want bool) {
			t.Helper()
			got, err := s.Lease(t.Context(), name, holder, time.Minute)
			if err != nil || got != want {
				t.Errorf("%s for %s: %v, %v, want %v", name, holder, got, err, want)
			}
		}
		lease(a, "sweep", "a", true)
		lease(b, "sweep", "b", false)
		lease(b, "other", "b", true)
		clock.Add(50 * time.Second)
		lease(a, "sweep", "a", true) // renewed
		clock.Add(50 * time.Second)
		lease(b, "sweep", "b", false)
		clock.Add(11 * time.Second)
		lease(b, "sweep", "b", true)
		lease(a, "sweep", "a", false)
	})
}

func TestStateOutlivesAReplica(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		if got, err := s.State(t.Context(), "cursor"); err != nil || got != "" {
			t.Fatalf("new state %q, %v", got, err)
		}
		for _, value := range []string{"album/a", "album/b"} {
			if err := s.SetState(t.Context(), "cursor", value); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := open(t, nil).State(t.Context(), "cursor"); err != nil || got != "album/b" {
			t.Errorf("state %q, %v, want album/b", got, err)
		}
	})
}

func TestHashesAndBytesAreOfLiveUploads(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		old, young, foreign, gone := upload("ann", "u1"), upload("ann", "u2"), upload("bob", "u3"), upload("ann", "u4")
		begin := old.CreatedAt
		young.CreatedAt, young.Size = begin.Add(time.Hour), 6<<30
		old.Size = 6 << 30
		foreign.MD5, gone.MD5 = "bbbb", "cccc"
		for _, u := range []index.Upload{old, young, foreign, gone} {
			record(t, s, u, nil, true)
		}
		if _, err := s.Delete(t.Context(), "ann", "u4", nil); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ByHash(t.Context(), "ann", old.MD5, old.Size); err != nil || got.ID != "u2" {
			t.Errorf("by hash: %s, %v, want the newest", got.ID, err)
		}
		if got, err := s.ByHash(t.Context(), "", "bbbb", foreign.Size); err != nil || got.ID != "u3" {
			t.Errorf("by hash of anybody: %s, %v", got.ID, err)
		}
		for name, q := range map[string]struct {
			user, md5 string
			size      int64
		}{"another user": {"ann", "bbbb", foreign.Size}, "another size": {"ann", old.MD5, 1}, "deleted": {"ann", "cccc", gone.Size}} {
			if _, err := s.ByHash(t.Context(), q.user, q.md5, q.size); !errors.Is(err, index.ErrNotFound) {
				t.Errorf("%s: %v, want ErrNotFound", name, err)
			}
		}
		own, err := s.OwnHashes(t.Context(), "ann", []string{old.MD5, "bbbb", "cccc", "dddd"})
		if err != nil || len(own) != 2 || own[0].ID != "u1" || own[1].ID != "u2" {
			t.Errorf("own hashes %+v, %v", own, err)
		}
		for i := range 30 {
			copied := upload("eve", fmt.Sprintf("copy-%02d", i))
			copied.CreatedAt = begin.Add(-time.Hour)
			record(t, s, copied, nil, true)
		}
		if own, err := s.OwnHashes(t.Context(), "eve", []string{upload("eve", "").MD5}); err != nil || len(own) != 10 || own[9].ID != "copy-29" {
			t.Errorf("%d own copies, %v; want the newest ten", len(own), err)
		}
		for name, q := range map[string]struct {
			user  string
			since time.Time
			want  int64
		}{
			"both":        {"ann", begin, 12<<30 + 1234}, // a deleted upload has been uploaded
			"young":       {"ann", begin.Add(time.Minute), 6 << 30},
			"none":        {"ann", begin.Add(2 * time.Hour), 0},
			"all users":   {"", begin, 12<<30 + 2*1234},
			"nobody's":    {"eve", begin, 0},
			"before time": {"bob", time.UnixMilli(0), 1234},
		} {
			if got, err := s.BytesSince(t.Context(), q.user, q.since); err != nil || got != q.want {
				t.Errorf("%s: %d, %v, want %d", name, got, err, q.want)
			}
		}
	})
}

func TestMultipartsAreTheirUsersAndExpire(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		s := open(t, clock.Now)
		want := index.Multipart{ID: "m1", User: "ann", Key: "album/m1", UploadID: "oss-1", Ticket: "sealed", PartSize: 8 << 20, Expires: clock.Now().Add(time.Hour)}
		if err := s.AddMultipart(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := s.GetMultipart(t.Context(), "ann", "m1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if _, err := s.GetMultipart(t.Context(), "bob", "m1"); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("another user: %v", err)
		}
		if list, err := s.ExpiredMultiparts(t.Context(), 10); err != nil || len(list) != 0 {
			t.Errorf("expired at once: %+v, %v", list, err)
		}
		clock.Add(time.Hour + time.Millisecond)
		list, err := s.ExpiredMultiparts(t.Context(), 10)
		if err != nil || len(list) != 1 || list[0].UploadID != "oss-1" {
			t.Errorf("expired: %+v, %v", list, err)
		}
		if err := s.DropMultipart(t.Context(), "m1"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.GetMultipart(t.Context(), "ann", "m1"); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("dropped: %v", err)
		}
	})
}

func TestDeadLettersAreListedAndReplayed(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		s := open(t, clock.Now)
		for _, id := range []string{"u1", "u2", "u3"} {
			u := upload("ann", id)
			record(t, s, u, eventOf(u, "completed"), true)
		}
		for _, d := range claim(t, s, 10) {
			if err := s.Bury(t.Context(), d.Seq, "the receiver answered with status 500"); err != nil {
				t.Fatal(err)
			}
		}
		dead, err := s.DeadLetters(t.Context(), 2)
		if err != nil || len(dead) != 2 || dead[0].ID != "u1.completed" || dead[0].Reason != "the receiver answered with status 500" || dead[0].Attempts != 1 || string(dead[0].Payload) != `{"id":"u1"}` {
			t.Fatalf("dead letters %+v, %v", dead, err)
		}
		clock.Add(time.Hour)
		if n, err := s.Replay(t.Context(), []string{"u2.completed", "unknown"}); err != nil || n != 1 {
			t.Errorf("replayed %d, %v, want 1", n, err)
		}
		if due := claim(t, s, 10); len(due) != 1 || due[0].ID != "u2.completed" || due[0].Attempts != 1 || !due[0].CreatedAt.Equal(clock.Now()) {
			t.Errorf("due %+v", due)
		}
		if n, err := s.Replay(t.Context(), nil); err != nil || n != 2 {
			t.Errorf("replayed %d, %v, want the other 2", n, err)
		}
	})
}

func TestAChallengeIsFreshOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		s := open(t, clock.Now)
		for _, id := range []string{"c1", "c2"} {
			if err := s.AddChallenge(t.Context(), id, "ann", []byte(`{"q":1}`), clock.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		take := func(user, id string, wantFresh bool, wantErr error) {
			t.Helper()
			body, fresh, err := s.TakeChallenge(t.Context(), user, id)
			if !errors.Is(err, wantErr) || fresh != wantFresh || err == nil && string(body) != `{"q":1}` {
				t.Errorf("%s for %s: %q, %v, %v", id, user, body, fresh, err)
			}
		}
		take("bob", "c1", false, index.ErrNotFound)
		take("ann", "c1", true, nil)
		take("ann", "c1", false, nil)
		clock.Add(time.Minute)
		take("ann", "c2", false, nil)
		if err := s.PruneChallenges(t.Context(), clock.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		take("ann", "c2", false, index.ErrNotFound)
	})
}

func TestAVerificationIsClaimedOnceAndSettledOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		a, b := open(t, clock.Now), open(t, clock.Now)
		u := upload("ann", "u1")
		u.Status = index.StatusVerifying
		record(t, a, u, nil, true)
		if n, oldest, err := b.Unverified(t.Context()); err != nil || n != 1 || !oldest.Equal(clock.Now()) {
			t.Errorf("unverified %d since %s, %v", n, oldest, err)
		}
		claimed := func(s *index.Store, want int) {
			t.Helper()
			due, err := s.ClaimVerifications(t.Context(), 10, time.Minute)
			if err != nil || len(due) != want {
				t.Fatalf("claimed %+v, %v, want %d", due, err, want)
			}
		}
		claimed(a, 1)
		claimed(b, 0)
		clock.Add(time.Minute)
		claimed(b, 1)
		event := func(u index.Upload) (*index.Event, error) { return eventOf(u, u.Status), nil }
		for i, want := range []bool{true, false} {
			settled, err := b.SettleVerification(t.Context(), "u1", index.Verdict{Status: index.StatusRejected, Reason: "no image"}, event)
			if err != nil || settled != want {
				t.Errorf("settled %d: %v, %v, want %v", i, settled, err, want)
			}
		}
		if got, err := a.Lookup(t.Context(), "u1"); err != nil || got.Status != index.StatusRejected {
			t.Errorf("status %q, %v", got.Status, err)
		}
		if n, _, err := a.Unverified(t.Context()); err != nil || n != 0 {
			t.Errorf("unverified %d, %v", n, err)
		}
		if due := claim(t, a, 10); len(due) != 1 || due[0].Type != index.StatusRejected {
			t.Errorf("events %+v", due)
		}
	})
}
