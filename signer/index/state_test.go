package index_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/signer/index"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDeletedUploadsAreKnownButNeverComeBack(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, newClock().Now)
		live, gone := upload("alice", "a1"), upload("alice", "a2")
		live.MD5, gone.MD5 = "d8e8fca2dc0f896fd7cb4cb0031ba249", "d8e8fca2dc0f896fd7cb4cb0031ba249"
		record(t, s, live, nil, true)
		record(t, s, gone, eventOf(gone, "upload.completed"), true)
		if _, err := s.Delete(t.Context(), "bob", gone.ID, nil); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("another user deletes it: %v", err)
		}
		_, err := s.Delete(t.Context(), "alice", gone.ID, func(u index.Upload) (*index.Event, error) {
			return &index.Event{ID: u.ID + ".deleted", UploadID: u.ID, Type: "upload.deleted", Payload: []byte(`{}`)}, nil
		})
		must(t, err)
		if _, err := s.Delete(t.Context(), "alice", gone.ID, nil); !errors.Is(err, index.ErrDeleted) {
			t.Errorf("deleted twice: %v", err)
		}
		if _, err := s.Record(t.Context(), gone, nil); !errors.Is(err, index.ErrDeleted) {
			t.Errorf("recorded again: %v", err)
		}
		must(t, s.MarkStranger(t.Context(), "p/stranger", "E1", ""))
		must(t, s.MarkStranger(t.Context(), "p/stranger", "E2", ""))
		got, err := s.KnownKeys(t.Context(), map[string]string{live.Key: "", gone.Key: "", "p/stranger": "E2", "p/new": ""})
		must(t, err)
		if diff := cmp.Diff(map[string]bool{live.Key: true, gone.Key: false, "p/stranger": true}, got); diff != "" {
			t.Errorf("known keys (-want +got):\n%s", diff)
		}
		if got, err := s.KnownKeys(t.Context(), map[string]string{"p/stranger": "E3"}); err != nil || len(got) != 0 {
			t.Errorf("a stranger that changed: %v %v", got, err)
		}
		if u, err := s.ByHash(t.Context(), "alice", live.MD5, live.Size); err != nil || u.ID != live.ID {
			t.Errorf("by hash: %+v %v", u, err)
		}
		if _, err := s.ByHash(t.Context(), "bob", live.MD5, live.Size); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("bob's by hash: %v", err)
		}
		if found, err := s.OwnHashes(t.Context(), "alice", []string{live.MD5, "x"}); err != nil || len(found) != 1 {
			t.Errorf("own hashes: %v %v", found, err)
		}
		if sum, err := s.BytesSince(t.Context(), "alice", time.Unix(0, 0)); err != nil || sum != live.Size+gone.Size {
			t.Errorf("bytes: %d %v", sum, err)
		}
		if sum, err := s.BytesSince(t.Context(), "nobody", time.Unix(0, 0)); err != nil || sum != 0 {
			t.Errorf("nobody's bytes: %d %v", sum, err)
		}
	})
}

func TestOneReplicaHoldsTheLease(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		s := open(t, clock.Now)
		steps := []struct {
			holder string
			after  time.Duration
			want   bool
		}{{"one", 0, true}, {"two", 0, false}, {"one", 30 * time.Second, true}, {"two", 50 * time.Second, false}, {"two", 11 * time.Second, true}, {"one", 0, false}}
		for i, step := range steps {
			clock.Add(step.after)
			if got, err := s.Lease(t.Context(), "sweep", step.holder, time.Minute); err != nil || got != step.want {
				t.Fatalf("step %d: %v %v", i, got, err)
			}
		}
		must(t, s.SetState(t.Context(), "cursor", "a"))
		must(t, s.SetState(t.Context(), "cursor", "b"))
		if got, err := s.State(t.Context(), "cursor"); err != nil || got != "b" {
			t.Errorf("state %q %v", got, err)
		}
		if got, err := s.State(t.Context(), "nothing"); err != nil || got != "" {
			t.Errorf("no state: %q %v", got, err)
		}
	})
}

func TestAChallengeIsFreshOnceAndInTime(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		s := open(t, clock.Now)
		for _, id := range []string{"used", "late"} {
			must(t, s.AddChallenge(t.Context(), id, "alice", []byte(`{}`), clock.Now().Add(time.Minute)))
		}
		if _, _, err := s.TakeChallenge(t.Context(), "bob", "used"); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("bob's: %v", err)
		}
		for _, want := range []bool{true, false} {
			if body, fresh, err := s.TakeChallenge(t.Context(), "alice", "used"); err != nil || fresh != want || string(body) != `{}` {
				t.Errorf("%s %v %v, want fresh %v", body, fresh, err, want)
			}
		}
		clock.Add(time.Minute)
		if _, fresh, err := s.TakeChallenge(t.Context(), "alice", "late"); err != nil || fresh {
			t.Errorf("late: %v %v", fresh, err)
		}
		must(t, s.PruneChallenges(t.Context(), clock.Now().Add(time.Second)))
		if _, _, err := s.TakeChallenge(t.Context(), "alice", "late"); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("pruned: %v", err)
		}
	})
}

func TestMultipartsAreKeptUntilTheyExpire(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		clock := newClock()
		s := open(t, clock.Now)
		want := index.Multipart{ID: "m1", User: "alice", Key: "p/k", UploadID: "U", Ticket: "T", PartSize: 8 << 20, Expires: clock.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)}
		must(t, s.AddMultipart(t.Context(), want))
		got, err := s.GetMultipart(t.Context(), "alice", "m1")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if _, err := s.GetMultipart(t.Context(), "bob", "m1"); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("bob's: %v", err)
		}
		if list, err := s.ExpiredMultiparts(t.Context(), 10); err != nil || len(list) != 0 {
			t.Errorf("too early: %v %v", list, err)
		}
		clock.Add(2 * time.Hour)
		if list, err := s.ExpiredMultiparts(t.Context(), 10); err != nil || len(list) != 1 || list[0].UploadID != "U" {
			t.Errorf("expired: %v %v", list, err)
		}
		must(t, s.DropMultipart(t.Context(), "m1"))
		if _, err := s.GetMultipart(t.Context(), "alice", "m1"); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("dropped: %v", err)
		}
	})
}

func TestClaimsAreReleasedAndDeadLettersReplayed(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, newClock().Now)
		for _, id := range []string{"a1", "a2"} {
			u := upload("alice", id)
			record(t, s, u, eventOf(u, "upload.completed"), true)
		}
		due := claim(t, s, 10)
		if len(due) != 2 || len(claim(t, s, 10)) != 0 {
			t.Fatalf("claimed %v", due)
		}
		must(t, s.ReleaseClaims(t.Context()))
		due = claim(t, s, 10)
		if len(due) != 2 {
			t.Fatalf("released %v", due)
		}
		for _, d := range due {
			must(t, s.Bury(t.Context(), d.Seq, "because"))
		}
		dead, err := s.DeadLetters(t.Context(), 10)
		if err != nil || len(dead) != 2 || dead[0].Reason != "because" {
			t.Fatalf("dead letters %v %v", dead, err)
		}
		if n, err := s.Replay(t.Context(), []string{dead[0].ID}); err != nil || n != 1 {
			t.Errorf("replayed %d %v", n, err)
		}
		if n, err := s.Replay(t.Context(), nil); err != nil || n != 1 {
			t.Errorf("replayed %d %v", n, err)
		}
		if due := claim(t, s, 10); len(due) != 2 {
			t.Errorf("due again %v", due)
		}
	})
}
