// Package metrics declares what the signer counts, in one place.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics of one signer, on a registry of its own.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	// Verdicts counts files by verdict: upload, or rejected with its code.
	Verdicts *prometheus.CounterVec
	// Callbacks counts OSS callbacks by result and reason.
	Callbacks *prometheus.CounterVec
	// AuthFailures counts refused tokens by reason.
	AuthFailures *prometheus.CounterVec
	// Auth counts judgements and logins by method.
	Auth Auth
	// Records counts recorded uploads by source.
	Records *prometheus.CounterVec
	// Bytes counts recorded bytes.
	Bytes prometheus.Counter
	// Events counts delivery attempts by result.
	Events *prometheus.CounterVec
	// EventAge is the age of an event when it was delivered.
	EventAge prometheus.Histogram
	// Proofs counts answers to challenges by result.
	Proofs *prometheus.CounterVec
	// Sweeps counts passes over the bucket by result, Strangers the objects that are no upload of the tenant.
	Sweeps, Strangers *prometheus.CounterVec
	// Verifications counts verified uploads by outcome (completed, rejected, failed, refused) and reason.
	Verifications *prometheus.CounterVec
	// MediaChecks counts questions to WeChat and its verdicts.
	MediaChecks *prometheus.CounterVec
	// RecoveryAge is the age of an object when the sweeper recorded it.
	RecoveryAge prometheus.Histogram
	// CredentialRefreshes counts attempts to renew the STS credential by result.
	CredentialRefreshes *prometheus.CounterVec
	// ConfigReloadFailures counts changed configurations that could not be used.
	ConfigReloadFailures prometheus.Counter
	configInfo           *prometheus.GaugeVec
}

const namespace = "uploadtenant_signer"

// New registers everything.
func New() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("requests_total", "HTTP requests by operation and status.", "operation", "status"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "request_duration_seconds",
			Help: "Time to answer a request.", Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}}, []string{"operation"}),
		Verdicts:     counter("verdicts_total", "Files asked for, by verdict and, when rejected, by code.", "verdict", "code"),
		Callbacks:    counter("callbacks_total", "OSS callbacks by result (recorded, duplicate, refused, failed) and reason.", "result", "reason"),
		AuthFailures: counter("auth_failures_total", "Requests refused for their token, by reason.", "reason"),
		Records:      counter("records_total", "Uploads recorded, by how the signer learned of them.", "source"),
		Bytes:        prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "recorded_bytes_total", Help: "Bytes of recorded uploads."}),
		Events:       counter("event_attempts_total", "Event delivery attempts by result.", "result"),
		EventAge: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "event_delivery_age_seconds",
			Help: "Age of an event at its delivery.", Buckets: []float64{.01, .05, .25, 1, 5, 30, 120, 600, 3600, 21600, 86400}}),
		Proofs:        counter("proofs_total", "Answers to deduplication challenges by result.", "result"),
		Sweeps:        counter("sweeps_total", "Passes over the bucket by result (passed, failed).", "result"),
		Strangers:     counter("strangers_total", "Objects below the prefix that are no upload of this tenant, by reason.", "reason"),
		Verifications: counter("verifications_total", "Uploads verified, by outcome: completed, rejected with its reason, failed (and repeated), refused (OSS denied a tag, an ACL or a deletion).", "outcome", "reason"),
		MediaChecks:   counter("media_checks_total", "Questions to WeChat about media, by outcome: asked, pass, review, risky, failed (WeChat could not look), unanswered (given up), refused (a push that WeChat did not sign).", "outcome"),
		RecoveryAge: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "recovery_age_seconds",
			Help: "Age of an object when the sweeper recorded it.", Buckets: []float64{10, 30, 60, 300, 1800, 7200, 86400}}),
		CredentialRefreshes: counter("credential_refreshes_total", "Attempts to renew the STS credential by result.", "result"),
	}
	m.ConfigReloadFailures = prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "config_reload_failures_total",
		Help: "Changed configurations that could not be used; the one before stayed in use."})
	m.configInfo = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "config_info",
		Help: "1 for the configuration in use, by the first 16 digits of the SHA-256 of its file."}, []string{"hash"})
	m.registry.MustRegister(m.ConfigReloadFailures, m.configInfo, m.requests, m.duration, m.Verdicts, m.Callbacks, m.AuthFailures, m.Records, m.Bytes, m.Events, m.EventAge, m.CredentialRefreshes, m.Proofs, m.Sweeps, m.Strangers, m.Verifications, m.MediaChecks, m.RecoveryAge,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Auth = newAuth(m.registry)
	return m
}

// ConfigInUse tells which configuration is in use.
func (m *Metrics) ConfigInUse(hash string) {
	m.configInfo.Reset()
	m.configInfo.WithLabelValues(hash).Set(1)
}

// Gauge registers a value that is read when metrics are scraped.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value))
}

// Counter registers a count that is kept elsewhere and read when metrics are scraped.
func (m *Metrics) Counter(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, value))
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Operation counts and times one kind of request without allocating for the common statuses.
type Operation struct {
	m        *Metrics
	name     string
	ok       prometheus.Counter
	duration prometheus.Observer
}

// Operation returns the recorder of name.
func (m *Metrics) Operation(name string) *Operation {
	return &Operation{m, name, m.requests.WithLabelValues(name, "200"), m.duration.WithLabelValues(name)}
}

// Done records one answer.
func (o *Operation) Done(status int, took time.Duration) {
	if status == http.StatusOK {
		o.ok.Inc()
	} else {
		o.m.requests.WithLabelValues(o.name, strconv.Itoa(status)).Inc()
	}
	o.duration.Observe(took.Seconds())
}
