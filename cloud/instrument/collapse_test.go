package instrument_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/cloud/instrument"
	"github.com/uploadtenant/uploadtenant/test/await"
)

const sharedBucket = "b-b"

// gate holds the calls that reach the cloud until they are let through.
type gate struct {
	// reached gets every call that arrives, and its context.
	reached chan context.Context
	open    chan struct{}
}

func (g *gate) intercept(ctx context.Context, call instrument.Call, next func(context.Context) error) error {
	if !call.Write {
		g.reached <- ctx
		select {
		case <-g.open:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return next(ctx)
}

// collapsing opens a fake account that holds one bucket, with its reads shared and gated.
func collapsing(t *testing.T) (open func(cloud.Account) cloud.Services, fake *cloudtest.Fake, g *gate, shared <-chan instrument.Call) {
	t.Helper()
	fake = cloudtest.New("1")
	fake.AddBucket(cloud.Bucket{Name: sharedBucket}, map[string]string{"team": "photo"})
	g = &gate{reached: make(chan context.Context, 100), open: make(chan struct{})}
	told := make(chan instrument.Call, 100)
	opener := &instrument.Opener{
		Next:         fake,
		Interceptors: func(cloud.Account) []instrument.Interceptor { return []instrument.Interceptor{g.intercept} },
		Collapser:    instrument.NewCollapser(func(c instrument.Call) { told <- c }),
	}
	return func(a cloud.Account) cloud.Services {
		s, err := opener.Open(a)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}, fake, g, told
}

func TestIdenticalReadsShareOneCall(t *testing.T) {
	open, fake, g, shared := collapsing(t)
	const readers = 20
	var wg sync.WaitGroup
	got := make([]map[string]string, readers)
	for i := range readers {
		s := open(cloud.Account{ID: "1"}) // as every reconcile does
		wg.Go(func() {
			tags, err := s.Buckets.Tags(t.Context(), sharedBucket)
			if err != nil {
				t.Error(err)
			}
			got[i] = tags
		})
	}
	<-g.reached
	for range readers - 1 {
		if c := <-shared; c.Operation != "oss:GetBucketTagging" || c.Resource != sharedBucket {
			t.Errorf("shared %+v", c)
		}
	}
	close(g.open)
	wg.Wait()
	if calls := len(fake.Calls()); calls != 1 {
		t.Errorf("%d readers made %d calls, want 1", readers, calls)
	}
	got[0]["team"] = "mine" // what one does with its answer is its own
	for _, tags := range got[1:] {
		if diff := cmp.Diff(map[string]string{"team": "photo"}, tags); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
	}
}

func TestEveryReadOfABucketIsShared(t *testing.T) {
	for name, read := range map[string]func(context.Context, cloud.Services) error{
		"info": func(ctx context.Context, s cloud.Services) error {
			_, _, err := s.Buckets.Observe(ctx, sharedBucket)
			return err
		},
		"tags": func(ctx context.Context, s cloud.Services) error {
			_, err := s.Buckets.Tags(ctx, sharedBucket)
			return err
		},
		"referer": func(ctx context.Context, s cloud.Services) error {
			_, err := s.Settings.Referer(ctx, sharedBucket)
			return err
		},
		"CORS": func(ctx context.Context, s cloud.Services) error {
			_, err := s.CORS.Rules(ctx, sharedBucket)
			return err
		},
		"lifecycle": func(ctx context.Context, s cloud.Services) error {
			_, err := s.Lifecycle.Rules(ctx, sharedBucket)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			open, fake, g, shared := collapsing(t)
			s := open(cloud.Account{})
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					if err := read(t.Context(), s); err != nil {
						t.Error(err)
					}
				})
			}
			<-g.reached
			<-shared
			close(g.open)
			wg.Wait()
			if calls := fake.Calls(); len(calls) != 1 {
				t.Errorf("calls = %v", calls)
			}
		})
	}
}

// TestNoReadIsSharedAcrossAWrite starts a read, writes, and reads again: the second read must see the write.
func TestNoReadIsSharedAcrossAWrite(t *testing.T) {
	open, _, g, shared := collapsing(t)
	s := open(cloud.Account{})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = s.Buckets.Tags(t.Context(), sharedBucket) })
	<-g.reached
	if err := s.Buckets.SetTags(t.Context(), sharedBucket, map[string]string{"team": "video"}); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		tags, err := s.Buckets.Tags(t.Context(), sharedBucket)
		if err != nil || tags["team"] != "video" {
			t.Errorf("tags after the write = %v, err %v", tags, err)
		}
	})
	select {
	case <-g.reached:
	case <-shared:
		t.Error("a read after the write shares a call from before it")
	}
	close(g.open)
	wg.Wait()
}

func TestAccountsThatDifferDoNotShare(t *testing.T) {
	open, fake, g, _ := collapsing(t)
	close(g.open)
	var wg sync.WaitGroup
	for _, key := range []string{"a", "b"} {
		s := open(cloud.Account{ID: "1", Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: key}}})
		wg.Go(func() { _, _ = s.Buckets.Tags(t.Context(), sharedBucket) })
	}
	wg.Wait()
	if calls := fake.Calls(); len(calls) != 2 {
		t.Errorf("calls = %v", calls)
	}
}

// TestAWaiterThatGivesUpHurtsNobody cancels the one who made the call.
func TestAWaiterThatGivesUpHurtsNobody(t *testing.T) {
	open, fake, g, shared := collapsing(t)
	s := open(cloud.Account{})
	first, giveUp := context.WithCancel(t.Context())
	gone, answered := make(chan error), make(chan error)
	go func() { _, err := s.Buckets.Tags(first, sharedBucket); gone <- err }()
	call := <-g.reached
	go func() { _, err := s.Buckets.Tags(t.Context(), sharedBucket); answered <- err }()
	<-shared
	giveUp()
	if err := <-gone; !errors.Is(err, context.Canceled) || cloud.ClassOf(err) != cloud.Retryable {
		t.Errorf("who gave up was told %v", err)
	}
	if call.Err() != nil {
		t.Error("the call ended with the one who made it")
	}
	close(g.open)
	if err := <-answered; err != nil {
		t.Errorf("who waited on was told %v", err)
	}
	if calls := fake.Calls(); len(calls) != 1 {
		t.Errorf("calls = %v", calls)
	}
}

func TestTheCallEndsWhenNobodyWaits(t *testing.T) {
	open, _, g, _ := collapsing(t)
	s := open(cloud.Account{})
	ctx, giveUp := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { _, err := s.Buckets.Tags(ctx, sharedBucket); gone <- err }()
	call := <-g.reached
	giveUp()
	<-gone
	await.True(t, "the call ends", func() bool { return call.Err() != nil })
	close(g.open) // and the next one has a call of its own
	if _, err := s.Buckets.Tags(t.Context(), sharedBucket); err != nil {
		t.Error(err)
	}
}

func TestAFailureIsToldToThoseWhoWaitedAndToNobodyElse(t *testing.T) {
	open, fake, g, shared := collapsing(t)
	s := open(cloud.Account{})
	fake.Hook(func(cloudtest.Call) error { return cloud.Errorf(cloud.Throttled, "op", "slow down") }, nil)
	errs := make(chan error, 2)
	for range 2 {
		go func() { _, err := s.Buckets.Tags(t.Context(), sharedBucket); errs <- err }()
	}
	<-g.reached
	<-shared
	close(g.open)
	for range 2 {
		if err := <-errs; cloud.ClassOf(err) != cloud.Throttled {
			t.Errorf("err = %v", err)
		}
	}
	fake.Hook(nil, nil)
	if _, err := s.Buckets.Tags(t.Context(), sharedBucket); err != nil {
		t.Errorf("a later read was told %v", err)
	}
}
