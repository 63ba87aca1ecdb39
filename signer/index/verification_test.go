package index_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/signer/index"
)

func claimVerifications(t *testing.T, s *index.Store, limit int) []index.Verification {
	t.Helper()
	due, err := s.ClaimVerifications(t.Context(), limit, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return due
}

func verifying(id string) index.Upload {
	u := upload("ann", id)
	u.Status = index.StatusVerifying
	return u
}

// A verification is handed to one worker at a time, until it is settled, whoever dies meanwhile.
func TestVerificationsAreLeasedUntilSettled(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		c := newClock()
		s := open(t, c.Now)
		record(t, s, verifying("u1"), nil, true)
		record(t, s, upload("ann", "u2"), nil, true)
		if due := claimVerifications(t, s, 10); len(due) != 1 || due[0].Upload.ID != "u1" || due[0].Attempts != 1 {
			t.Fatalf("claimed %+v, want u1", due)
		}
		if due := claimVerifications(t, open(t, c.Now), 10); len(due) != 0 {
			t.Fatalf("another worker claimed %+v", due)
		}
		c.Add(time.Minute + time.Millisecond)
		again := claimVerifications(t, s, 10)
		if len(again) != 1 || again[0].Attempts != 2 || again[0].Since.After(c.Now().Add(-time.Minute)) {
			t.Fatalf("after the lease: %+v", again)
		}
		if err := s.RetryVerification(t.Context(), again[0], c.Now()); err != nil {
			t.Fatal(err)
		}
		if due := claimVerifications(t, s, 10); len(due) != 1 {
			t.Fatalf("a postponed one was not due at its time: %+v", due)
		}
		n, oldest, err := s.Unverified(t.Context())
		if err != nil || n != 1 || oldest.IsZero() {
			t.Errorf("unverified: %d since %v, %v", n, oldest, err)
		}
	})
}

// A verdict wakes its upload, whatever comes first: the question, the verdict or the end of the attempt.
func TestAMediaVerdictIsNeverMissed(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		c := newClock()
		s := open(t, c.Now)
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		verdicts := func(id string) (got []string) {
			t.Helper()
			checks, err := s.MediaChecks(t.Context(), id)
			do(err)
			for _, check := range checks {
				got = append(got, check.TraceID+"="+check.Verdict)
			}
			return got
		}
		record(t, s, verifying("u1"), nil, true)
		record(t, s, verifying("u2"), nil, true)
		due := claimVerifications(t, s, 10)
		if len(due) != 2 {
			t.Fatalf("claimed %+v", due)
		}
		do(s.MediaAsked(t.Context(), "t1", "u1"))
		// u1: the verdict comes while its worker is about to wait for half an hour.
		do(s.MediaAnswered(t.Context(), "t1", "risky"))
		for _, v := range due {
			do(s.RetryVerification(t.Context(), v, c.Now().Add(30*time.Minute)))
		}
		if again := claimVerifications(t, s, 10); len(again) != 1 || again[0].Upload.ID != "u1" {
			t.Fatalf("after the verdict: %+v", again)
		}
		do(s.MediaAnswered(t.Context(), "t1", "pass")) // a second verdict changes nothing
		// u2: the verdict overtakes the question.
		do(s.MediaAnswered(t.Context(), "t2", "pass"))
		do(s.MediaAsked(t.Context(), "t2", "u2"))
		c.Add(time.Second)
		do(s.MediaAsked(t.Context(), "t3", "u2"))
		if diff := cmp.Diff([]string{"t1=risky"}, verdicts("u1")); diff != "" {
			t.Errorf("u1 (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"t3=", "t2=pass"}, verdicts("u2")); diff != "" {
			t.Errorf("u2 (-want +got):\n%s", diff)
		}
		do(s.MediaAnswered(t.Context(), "of nobody", "pass"))
		do(s.PruneMediaChecks(t.Context(), c.Now()))
		if diff := cmp.Diff([]string{"t3="}, verdicts("u2")); diff != "" {
			t.Errorf("after pruning (-want +got):\n%s", diff)
		}
	})
}

func TestASettledUploadHasItsStatusAndOneEvent(t *testing.T) {
	tests := map[string]struct {
		verdict   index.Verdict
		wantAgain int
	}{
		"completed":         {index.Verdict{Status: index.StatusCompleted}, 0},
		"rejected":          {index.Verdict{Status: index.StatusRejected, Reason: "content_mismatch"}, 0},
		"rejected and kept": {index.Verdict{Status: index.StatusRejected, Reason: "content_mismatch", Keep: true}, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			eachDatabase(t, func(t *testing.T, open opener) {
				c := newClock()
				s := open(t, c.Now)
				record(t, s, verifying("u1"), nil, true)
				event := func(u index.Upload) (*index.Event, error) { return eventOf(u, u.Status), nil }
				for i, want := range []bool{true, false} {
					settled, err := s.SettleVerification(t.Context(), "u1", tc.verdict, event)
					if err != nil || settled != want {
						t.Fatalf("attempt %d: settled %v, %v", i, settled, err)
					}
					if i == 0 {
						c.Add(time.Hour)
						if due := claimVerifications(t, s, 10); len(due) != tc.wantAgain {
							t.Fatalf("%d left to do, want %d", len(due), tc.wantAgain)
						}
					}
				}
				got, err := s.Get(t.Context(), "ann", "u1")
				if err != nil || got.Status != tc.verdict.Status || got.Reason != tc.verdict.Reason {
					t.Errorf("%+v, %v", got, err)
				}
				if due := claim(t, s, 10); len(due) != 1 || due[0].Type != tc.verdict.Status {
					t.Errorf("events %+v", due)
				}
			})
		})
	}
}

func TestADeletedUploadIsNotSettled(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open opener) {
		s := open(t, nil)
		record(t, s, verifying("u1"), nil, true)
		if _, err := s.Delete(t.Context(), "ann", "u1", nil); err != nil {
			t.Fatal(err)
		}
		settled, err := s.SettleVerification(t.Context(), "u1", index.Verdict{Status: index.StatusCompleted}, func(index.Upload) (*index.Event, error) {
			return nil, errors.New("no event is to be made")
		})
		if err != nil || settled {
			t.Errorf("settled %v, %v", settled, err)
		}
		if n, _, err := s.Unverified(t.Context()); err != nil || n != 0 {
			t.Errorf("%d left, %v", n, err)
		}
	})
}
