package uploadtenant

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// Metrics of tenants. A nil *Metrics measures nothing.
type Metrics struct {
	ready    prometheus.Histogram
	deletion prometheus.Histogram
	drifts   prometheus.Counter
}

// NewMetrics registers the metrics of tenants.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	buckets := []float64{1, 2, 5, 10, 30, 60, 300, 1800}
	m := &Metrics{
		ready: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "uploadtenant_time_to_ready_seconds", Help: "Time from the creation of a tenant to its first Ready.", Buckets: buckets,
		}),
		deletion: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "uploadtenant_deletion_seconds", Help: "Time from the deletion of a tenant to the end of its finalizer.", Buckets: buckets,
		}),
		drifts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "uploadtenant_drift_repaired_total", Help: "Changes made outside that were made undone.",
		}),
	}
	for _, c := range []prometheus.Collector{m.ready, m.deletion, m.drifts} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) drift(changes int) {
	if m != nil {
		m.drifts.Add(float64(changes))
	}
}

// becameReady measures the first Ready of a tenant's first generation.
func (m *Metrics) becameReady(s *scope, now time.Time) {
	was := meta.FindStatusCondition(s.original.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(s.tenant.Status.Conditions, v1alpha1.ConditionReady)
	first := was == nil || was.Status != metav1.ConditionTrue
	if m != nil && first && is.Status == metav1.ConditionTrue && s.tenant.Generation == 1 {
		m.ready.Observe(now.Sub(s.tenant.CreationTimestamp.Time).Seconds())
	}
}

func (m *Metrics) deleted(s *scope, now time.Time) {
	if m != nil && s.tenant.DeletionTimestamp != nil {
		m.deletion.Observe(now.Sub(s.tenant.DeletionTimestamp.Time).Seconds())
	}
}
