package instrument

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/uploadtenant/uploadtenant/cloud"
)

// Metrics measures calls. Outcomes are the closed error classes, so that the number of series is bounded.
type Metrics struct {
	duration *prometheus.HistogramVec
	waited   *prometheus.HistogramVec
	shared   *prometheus.CounterVec
}

// NewMetrics registers the metrics of cloud calls.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "uploadtenant_cloud_call_duration_seconds",
			Help:    "Time that calls to the cloud took, by operation and outcome (ok or an error class).",
			Buckets: []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10},
		}, []string{"service", "operation", "outcome"}),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "uploadtenant_cloud_call_wait_seconds",
			Help:    "Time that calls were held back to keep the account's rate.",
			Buckets: []float64{0.001, 0.01, 0.1, 1, 10, 60},
		}, []string{"service"}),
		shared: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "uploadtenant_cloud_reads_shared_total",
			Help: "Reads of buckets that were answered by a call already under way.",
		}, []string{"operation"}),
	}
	for _, c := range []prometheus.Collector{m.duration, m.waited, m.shared} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Waited records how long a call was held back.
func (m *Metrics) Waited(service Service, wait time.Duration) {
	m.waited.WithLabelValues(string(service)).Observe(wait.Seconds())
}

// Shared counts a read that needed no call of its own.
func (m *Metrics) Shared(call Call) { m.shared.WithLabelValues(call.Operation).Inc() }

// Interceptor measures calls by the given clock.
func (m *Metrics) Interceptor(clock func() time.Time) Interceptor {
	return func(ctx context.Context, call Call, next func(context.Context) error) error {
		start := clock()
		err := next(ctx)
		outcome := string(cloud.ClassOf(err))
		if outcome == "" {
			outcome = "ok"
		}
		m.duration.WithLabelValues(string(call.Service), call.Operation, outcome).Observe(clock().Sub(start).Seconds())
		return err
	}
}

// Trace makes a span of every call.
func Trace(tracer trace.Tracer) Interceptor {
	client := trace.WithSpanKind(trace.SpanKindClient)
	return func(ctx context.Context, call Call, next func(context.Context) error) error {
		ctx, span := tracer.Start(ctx, call.Operation, client)
		defer span.End()
		if !span.IsRecording() {
			return next(ctx)
		}
		span.SetAttributes(attribute.String("cloud.service", string(call.Service)), attribute.String("cloud.resource", call.Resource))
		err := next(ctx)
		if err != nil {
			span.SetStatus(codes.Error, string(cloud.ClassOf(err)))
		}
		return err
	}
}
