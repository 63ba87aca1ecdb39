package uploadtenant

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// paused tells who stopped the work on a tenant, as reason and message, or nothing.
func (r *Reconciler) paused(ctx context.Context, s *scope) (reason, message string, err error) {
	if r.Paused {
		return v1alpha1.ReasonPausedByManager, "the manager was started with --paused", nil
	}
	if s.tenant.Spec.ManagementPolicy == v1alpha1.ManagementPaused {
		return v1alpha1.ReasonPausedByTenant, "spec.managementPolicy is Paused", nil
	}
	namespace := partial("v1", "Namespace", s.tenant.Namespace)
	err = r.Client.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
	if apierrors.IsNotFound(err) { // the cache may not show it yet when it was made together with the tenant
		err = r.Direct.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
	}
	if err != nil {
		return "", "", client.IgnoreNotFound(err)
	}
	if namespace.Annotations[v1alpha1.AnnotationPaused] == "true" {
		return v1alpha1.ReasonPausedByNamespace, "namespace " + namespace.Name + " has the annotation " + v1alpha1.AnnotationPaused, nil
	}
	return "", "", nil
}

// finishPaused tells that nothing is done. The other conditions stay as they were last seen.
func (r *Reconciler) finishPaused(ctx context.Context, s *scope, reason, message string) (ctrl.Result, error) {
	s.set(v1alpha1.ConditionPaused, metav1.ConditionTrue, reason, message)
	meta.RemoveStatusCondition(&s.tenant.Status.Conditions, v1alpha1.ConditionReconciling)
	if equality.Semantic.DeepEqual(s.original.Status, s.tenant.Status) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.writeStatus(ctx, s))
}
