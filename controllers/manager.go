// Package controllers wires the reconcilers into a manager.
package controllers

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/instrument"
	"github.com/uploadtenant/uploadtenant/controllers/accountfile"
	"github.com/uploadtenant/uploadtenant/controllers/accounts"
	"github.com/uploadtenant/uploadtenant/controllers/cloudaccount"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
	"github.com/uploadtenant/uploadtenant/controllers/uploadtenant"
)

// Options of the manager.
type Options struct {
	// Opener reaches the cloud.
	Opener cloud.Opener
	// ClusterID tells this cluster from others in the same account; empty takes the UID of kube-system.
	ClusterID string
	// Namespace of the manager.
	Namespace   string
	SignerImage string
	// AccountFile holds a CloudAccount to apply at start; empty means none.
	AccountFile string
	// TokenFile is the manager's own projected service-account token.
	TokenFile string
	// Interval between two looks at the cloud.
	Interval time.Duration
	// Paused stops the work on every tenant.
	Paused bool
	// TicketKeyRotation is how long a key seals tickets; zero means for ever.
	TicketKeyRotation time.Duration
	// Limits of cloud calls per account and service; the defaults when nil.
	Limits map[instrument.Service]instrument.Limit
	// Registry takes the metrics; nil measures nothing.
	Registry prometheus.Registerer
	// Tracing makes a span of every reconcile, phase and cloud call; nil makes none.
	Tracing trace.TracerProvider
	// Concurrency is the number of tenants reconciled at the same time.
	Concurrency int

	MetricsAddress, ProbeAddress string
	// ProfileAddress serves net/http/pprof; empty serves none.
	ProfileAddress string
	LeaderElect    bool
	Logger         logr.Logger
	// SkipNameValidation allows several managers in one process, for tests.
	SkipNameValidation bool
}

// Scheme knows every kind that the manager handles.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return scheme, v1alpha1.AddToScheme(scheme)
}

// NewManager returns a manager with both controllers, ready to start.
func NewManager(ctx context.Context, cfg *rest.Config, opts Options) (ctrl.Manager, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, fmt.Errorf("build the scheme: %w", err)
	}
	// The API server's own fairness rules protect it better than a limit here, which would hold 1,000
	// new tenants back for minutes.
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = -1, 0
	mgr, err := ctrl.NewManager(cfg, managerOptions(scheme, opts))
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	if err := setup(ctx, mgr, opts); err != nil {
		return nil, err
	}
	if err := mgr.AddHealthzCheck("healthz", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("caches", cachesRead(mgr.GetCache()))
}

// cachesRead tells whether the manager has read what it needs to work. In a rolling update the manager before
// works until then, so that hardly any time passes between the two.
func cachesRead(informers cache.Informers) healthz.Checker {
	return func(r *http.Request) error {
		for _, kind := range []client.Object{
			&v1alpha1.UploadTenant{}, &v1alpha1.CloudAccount{}, &appsv1.Deployment{}, &corev1.ServiceAccount{}, &corev1.ConfigMap{}, &corev1.Service{},
		} {
			informer, err := informers.GetInformer(r.Context(), kind, cache.BlockUntilSynced(false))
			if err != nil {
				return fmt.Errorf("watch %T: %w", kind, err)
			}
			if !informer.HasSynced() {
				return fmt.Errorf("%T has not been read yet", kind)
			}
		}
		return nil
	}
}

func managerOptions(scheme *runtime.Scheme, opts Options) ctrl.Options {
	return ctrl.Options{
		Scheme:                        scheme,
		Logger:                        opts.Logger,
		Metrics:                       metricsserver.Options{BindAddress: opts.MetricsAddress},
		HealthProbeBindAddress:        opts.ProbeAddress,
		PprofBindAddress:              opts.ProfileAddress,
		LeaderElection:                opts.LeaderElect,
		LeaderElectionID:              "uploadtenant-manager",
		LeaderElectionNamespace:       opts.Namespace,
		LeaderElectionReleaseOnCancel: true,
		// A lost node is noticed after ten seconds at most, a released lease after one. Seven seconds without
		// an API server end a leader: a new one starts with what the old one left.
		LeaseDuration: ptr.To(10 * time.Second),
		RenewDeadline: ptr.To(7 * time.Second),
		RetryPeriod:   ptr.To(time.Second),
		Cache:         cacheOptions(opts.Namespace),
		Client: client.Options{Cache: &client.CacheOptions{
			// What was just written is there at the next read, so that nothing is done twice.
			EnableReadYourWritesConsistency: ptr.To(true),
		}},
		Controller: config.Controller{
			SkipNameValidation: ptr.To(opts.SkipNameValidation),
			// A standby manager fills its caches, so that a hand-over costs no list.
			EnableWarmup: ptr.To(true),
		},
	}
}

// cacheOptions keep in memory only what the manager needs: its own kinds, objects that it labelled, and
// the Secrets of its own namespace.
func cacheOptions(namespace string) cache.Options {
	managed := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{signerobjects.LabelManagedBy: signerobjects.ManagedBy})}
	return cache.Options{
		DefaultTransform:            cache.TransformStripManagedFields(),
		ReaderFailOnMissingInformer: true,
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.Deployment{}:     managed,
			&corev1.ServiceAccount{}: managed,
			&corev1.ConfigMap{}:      {Label: managed.Label, Transform: compact},
			&corev1.Service{}:        managed,

			&networkingv1.NetworkPolicy{}:            managed,
			&networkingv1.Ingress{}:                  managed,
			&policyv1.PodDisruptionBudget{}:          managed,
			&autoscalingv2.HorizontalPodAutoscaler{}: managed,
			&corev1.Secret{}:                         {Namespaces: map[string]cache.Config{namespace: {}}},
		},
	}
}

// compact leaves of a ConfigMap what the manager compares.
func compact(o any) (any, error) {
	if live, ok := o.(*corev1.ConfigMap); ok {
		signerobjects.CompactConfigMap(live)
	}
	return cache.TransformStripManagedFields()(o)
}

func setup(ctx context.Context, mgr ctrl.Manager, opts Options) error {
	clusterID := opts.ClusterID
	if clusterID == "" {
		var err error
		if clusterID, err = kubeSystemUID(ctx, mgr.GetAPIReader()); err != nil {
			return err
		}
	}
	opts.Logger.Info("Managing upload tenants", "clusterID", clusterID, "signerImage", opts.SignerImage, "interval", opts.Interval)
	direct, err := client.New(mgr.GetConfig(), client.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
	})
	if err != nil {
		return fmt.Errorf("make the uncached client: %w", err)
	}
	if opts.AccountFile != "" {
		applier := &accountfile.Applier{Client: direct, File: opts.AccountFile, Logger: opts.Logger}
		if err := mgr.Add(applier); err != nil {
			return fmt.Errorf("set up the account file: %w", err)
		}
	}
	opener, metrics, err := instrumented(opts)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	resolver := &accounts.Resolver{
		Secrets:   mgr.GetClient(),
		Namespace: opts.Namespace,
		TokenFile: opts.TokenFile,
		Opener:    opener,
	}
	err = (&cloudaccount.Reconciler{
		Client: mgr.GetClient(), Direct: direct, Accounts: resolver, Recorder: mgr.GetEventRecorder("uploadtenant"),
		ClusterID: clusterID, Metrics: metrics.accounts, Tracer: opts.tracer("controllers"), Clock: time.Now, //nolint:forbidigo // the manager is where the clock comes in
	}).SetupWithManager(mgr)
	if err != nil {
		return fmt.Errorf("set up the account controller: %w", err)
	}
	err = uploadtenant.New(uploadtenant.Options{
		Client:      mgr.GetClient(),
		Direct:      direct,
		Accounts:    resolver,
		Recorder:    mgr.GetEventRecorder("uploadtenant"),
		ClusterID:   clusterID,
		SignerImage: opts.SignerImage,
		Interval:    opts.Interval,
		Paused:      opts.Paused,
		Metrics:     metrics.tenants,
		Tracer:      opts.tracer("controllers"),
		Clock:       time.Now, //nolint:forbidigo // the manager is where the clock comes in
		Jitter:      mathrand.Float64,
		Random:      rand.Reader,

		TicketKeyRotation: opts.TicketKeyRotation,
	}).SetupWithManager(ctx, mgr, opts.Concurrency)
	if err != nil {
		return fmt.Errorf("set up the tenant controller: %w", err)
	}
	return nil
}

// tracer is that of a part of the manager.
func (o Options) tracer(part string) trace.Tracer {
	provider := o.Tracing
	if provider == nil {
		provider = noop.NewTracerProvider()
	}
	return provider.Tracer("github.com/uploadtenant/uploadtenant/" + part)
}

// instrumented puts sharing, tracing, pacing and measuring around every call to the cloud, in this order: a
// shared read is one call, and the time that a call is held back belongs to its span, not to its duration.
func instrumented(opts Options) (cloud.Opener, reconcilerMetrics, error) {
	limits := opts.Limits
	if limits == nil {
		limits = instrument.DefaultLimits()
	}
	clock := time.Now //nolint:forbidigo // the manager is where the clock comes in
	tracer := opts.tracer("cloud")
	if opts.Registry == nil {
		pacer := instrument.NewPacer(limits, clock, nil)
		return &instrument.Opener{Next: opts.Opener, Interceptors: func(a cloud.Account) []instrument.Interceptor {
			return []instrument.Interceptor{instrument.Trace(tracer), pacer.Interceptor(a.ID)}
		}, Collapser: instrument.NewCollapser(nil)}, reconcilerMetrics{}, nil
	}
	calls, err := instrument.NewMetrics(opts.Registry)
	if err != nil {
		return nil, reconcilerMetrics{}, err
	}
	measured, err := newReconcilerMetrics(opts.Registry)
	if err != nil {
		return nil, reconcilerMetrics{}, err
	}
	pacer := instrument.NewPacer(limits, clock, calls.Waited)
	return &instrument.Opener{Next: opts.Opener, Interceptors: func(a cloud.Account) []instrument.Interceptor {
		return []instrument.Interceptor{instrument.Trace(tracer), pacer.Interceptor(a.ID), calls.Interceptor(clock)}
	}, Collapser: instrument.NewCollapser(calls.Shared)}, measured, nil
}

// reconcilerMetrics are those of each reconciler, nil when nothing is measured.
type reconcilerMetrics struct {
	tenants  *uploadtenant.Metrics
	accounts *cloudaccount.Metrics
}

func newReconcilerMetrics(registry prometheus.Registerer) (m reconcilerMetrics, err error) {
	if m.tenants, err = uploadtenant.NewMetrics(registry); err != nil {
		return reconcilerMetrics{}, err
	}
	m.accounts, err = cloudaccount.NewMetrics(registry)
	return m, err
}

// kubeSystemUID is the usual identity of a cluster.
func kubeSystemUID(ctx context.Context, reader client.Reader) (string, error) {
	var namespace corev1.Namespace
	if err := reader.Get(ctx, client.ObjectKey{Name: "kube-system"}, &namespace); err != nil {
		return "", fmt.Errorf("read the cluster's identity from namespace kube-system (or set --cluster-id): %w", err)
	}
	return string(namespace.UID), nil
}
