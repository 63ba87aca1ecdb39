// Package cloudaccount verifies CloudAccounts: that the manager's credentials work and belong to the
// account that the spec names. Tenants use an account only after that.
package cloudaccount

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/accounts"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/span"
)

// interval between two verifications of an account that is ready.
const interval = 10 * time.Minute

// Pauses after a failure. One minute bounds how long tenants wait for an account whose cause was removed
// where no watch looks.
const (
	minBackoff = time.Second
	maxBackoff = time.Minute
)

// Reconciler reconciles CloudAccounts.
type Reconciler struct {
	Client client.Client
	// Direct has no cache.
	Direct   client.Reader
	Accounts *accounts.Resolver
	Recorder events.EventRecorder
	// ClusterID is the mark by which orphans of this cluster are known.
	ClusterID string
	// Metrics may be nil.
	Metrics *Metrics
	Tracer  trace.Tracer
	Clock   func() time.Time

	orphans orphanage
}

// +kubebuilder:rbac:groups=oss.uploadtenant.io,resources=cloudaccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups=oss.uploadtenant.io,resources=cloudaccounts/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the reconciler. A changed Secret in the manager's namespace wakes the
// accounts whose credentials it holds.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Direct == nil || r.Accounts == nil || r.Recorder == nil || r.ClusterID == "" || r.Clock == nil || r.Tracer == nil {
		return errors.New("cloudaccount reconciler: an option is missing")
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("cloudaccount").
		For(&v1alpha1.CloudAccount{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, reconcileRequested))).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.accountsOfSecret)).
		WithOptions(controller.Options{
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minBackoff, maxBackoff),
		}).
		Complete(r)
}

// reconcileRequested lets an update through that asks for a reconcile now.
var reconcileRequested = predicate.Funcs{
	CreateFunc: func(event.CreateEvent) bool { return false },
	DeleteFunc: func(event.DeleteEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetAnnotations()[v1alpha1.AnnotationReconcileAt] != e.ObjectNew.GetAnnotations()[v1alpha1.AnnotationReconcileAt]
	},
}

func (r *Reconciler) accountsOfSecret(ctx context.Context, secret client.Object) []reconcile.Request {
	var list v1alpha1.CloudAccountList
	if err := r.Client.List(ctx, &list); err != nil {
		log.FromContext(ctx).Error(err, "List accounts")
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		ref := list.Items[i].Spec.Credentials.SecretRef
		if ref != nil && ref.Name == secret.GetName() && secret.GetNamespace() == r.Accounts.Namespace {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}

// Reconcile verifies one account.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	account := &v1alpha1.CloudAccount{}
	if err := r.Client.Get(ctx, request.NamespacedName, account); err != nil || !account.DeletionTimestamp.IsZero() {
		r.forgetOrphans(request.Name)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	working := account.DeepCopy()
	working.Default()
	failure := span.Around(ctx, r.Tracer, "verify CloudAccount", func() []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("uploadtenant.account", request.Name)}
	}, func(ctx context.Context) error { return r.verify(ctx, working) })
	describe(working, failure)
	requested := account.Annotations[v1alpha1.AnnotationReconcileAt] != account.Status.LastHandledReconcileAt
	// Tenants wait for the verification, so that it is written before anything else is done.
	if err := r.writeStatus(ctx, account, working); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if failure == nil {
		r.reportOrphans(ctx, working, requested)
	}
	working.Status.LastHandledReconcileAt = account.Annotations[v1alpha1.AnnotationReconcileAt]
	if err := r.writeStatus(ctx, account, working); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if failure != nil {
		if values := cloud.LogValues(failure); values != nil {
			log.FromContext(ctx).Info("Cloud call failed", append(values, "error", failure.Error())...)
		}
		return outcome.Result([]error{failure})
	}
	return ctrl.Result{RequeueAfter: interval, Priority: ptr.To(handler.LowPriority)}, nil
}

// verify asks STS who the credentials belong to.
func (r *Reconciler) verify(ctx context.Context, account *v1alpha1.CloudAccount) error {
	services, err := r.Accounts.Open(ctx, account)
	if err != nil {
		return err
	}
	caller, err := services.Identity.Caller(ctx)
	if err != nil {
		return err
	}
	if caller.AccountID != account.Spec.AccountID {
		return outcome.Fail(cloud.Denied, v1alpha1.ReasonWrongAccount,
			"the credentials belong to account %s, not to spec.accountID %s: correct one of them",
			caller.AccountID, account.Spec.AccountID)
	}
	account.Status.PrincipalARN = principal(caller.ARN)
	return nil
}

// principal is the lasting identity behind an ARN: sessions acs:ram::1:assumed-role/name/session belong to
// the role acs:ram::1:role/name.
func principal(arn string) string {
	account, session, isSession := strings.Cut(arn, ":assumed-role/")
	if !isSession {
		return arn
	}
	role, _, _ := strings.Cut(session, "/")
	return account + ":role/" + role
}

// describe fills the status.
func describe(account *v1alpha1.CloudAccount, failure error) {
	status := &account.Status
	status.ObservedGeneration = account.Generation
	set := func(condition string, value metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: condition, Status: value, Reason: reason, Message: message, ObservedGeneration: account.Generation,
		})
	}
	if failure == nil {
		status.VerifiedGeneration = account.Generation
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsDeclared, "the credentials work and belong to the account")
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionReconciling)
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionStalled)
		return
	}
	o := outcome.Of(failure)
	set(v1alpha1.ConditionReady, metav1.ConditionFalse, o.Reason, o.Message)
	if o.Stalled() {
		set(v1alpha1.ConditionStalled, metav1.ConditionTrue, o.Reason, o.Message)
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionReconciling)
		return
	}
	set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, o.Reason, o.Message)
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionStalled)
}

// writeStatus patches the status when it differs, tells of a changed Ready condition, and makes before the
// object as it was written.
func (r *Reconciler) writeStatus(ctx context.Context, before, after *v1alpha1.CloudAccount) error {
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return nil
	}
	patched := before.DeepCopy()
	patched.Status = *after.Status.DeepCopy()
	if err := r.Client.Status().Patch(ctx, patched, client.MergeFrom(before)); err != nil {
		return err
	}
	r.announce(before, after)
	before.Status = patched.Status
	return nil
}

// announce tells of a changed Ready condition.
func (r *Reconciler) announce(before, after *v1alpha1.CloudAccount) {
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ConditionReady)
	if was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return
	}
	kind := corev1.EventTypeNormal
	if is.Status != metav1.ConditionTrue {
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(before, nil, kind, is.Reason, "Verify", "%s", is.Message)
}
