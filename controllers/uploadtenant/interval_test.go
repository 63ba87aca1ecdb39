package uploadtenant

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// TestNextLook holds a quiet reconcile to the interval that counts, with its jitter and its priority.
func TestNextLook(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	tests := map[string]struct {
		own          time.Duration
		jitter       float64
		renewAt      time.Time
		want         time.Duration
		wantPriority int
	}{
		"the manager's, at the earliest":          {jitter: 0, want: 54 * time.Minute, wantPriority: handler.LowPriority},
		"the manager's":                           {jitter: 0.5, want: time.Hour, wantPriority: handler.LowPriority},
		"the manager's, at the latest":            {jitter: 1, want: 66 * time.Minute, wantPriority: handler.LowPriority},
		"the tenant's own, shorter":               {own: time.Minute, jitter: 0.5, want: time.Minute, wantPriority: handler.LowPriority},
		"the tenant's own, longer":                {own: 24 * time.Hour, jitter: 0, want: 24 * time.Hour * 9 / 10, wantPriority: handler.LowPriority},
		"a session to renew before":               {jitter: 0.5, renewAt: now.Add(30 * time.Minute), want: 30 * time.Minute},
		"a session to renew after the next look":  {jitter: 0.5, renewAt: now.Add(2 * time.Hour), want: time.Hour, wantPriority: handler.LowPriority},
		"a session that should have been renewed": {jitter: 0.5, renewAt: now.Add(-time.Minute), want: time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := New(Options{Interval: time.Hour, Clock: func() time.Time { return now }, Jitter: func() float64 { return tc.jitter }})
			tenant := &v1alpha1.UploadTenant{}
			if tc.own > 0 {
				tenant.Spec.ReconcileInterval = &metav1.Duration{Duration: tc.own}
			}
			s := newScope(tenant, "cluster")
			s.original.Status = *s.tenant.Status.DeepCopy() // nothing to write
			s.renewAt = tc.renewAt
			got, err := r.conclude(t.Context(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.RequeueAfter.Round(time.Second) != tc.want || got.Priority == nil || *got.Priority != tc.wantPriority {
				t.Errorf("next look after %s with priority %v, want %s with %d", got.RequeueAfter, got.Priority, tc.want, tc.wantPriority)
			}
			if r.validity(s) >= tc.want && tc.renewAt.IsZero() {
				t.Errorf("what was seen is trusted for %s, longer than the pause of %s", r.validity(s), tc.want)
			}
		})
	}
}
