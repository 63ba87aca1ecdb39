package uploadtenant

import (
	"context"
	"errors"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// Pauses after a failure grow from one to the other. Two minutes bound how long a tenant stays broken
// after its cause was removed somewhere no watch looks; with 1,000 broken tenants they cost 8 calls a second.
const (
	minBackoff = time.Second
	maxBackoff = 2 * time.Minute
)

// accountIndex finds the tenants of a CloudAccount.
const accountIndex = "spec.accountRef.name"

// reconcileTimeout bounds one reconcile: a dozen cloud calls that each take their whole time to fail.
const reconcileTimeout = 2 * time.Minute

// SetupWithManager registers the reconciler and what wakes it.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, concurrency int) error {
	if r.Client == nil || r.Direct == nil || r.Accounts == nil || r.Recorder == nil ||
		r.ClusterID == "" || r.SignerImage == "" || r.Clock == nil || r.Jitter == nil || r.Random == nil {
		return errors.New("uploadtenant reconciler: an option is missing")
	}
	if err := index(ctx, mgr); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("uploadtenant").
		For(&v1alpha1.UploadTenant{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Owns(&appsv1.Deployment{}, builder.WithPredicates(notCreated)).
		Owns(&corev1.ServiceAccount{}, builder.WithPredicates(notCreated)).
		Owns(&corev1.ConfigMap{}, builder.WithPredicates(notCreated)).
		Owns(&corev1.Service{}, builder.WithPredicates(notCreated)).
		Owns(&networkingv1.NetworkPolicy{}, builder.WithPredicates(notCreated)).
		Owns(&networkingv1.Ingress{}, builder.WithPredicates(notCreated)).
		Owns(&policyv1.PodDisruptionBudget{}, builder.WithPredicates(specChanged)).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}, builder.WithPredicates(specChanged)).
		Watches(&v1alpha1.CloudAccount{}, handler.EnqueueRequestsFromMapFunc(r.tenantsOfAccount), builder.WithPredicates(accountChanged)).
		Watches(&v1alpha1.UploadTenant{}, r.neighbours()).
		Watches(&v1alpha1.UploadTenant{}, unsettledFirst()).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.tenantsOfNamespace), builder.WithPredicates(pauseChanged)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: concurrency,
			ReconciliationTimeout:   reconcileTimeout,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minBackoff, maxBackoff),
		}).
		Complete(r)
}

func index(ctx context.Context, mgr ctrl.Manager) error {
	indexer := mgr.GetFieldIndexer()
	err := indexer.IndexField(ctx, &v1alpha1.UploadTenant{}, bucketIndex, func(o client.Object) []string {
		return []string{bucketKey(o.(*v1alpha1.UploadTenant))}
	})
	if err != nil {
		return err
	}
	return indexer.IndexField(ctx, &v1alpha1.UploadTenant{}, accountIndex, func(o client.Object) []string {
		return []string{accountName(o.(*v1alpha1.UploadTenant))}
	})
}

// notCreated leaves out creations: the controller itself creates these objects.
var notCreated = predicate.Funcs{CreateFunc: func(event.CreateEvent) bool { return false }}

// specChanged leaves out what other controllers write into the status, too.
var specChanged = predicate.And[client.Object](notCreated, predicate.GenerationChangedPredicate{})

// accountChanged lets through what may change the fate of tenants: a new spec, or another Ready.
var accountChanged = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*v1alpha1.CloudAccount), e.ObjectNew.(*v1alpha1.CloudAccount)
		if before.Generation != after.Generation || before.Status.VerifiedGeneration != after.Status.VerifiedGeneration {
			return true
		}
		was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
		is := meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ConditionReady)
		return (was == nil) != (is == nil) || was != nil && (was.Status != is.Status || was.Reason != is.Reason)
	},
}

// pauseChanged lets a namespace through whose tenants are to stop or to go on.
var pauseChanged = predicate.Funcs{
	CreateFunc: func(event.CreateEvent) bool { return false },
	DeleteFunc: func(event.DeleteEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetAnnotations()[v1alpha1.AnnotationPaused] != e.ObjectNew.GetAnnotations()[v1alpha1.AnnotationPaused] ||
			e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
	},
}

// tenantsOfNamespace are woken when their namespace is paused, resumed or deleted.
func (r *Reconciler) tenantsOfNamespace(ctx context.Context, namespace client.Object) []reconcile.Request {
	return r.requests(ctx, client.InNamespace(namespace.GetName()))
}

// tenantsOfAccount are woken when their account changes.
func (r *Reconciler) tenantsOfAccount(ctx context.Context, account client.Object) []reconcile.Request {
	return r.requests(ctx, client.MatchingFields{accountIndex: account.GetName()})
}

// requests are those of the tenants that the options select.
func (r *Reconciler) requests(ctx context.Context, opts ...client.ListOption) []reconcile.Request {
	var list v1alpha1.UploadTenantList
	if err := r.Client.List(ctx, &list, append(opts, client.UnsafeDisableDeepCopy)...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "List tenants to wake")
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{
			Namespace: list.Items[i].Namespace, Name: list.Items[i].Name,
		}})
	}
	return requests
}

// unsettledFirst raises, in the list that a manager reads when it starts, the tenants that wait for something
// above those that are only looked at again: a person's change that came meanwhile is in that list too, and
// everything in it has a low priority otherwise.
func unsettledFirst() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			prioritized, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request])
			if tenant := e.Object.(*v1alpha1.UploadTenant); ok && e.IsInInitialList && unsettled(tenant) {
				prioritized.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(0)}, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(tenant)})
			}
		},
	}
}

// unsettled tells whether something is to be done for a tenant, as far as its status knows.
func unsettled(t *v1alpha1.UploadTenant) bool {
	requested := t.Annotations[v1alpha1.AnnotationReconcileAt]
	return !t.DeletionTimestamp.IsZero() || t.Status.ObservedGeneration != t.Generation ||
		requested != "" && requested != t.Status.LastHandledReconcileAt ||
		!meta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ConditionReady)
}

// neighbours wakes the other tenants of a bucket when one goes: it may have held the prefix they want.
func (r *Reconciler) neighbours() handler.EventHandler {
	return handler.Funcs{
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			key := bucketKey(e.Object.(*v1alpha1.UploadTenant))
			for _, request := range r.requests(ctx, client.MatchingFields{bucketIndex: key}) {
				if prioritized, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
					prioritized.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}, request)
					continue
				}
				queue.Add(request)
			}
		},
	}
}
