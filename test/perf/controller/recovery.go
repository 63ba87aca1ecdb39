package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/test/perf/figures"
)

// throttling lasts this long.
const throttling = time.Minute

// faults makes the clouds answer so from now on.
func (b *bench) faults(ctx context.Context, faults string) error {
	for _, a := range b.accounts {
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, a.ossURL+"/_emulator/faults", strings.NewReader(faults))
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode >= 300 {
			return fmt.Errorf("the emulator refuses the faults: %s", response.Status)
		}
	}
	return nil
}

// usual is a cloud with nothing but latency.
var usual = fmt.Sprintf(`{"latencyMs":%d}`, latencyMS)

// throttled refuses every call for a minute while all tenants want a fresh look, and measures from the end of
// that minute until all had theirs.
func (b *bench) throttled(ctx context.Context) error {
	if err := b.faults(ctx, fmt.Sprintf(`{"latencyMs":%d,"errorRate":1,"errorCode":"Throttling","errorStatus":429}`, latencyMS)); err != nil {
		return err
	}
	start := time.Now()
	err := parallel(b.tenants, func(i int) error {
		t := b.tenant(i)
		ask := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"throttled"}}}`, v1alpha1.AnnotationReconcileAt))
		return b.api.Patch(ctx, t, ask)
	})
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(throttling - time.Since(start)):
	}
	refused := 0
	if _, err := b.settled(ctx, &refused); err != nil {
		return err
	}
	if refused == 0 {
		return errors.New("throttling reached no tenant, so that the figure would mean nothing")
	}
	if err := b.faults(ctx, usual); err != nil {
		return err
	}
	start = time.Now()
	err = poll(ctx, func() (bool, error) { return b.settled(ctx, new(int)) })
	b.report.Add(figures.Figure{Name: "controller_throttled_recovery", Value: time.Since(start).Seconds(), Unit: "s"})
	return err
}

// settled tells whether every tenant is ready and has had its fresh look, and counts those that are not.
func (b *bench) settled(ctx context.Context, missing *int) (bool, error) {
	var list v1alpha1.UploadTenantList
	if err := b.api.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return false, err
	}
	*missing = 0
	for i := range list.Items {
		t := &list.Items[i]
		if !meta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ConditionReady) || t.Status.LastHandledReconcileAt != t.Annotations[v1alpha1.AnnotationReconcileAt] {
			*missing++
		}
	}
	return *missing == 0, nil
}

// handOver lets a second manager wait, ends the leader, and measures from then until a person's change is
// served: once as a rolling update ends it, once as a lost node does.
func (b *bench) handOver(ctx context.Context) error {
	b.manager.stop()
	var err error
	if b.manager, err = b.launchManager(ctx, "--leader-elect"); err != nil {
		return err
	}
	// A change that is served tells that it leads.
	if _, err := b.changeServed(ctx); err != nil {
		return err
	}
	for _, end := range []struct {
		figure string
		signal syscall.Signal
	}{
		{"controller_leader_stopped", syscall.SIGTERM},
		{"controller_leader_killed", syscall.SIGKILL},
	} {
		standby, err := b.launchManager(ctx, "--leader-elect")
		if err != nil {
			return err
		}
		if err := standby.warm(ctx); err != nil {
			return err
		}
		leader := b.manager
		b.manager = standby
		if err := leader.cmd.Process.Signal(end.signal); err != nil {
			return err
		}
		served, err := b.changeServed(ctx)
		if err != nil {
			return err
		}
		_ = leader.cmd.Wait() // a killed process tells how it ended
		b.report.Add(figures.Figure{Name: end.figure, Value: served, Unit: "s"})
	}
	return nil
}

// scale creates tenants until there are as many as a manager must bear, and starts it anew among them.
func (b *bench) scale(ctx context.Context) error {
	if b.most <= b.tenants {
		return nil
	}
	b.manager.stop()
	if err := b.startManager(ctx); err != nil {
		return err
	}
	before := b.tenants
	b.tenants = b.most
	times, wall, err := b.untilReady(ctx, before)
	if err != nil {
		return err
	}
	rss, err := b.manager.rss()
	if err != nil {
		return err
	}
	b.report.Add(figures.Figure{Name: "controller_scale_ready_rate", Value: float64(len(times)) / wall, Unit: "tenants/s"})
	b.report.Add(figures.Figure{Name: "controller_scale_rss", Value: rss, Unit: "MiB"})
	b.manager.stop()
	if err := b.startManager(ctx); err != nil {
		return err
	}
	served, err := b.changeServed(ctx)
	if err != nil {
		return err
	}
	b.report.Add(figures.Figure{Name: "controller_scale_restart_change_served", Value: served, Unit: "s"})
	if _, err := b.settle(ctx); err != nil {
		return err
	}
	rss, err = b.manager.rss()
	b.report.Add(figures.Figure{Name: "controller_scale_restart_rss", Value: rss, Unit: "MiB"})
	return err
}
