// Package uploadtenant reconciles UploadTenants: it makes the bucket, its CORS rules, the RAM policy and
// role, and the signer's objects what the spec declares, and tells in the status how far it got.
//
// Reconcile builds a scope, runs phases that only fill it, and one deferred finish writes status, event
// and result. Phases of one condition depend on each other; conditions do not.
package uploadtenant

import (
	"context"
	"io"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/controllers/accounts"
	"github.com/uploadtenant/uploadtenant/controllers/span"
)

// FieldOwner owns, in server-side apply, every field that the controller sets on a signer's objects.
const FieldOwner = "uploadtenant"

// DefaultInterval is the pause between two looks at the cloud when nothing changed.
const DefaultInterval = time.Hour

// Options of a Reconciler.
type Options struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Direct has no cache: it handles Secrets, of which the manager may list none, and reads namespaces and
	// the CRD.
	Direct   client.Client
	Accounts *accounts.Resolver
	Recorder events.EventRecorder
	// ClusterID tells this cluster's cloud objects from those of others that share an account.
	ClusterID string
	// SignerImage runs in every signer pod.
	SignerImage string
	// Interval between two looks at the cloud; DefaultInterval when zero.
	Interval time.Duration
	// TicketKeyRotation is how long a key seals tickets; zero means for ever.
	TicketKeyRotation time.Duration
	// Paused stops the work on every tenant.
	Paused bool
	// Metrics may be nil.
	Metrics *Metrics
	// Tracer makes a span of every reconcile and phase; nil makes none.
	Tracer trace.Tracer
	// Clock, Jitter and Random come in from outside. Jitter returns a number in [0, 1).
	Clock  func() time.Time
	Jitter func() float64
	Random io.Reader
}

// Reconciler reconciles UploadTenants.
type Reconciler struct {
	Options
	buckets   bucketLocks
	wishes    wishes
	kinds     kinds
	freshness freshness
}

// New returns a Reconciler.
func New(opts Options) *Reconciler {
	if opts.Interval == 0 {
		opts.Interval = DefaultInterval
	}
	if opts.Tracer == nil {
		opts.Tracer = noop.NewTracerProvider().Tracer("")
	}
	return &Reconciler{Options: opts, freshness: freshness{clock: opts.Clock}}
}

// +kubebuilder:rbac:groups=oss.uploadtenant.io,resources=uploadtenants,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=oss.uploadtenant.io,resources=uploadtenants/status,verbs=patch
// +kubebuilder:rbac:groups=oss.uploadtenant.io,resources=uploadtenants/finalizers,verbs=update
// +kubebuilder:rbac:groups=oss.uploadtenant.io,resources=cloudaccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts;configmaps;services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;create;update;delete
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies;ingresses,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes,verbs=get;create;patch;delete
// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=servicemonitors,verbs=get;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=uploadtenants.oss.uploadtenant.io,verbs=get

// Reconcile makes one tenant true.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	err = span.Around(ctx, r.Tracer, "reconcile UploadTenant", func() []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("k8s.namespace.name", request.Namespace), attribute.String("uploadtenant.name", request.Name)}
	}, func(ctx context.Context) (err error) {
		result, err = r.reconcile(ctx, request)
		return err
	})
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	tenant := &v1alpha1.UploadTenant{}
	if err := r.Client.Get(ctx, request.NamespacedName, tenant); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	s := newScope(tenant, r.ClusterID)
	reason, message, err := r.paused(ctx, s)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !s.tenant.DeletionTimestamp.IsZero() {
		return r.delete(ctx, s, reason, message)
	}
	if reason != "" {
		return r.finishPaused(ctx, s, reason, message)
	}
	if err := r.ensureFinalizer(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	defer func() { result, err = r.finish(ctx, s) }()
	if s.reconcileRequested() {
		r.freshness.expire(s.tenant.UID)
	}
	s.fresh = !s.changes.DryRun
	r.run(ctx, s, r.phases())
	return ctrl.Result{}, nil
}

// ensureFinalizer claims the tenant before the first write to the cloud, in a write of its own that fails
// when somebody changed the object meanwhile.
func (r *Reconciler) ensureFinalizer(ctx context.Context, s *scope) error {
	if s.changes.DryRun || controllerutil.ContainsFinalizer(s.tenant, v1alpha1.Finalizer) {
		return nil
	}
	return r.patchMetadata(ctx, s, func(t *v1alpha1.UploadTenant) {
		controllerutil.AddFinalizer(t, v1alpha1.Finalizer)
	})
}

// patchMetadata changes the tenant's metadata under an optimistic lock and keeps the scope's status, which
// is not written here.
func (r *Reconciler) patchMetadata(ctx context.Context, s *scope, change func(*v1alpha1.UploadTenant)) error {
	before := s.original.DeepCopy()
	after := before.DeepCopy()
	change(after)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, after, patch); err != nil {
		return err
	}
	s.original = after.DeepCopy()
	s.tenant.ObjectMeta = *after.ObjectMeta.DeepCopy()
	return nil
}

// phase makes one part true.
type phase struct {
	// condition that the part belongs to.
	condition string
	// name for logs and traces.
	name string
	run  func(context.Context, *scope) error
}

// enter runs a phase as a span of its own.
func (r *Reconciler) enter(ctx context.Context, p phase, s *scope) error {
	return span.Around(ctx, r.Tracer, "phase "+p.name, nil, func(ctx context.Context) error { return p.run(ctx, s) })
}

// phases in the order in which they make sense: what comes later may need what comes earlier to be useful.
func (r *Reconciler) phases() []phase {
	return []phase{
		{v1alpha1.ConditionBucketReady, "bucket", r.bucket},
		{v1alpha1.ConditionBucketReady, "settings", r.settings},
		{v1alpha1.ConditionBucketReady, "cors", r.cors},
		{v1alpha1.ConditionBucketReady, "lifecycle", r.lifecycle},
		{v1alpha1.ConditionAccessReady, "policy", r.policy},
		{v1alpha1.ConditionAccessReady, "role", r.role},
		{v1alpha1.ConditionAccessReady, "attachment", r.attachment},
		{v1alpha1.ConditionSignerReady, "tickets", r.ticketKeys},
		{v1alpha1.ConditionSignerReady, "session", r.session},
		{v1alpha1.ConditionSignerReady, "objects", r.signerObjects},
		{v1alpha1.ConditionSignerReady, "rollout", r.signerRollout},
	}
}

// run runs the phases. After a failure the remaining phases of the same condition are left out.
func (r *Reconciler) run(ctx context.Context, s *scope, phases []phase) {
	s.account, s.services, s.accountErr = r.openAccount(ctx, s)
	for _, p := range phases {
		if s.failures[p.condition] != nil {
			continue
		}
		if s.accountErr != nil {
			s.fail(p.condition, "account", s.accountErr)
			continue
		}
		if err := s.bucketContested(p.condition); err != nil {
			s.fail(p.condition, p.name, err)
			continue
		}
		before := len(s.changes.List)
		if err := r.enter(ctx, p, s); err != nil {
			s.fail(p.condition, p.name, err)
		}
		if pending := s.changes.List[before:]; s.changes.DryRun && len(pending) > 0 && s.failures[p.condition] == nil {
			s.planned[p.condition] = append(s.planned[p.condition], pending...)
		}
	}
}
