package instrument_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/cloud/instrument"
)

func services(t *testing.T, i instrument.Interceptor) (cloud.Services, *cloudtest.Fake) {
	t.Helper()
	fake := cloudtest.New("1")
	s, err := fake.Open(cloud.Account{})
	if err != nil {
		t.Fatal(err)
	}
	return instrument.Intercept(s, i), fake
}

// TestInterceptedServicesConform also proves that every call is named as it is: the fake names it again.
func TestInterceptedServicesConform(t *testing.T) {
	var seen []cloudtest.Call
	s, fake := services(t, func(ctx context.Context, call instrument.Call, next func(context.Context) error) error {
		got := cloudtest.Call{Operation: call.Operation, Resource: call.Resource}
		if call.Write != got.Write() {
			t.Errorf("%s: write = %t", call.Operation, call.Write)
		}
		seen = append(seen, got)
		return next(ctx)
	})
	cloudtest.Conform(t, s, "1")
	if diff := cmp.Diff(fake.Calls(), seen); diff != "" {
		t.Errorf("calls (-made +intercepted):\n%s", diff)
	}
}

func TestChanges(t *testing.T) {
	for name, dryRun := range map[string]bool{"real": false, "dry run": true} {
		t.Run(name, func(t *testing.T) {
			changes := &instrument.Changes{DryRun: dryRun}
			s, fake := services(t, changes.Interceptor)
			if _, _, err := s.Roles.Observe(t.Context(), "r"); err != nil {
				t.Fatal(err)
			}
			changes.Because("it is missing")
			if err := s.Roles.Create(t.Context(), cloud.Role{Name: "r"}); err != nil {
				t.Fatal(err)
			}
			want := []instrument.Change{{Operation: "ram:CreateRole", Resource: "r", Detail: "it is missing"}}
			if diff := cmp.Diff(want, changes.List); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if made := len(fake.Writes()) == 1; made == dryRun {
				t.Errorf("written: %t", made)
			}
		})
	}
}

func TestPacerSlowsDownAndRecovers(t *testing.T) {
	now := time.Unix(0, 0)
	pacer := instrument.NewPacer(map[instrument.Service]instrument.Limit{instrument.RAM: {Rate: 100, Burst: 10000}}, func() time.Time { return now }, nil)
	var answer error
	s, _ := services(t, func(ctx context.Context, call instrument.Call, _ func(context.Context) error) error {
		return pacer.Interceptor("1")(ctx, call, func(context.Context) error { return answer })
	})
	call := func() { _ = s.Roles.Delete(t.Context(), "r") }

	answer = cloud.Errorf(cloud.Throttled, "op", "slow down")
	call()
	call() // within the same second, it counts once
	if got := pacer.Rate("1", instrument.RAM); got != 50 {
		t.Errorf("rate after throttling = %v, want 50", got)
	}
	for range 20 {
		now = now.Add(time.Second)
		call()
	}
	if got := pacer.Rate("1", instrument.RAM); got != 1 {
		t.Errorf("lowest rate = %v, want 1", got)
	}
	if got := pacer.Rate("2", instrument.RAM); got != 100 {
		t.Errorf("rate of another account = %v, want 100", got)
	}
	answer = nil
	for range 1000 {
		call()
	}
	if got := pacer.Rate("1", instrument.RAM); got < 99.9 {
		t.Errorf("rate after recovery = %v, want 100", got)
	}
}

func TestPacerEndsWithTheContext(t *testing.T) {
	pacer := instrument.NewPacer(map[instrument.Service]instrument.Limit{instrument.RAM: {Rate: 0.001, Burst: 1}}, time.Now, nil)
	s, _ := services(t, pacer.Interceptor("1"))
	if err := s.Roles.Delete(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Roles.Delete(ctx, "r"); cloud.ClassOf(err) != cloud.Throttled {
		t.Errorf("err = %v", err)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics, err := instrument.NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	s, fake := services(t, metrics.Interceptor(time.Now))
	_ = s.Roles.Delete(t.Context(), "r")
	fake.Hook(func(cloudtest.Call) error { return errors.New("down") }, nil)
	_ = s.Roles.Delete(t.Context(), "r")
	if got := testutil.CollectAndCount(registry, "uploadtenant_cloud_call_duration_seconds"); got != 2 {
		t.Errorf("%d series, want one for ok and one for Retryable", got)
	}
}
