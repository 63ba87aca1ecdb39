package uploadtenant

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
	"github.com/uploadtenant/uploadtenant/policy"
)

// crdName is the CRD of UploadTenants.
const crdName = "uploadtenants.oss.uploadtenant.io"

// delete undoes, in reverse, what the phases made: signer, attachment, role, policy, CORS rule. The bucket
// and its objects stay. Only then does the finalizer go.
//
// When the namespace or the CRD itself is being deleted, everything in the cloud stays: that is more often
// an accident or an uninstall than a wish to end uploads, and the same YAML finds its objects again.
func (r *Reconciler) delete(ctx context.Context, s *scope, paused, pausedMessage string) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(s.tenant, v1alpha1.Finalizer) {
		return ctrl.Result{}, nil
	}
	// The cache may still show a tenant whose finalizer is gone, while another of its name is being made.
	current := &v1alpha1.UploadTenant{}
	if err := r.Direct.Get(ctx, client.ObjectKeyFromObject(s.tenant), current); err != nil || current.UID != s.tenant.UID {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	retain, err := r.retainReason(ctx, s)
	if err != nil {
		return ctrl.Result{}, err
	}
	if retain == "" && s.changes.DryRun {
		retain = "managementPolicy is Observe"
	}
	if retain == "" && paused != "" {
		return r.finishPaused(ctx, s, paused, pausedMessage+": the tenant goes when work goes on")
	}
	if retain != "" {
		log.FromContext(ctx).Info("Leaving the role, policy and CORS rule in the cloud", "because", retain, "role", s.roleName())
		return r.release(ctx, s)
	}
	for _, phase := range []phase{
		{v1alpha1.ConditionSignerReady, "remove signer", r.signerGone},
		{v1alpha1.ConditionAccessReady, "remove access", r.accessGone},
		{v1alpha1.ConditionBucketReady, "release bucket", r.bucketReleased},
	} {
		if err := r.enter(ctx, phase, s); err != nil {
			s.fail(phase.condition, phase.name, err)
			return r.finishDeleting(ctx, s, err)
		}
	}
	return r.release(ctx, s)
}

// retainReason tells why the cloud must be left alone, or nothing.
func (r *Reconciler) retainReason(ctx context.Context, s *scope) (string, error) {
	for what, object := range map[string]*metav1.PartialObjectMetadata{
		"the namespace is being deleted": partial("v1", "Namespace", s.tenant.Namespace),
		"the CRD is being deleted":       partial("apiextensions.k8s.io/v1", "CustomResourceDefinition", crdName),
	} {
		err := r.Direct.Get(ctx, client.ObjectKeyFromObject(object), object)
		if err != nil && !apierrors.IsNotFound(err) {
			return "", err
		}
		if apierrors.IsNotFound(err) || !object.DeletionTimestamp.IsZero() {
			return what, nil
		}
	}
	return "", nil
}

func partial(apiVersion, kind, name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiVersion, Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}
}

// release removes the finalizer; the API server then removes the tenant.
func (r *Reconciler) release(ctx context.Context, s *scope) (ctrl.Result, error) {
	r.freshness.forget(s.tenant.UID)
	r.Metrics.deleted(s, r.Clock())
	err := r.patchMetadata(ctx, s, func(t *v1alpha1.UploadTenant) {
		controllerutil.RemoveFinalizer(t, v1alpha1.Finalizer)
	})
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// finishDeleting tells in the status what keeps the tenant from going.
func (r *Reconciler) finishDeleting(ctx context.Context, s *scope, err error) (ctrl.Result, error) {
	o := outcome.Of(err)
	s.tenant.Status.ObservedGeneration = s.tenant.Generation
	s.set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonDeleting, "cannot be deleted yet ("+o.Reason+"): "+o.Message)
	s.set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonDeleting, "cannot be deleted yet ("+o.Reason+"): "+o.Message)
	meta.RemoveStatusCondition(&s.tenant.Status.Conditions, v1alpha1.ConditionStalled)
	s.logFailures(ctx)
	return r.conclude(ctx, s, []error{err})
}

// signerGone removes the signer's objects. The garbage collector would do it too, but later: the signer
// must not run any longer than its role exists.
func (r *Reconciler) signerGone(ctx context.Context, s *scope) error {
	name := signerobjects.Name(s.tenant)
	at := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: s.tenant.Namespace, Name: name}
	}
	for _, object := range []client.Object{
		&networkingv1.Ingress{ObjectMeta: at(name)},
		&corev1.Service{ObjectMeta: at(name)},
		&autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: at(name)},
		&policyv1.PodDisruptionBudget{ObjectMeta: at(name)},
		&appsv1.Deployment{ObjectMeta: at(name)},
		&corev1.ConfigMap{ObjectMeta: at(name)},
		&networkingv1.NetworkPolicy{ObjectMeta: at(name)},
		&corev1.ServiceAccount{ObjectMeta: at(name)},
	} {
		// What the cache does not hold was never made, or is not the manager's.
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			if apierrors.IsNotFound(err) {
				continue
			}
			return err
		}
		err := r.Client.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	if err := r.optionalObjectsGone(ctx, s); err != nil {
		return err
	}
	for _, secret := range []string{signerobjects.TicketSecretName(s.tenant), signerobjects.SessionSecretName(s.tenant)} {
		if err := r.secretGone(ctx, s, &corev1.Secret{ObjectMeta: at(secret)}); err != nil {
			return err
		}
	}
	return nil
}

// secretGone removes a Secret that this tenant made. One of somebody else, or one that was just restored
// from a backup, is not touched.
func (r *Reconciler) secretGone(ctx context.Context, s *scope, secret *corev1.Secret) error {
	err := r.Direct.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	if err != nil || !metav1.IsControlledBy(secret, s.original) {
		return client.IgnoreNotFound(err)
	}
	return client.IgnoreNotFound(r.Direct.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}))
}

// accessGone removes attachment, role and policy, each only when it is this tenant's.
func (r *Reconciler) accessGone(ctx context.Context, s *scope) error {
	if err := r.reachAccount(ctx, s); err != nil || s.account == nil {
		return err
	}
	name := s.roleName()
	role, found, err := s.services.Roles.Observe(ctx, name)
	if err != nil {
		return err
	}
	if found && s.owner.Owns(role.Description) {
		if err := r.roleGone(ctx, s, name); err != nil {
			return err
		}
	}
	observed, found, err := s.services.Policies.Observe(ctx, name)
	if err != nil || !found || !s.owner.Owns(observed.Description) {
		return err
	}
	return s.services.Policies.Delete(ctx, name)
}

func (r *Reconciler) roleGone(ctx context.Context, s *scope, name string) error {
	attached, err := s.services.Attachments.List(ctx, name)
	if err != nil {
		return err
	}
	for _, other := range attached {
		if err := s.services.Attachments.Detach(ctx, other, name); err != nil {
			return err
		}
	}
	return s.services.Roles.Delete(ctx, name)
}

// bucketReleased rewrites the bucket's CORS and lifecycle documents for the tenants that stay, and removes
// the bucket when the spec asks for it and nothing is in it.
func (r *Reconciler) bucketReleased(ctx context.Context, s *scope) error {
	if s.account == nil {
		return nil
	}
	name := s.tenant.Spec.Bucket.Name
	_, found, err := s.services.Buckets.Observe(ctx, name)
	if err != nil || !found {
		return err
	}
	tags, err := s.services.Buckets.Tags(ctx, name)
	if err != nil || tags[policy.BucketOwnerTag] != r.ClusterID {
		return err
	}
	if err := r.mergeCORS(ctx, s); err != nil {
		return err
	}
	if err := r.mergeLifecycle(ctx, s, nil); err != nil {
		return err
	}
	return r.bucketGone(ctx, s)
}

// bucketGone removes an empty bucket with its last tenant; of several that go at the same time, the first one
// does. OSS itself refuses one that holds an object.
func (r *Reconciler) bucketGone(ctx context.Context, s *scope) error {
	if s.tenant.Spec.Bucket.DeletionPolicy != v1alpha1.DeletionDeleteIfEmpty {
		return nil
	}
	defer r.buckets.lock(bucketLock(s))()
	claimed, err := r.bucketClaims(ctx, s)
	if err != nil || claimed.staying > 0 {
		return err
	}
	name := s.tenant.Spec.Bucket.Name
	err = s.services.Buckets.Delete(ctx, name)
	r.buckets.written(bucketLock(s))
	if cloud.ClassOf(err) == cloud.Conflict {
		log.FromContext(ctx).Info("Keeping the bucket, because it holds objects", "bucket", name)
		return nil
	}
	return err
}

// reachAccount opens the account for a deletion. A CloudAccount that is gone cannot be waited for: nothing
// would ever bring its credentials back, so what it held is left and told in the log.
func (r *Reconciler) reachAccount(ctx context.Context, s *scope) error {
	var err error
	s.account, s.services, err = r.openAccount(ctx, s)
	if err != nil && s.account != nil && outcome.Of(err).Reason == v1alpha1.ReasonNotAllowed {
		if s.tenant.Status.Role == nil {
			s.account = nil // it was never let in, so nothing in the cloud is its own
			return nil
		}
		// What a tenant made before the rules changed is still its own to remove.
		s.services, err = r.Accounts.Open(ctx, s.account)
	}
	if err != nil && outcome.Of(err).Reason == v1alpha1.ReasonAccountNotFound {
		log.FromContext(ctx).Info("Leaving the role, policy and CORS rule in the cloud", "because", "the CloudAccount is gone", "role", s.roleName())
		s.account = nil
		return nil
	}
	return err
}
