package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Auth counts how callers proved who they are.
type Auth struct {
	judged   *prometheus.CounterVec
	logins   *prometheus.CounterVec
	upstream *prometheus.HistogramVec
}

func newAuth(registry *prometheus.Registry) Auth {
	a := Auth{
		judged: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "auth_total",
			Help: "Bearer tokens judged, by method (session, jwt, forward, dev) and outcome (accepted, invalid, expired, forbidden, unavailable)."}, []string{"method", "outcome"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "wechat_logins_total",
			Help: "WeChat logins by outcome: accepted, or the code of the problem."}, []string{"outcome"}),
		upstream: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "auth_upstream_duration_seconds",
			Help:    "Time that code2Session and the application took to answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}}, []string{"method"}),
	}
	registry.MustRegister(a.judged, a.logins, a.upstream)
	return a
}

// Method returns a function that counts one outcome of method; it looks nothing up for those it has seen.
func (a Auth) Method(method string, outcomes ...string) func(outcome string) {
	counters := make(map[string]prometheus.Counter, len(outcomes))
	for _, outcome := range outcomes {
		counters[outcome] = a.judged.WithLabelValues(method, outcome)
	}
	return func(outcome string) {
		if c := counters[outcome]; c != nil {
			c.Inc()
		}
	}
}

// Login counts a WeChat login.
func (a Auth) Login(outcome string) { a.logins.WithLabelValues(outcome).Inc() }

// Upstream records how long the other side of method took.
func (a Auth) Upstream(method string, took time.Duration) {
	a.upstream.WithLabelValues(method).Observe(took.Seconds())
}
