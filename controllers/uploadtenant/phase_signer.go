package uploadtenant

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/instrument"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
)

// annotationApplied holds a fingerprint of what was last applied, so that a field which the controller no
// longer wants is noticed and given up.
const annotationApplied = "oss.uploadtenant.io/applied"

// secretPoll is how soon a missing Secret is looked for again: the manager may not watch Secrets.
const secretPoll = 10 * time.Second

// signerObjects makes the signer's objects what the spec and the account declare. The Deployment comes
// after what its pods need.
func (r *Reconciler) signerObjects(ctx context.Context, s *scope) error {
	in := signerobjects.Input{
		Tenant:     s.tenant,
		Config:     signerconfig.Build(s.tenant, s.account, s.roleARN()),
		Image:      r.SignerImage,
		TicketKeys: s.ticketKeys,
	}
	s.tenant.Status.Signer = &v1alpha1.SignerStatus{URL: signerobjects.URL(s.tenant)}
	configMap, err := signerobjects.ConfigMap(in)
	if err != nil {
		return err
	}
	for _, o := range []managed{
		wanted(signerobjects.ServiceAccount(in), &corev1.ServiceAccount{}),
		wanted(configMap, &corev1.ConfigMap{}).seenAs(signerobjects.Compacted(configMap)),
		wanted(signerobjects.NetworkPolicy(in), &networkingv1.NetworkPolicy{}),
		wanted(signerobjects.Deployment(in), &appsv1.Deployment{}),
		wanted(signerobjects.Service(in), &corev1.Service{}),
		wanted(signerobjects.DisruptionBudget(in), &policyv1.PodDisruptionBudget{}),
		wanted(signerobjects.Autoscaler(in), &autoscalingv2.HorizontalPodAutoscaler{}),
		wanted(signerobjects.Ingress(in), &networkingv1.Ingress{}),
	} {
		if err := r.ensureObject(ctx, s, o); err != nil {
			return err
		}
	}
	return r.optionalObjects(ctx, s, in)
}

// managed is one object of a signer.
type managed struct {
	// desired is nil when the spec asks for no such object, else stamped with annotationApplied.
	desired runtime.ApplyConfiguration
	applied string
	// seen is desired as the cache would show it.
	seen any
	// live is an empty object of the kind, to read into.
	live client.Object
}

// wanted makes a managed object of an apply configuration, or of none.
func wanted[A any, P interface {
	*A
	runtime.ApplyConfiguration
	WithAnnotations(map[string]string) P
}](desired P, live client.Object) managed {
	if desired == nil {
		return managed{live: live}
	}
	applied := fingerprint(desired)[:16]
	desired = desired.WithAnnotations(map[string]string{annotationApplied: applied})
	return managed{desired: desired, applied: applied, seen: desired, live: live}
}

func (m managed) seenAs(seen any) managed {
	m.seen = seen
	return m
}

// ensureObject makes one object what is desired, by server-side apply, unless the cache shows that it
// already is: a quiet tenant causes no write. What is applied is typed like what is read, because a read
// waits for earlier writes of the same type only, and each type would have a cache of its own.
func (r *Reconciler) ensureObject(ctx context.Context, s *scope, o managed) error {
	gvk, err := r.Client.GroupVersionKindFor(o.live)
	if err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: s.tenant.Namespace, Name: signerobjects.Name(s.tenant)}
	err = r.Client.Get(ctx, key, o.live)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return err
	case o.desired == nil:
		return r.remove(ctx, s, gvk.Kind, o.live, err == nil)
	case err != nil:
		if err := r.nameIsFree(ctx, s, gvk, key); err != nil {
			return err
		}
		if s.wasReady() {
			s.drift = append(s.drift, instrument.Change{Operation: "apply", Resource: gvk.Kind + " " + key.Name, Detail: "it was gone"})
		}
	default:
		if err := notForeign(s, gvk.Kind, o.live); err != nil {
			return err
		}
		covered, err := signerobjects.Covers(o.live, o.seen)
		if err != nil || covered {
			return err
		}
		if o.live.GetAnnotations()[annotationApplied] == o.applied {
			// The controller wants what it wanted last time, so somebody else changed it.
			s.drift = append(s.drift, instrument.Change{Operation: "apply", Resource: gvk.Kind + " " + key.Name})
		}
	}
	s.changes.Note("apply", gvk.Kind+" "+key.Name, "")
	if s.changes.DryRun {
		return nil
	}
	if err := r.Client.Apply(ctx, o.desired, client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply %s %s: %w", gvk.Kind, key.Name, err)
	}
	log.FromContext(ctx).V(1).Info("Applied", "kind", gvk.Kind, "name", key.Name)
	return nil
}

// nameIsFree fails when an object that the cache leaves out, because it lacks the manager's label, is somebody else's.
func (r *Reconciler) nameIsFree(ctx context.Context, s *scope, gvk schema.GroupVersionKind, key client.ObjectKey) error {
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(gvk)
	if err := r.Direct.Get(ctx, key, live); err != nil {
		return client.IgnoreNotFound(err)
	}
	return notForeign(s, gvk.Kind, live)
}

// notForeign fails when an object that has the name of one of the signer's is somebody else's: by applying, the
// tenant would take it from its owner, and take it along when it goes.
func notForeign(s *scope, kind string, live client.Object) error {
	owner, labels := metav1.GetControllerOf(live), live.GetLabels()
	if owner != nil && ownedByName(s.original, owner) ||
		owner == nil && labels[signerobjects.LabelManagedBy] == signerobjects.ManagedBy && labels[signerobjects.LabelInstance] == s.tenant.Name {
		return nil
	}
	return outcome.Fail(cloud.Conflict, v1alpha1.ReasonConflict,
		"%s %s exists and is not this tenant's: remove it or give it another name, because the signer needs this one", kind, live.GetName())
}

// remove deletes an object that the spec no longer asks for. Only objects of the manager are in the cache.
func (r *Reconciler) remove(ctx context.Context, s *scope, kind string, live client.Object, found bool) error {
	if !found || !metav1.IsControlledBy(live, s.original) {
		return nil
	}
	s.changes.Note("delete", kind+" "+live.GetName(), "")
	if s.changes.DryRun {
		return nil
	}
	return client.IgnoreNotFound(r.Client.Delete(ctx, live))
}

// signerRollout waits until the signer answers with the current configuration.
func (r *Reconciler) signerRollout(ctx context.Context, s *scope) error {
	if err := r.referencedSecrets(ctx, s); err != nil {
		return err
	}
	var deployment appsv1.Deployment
	key := client.ObjectKey{Namespace: s.tenant.Namespace, Name: signerobjects.Name(s.tenant)}
	if err := r.Client.Get(ctx, key, &deployment); err != nil {
		switch {
		case apierrors.IsNotFound(err) && s.changes.DryRun:
			return nil
		case apierrors.IsNotFound(err):
			return rollingOut("the Deployment was just created")
		}
		return err
	}
	status := deployment.Status
	s.tenant.Status.Signer.Replicas = status.AvailableReplicas
	want := int32(1)
	if deployment.Spec.Replicas != nil {
		want = *deployment.Spec.Replicas
	}
	for _, c := range status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return rollingOut("the signer's pod is refused: %s", c.Message)
		}
	}
	switch {
	case status.ObservedGeneration < deployment.Generation, status.UpdatedReplicas < want:
		return rollingOut("Deployment %s is rolling out", deployment.Name)
	case status.Replicas > status.UpdatedReplicas:
		// They still answer, with the configuration before; and they, not the new ones, may be what is available.
		return rollingOut("Deployment %s still has pods of its last revision", deployment.Name)
	case status.AvailableReplicas < want:
		return rollingOut("Deployment %s has %d of %d replicas available: kubectl -n %s describe pods -l %s=%s tells why when it stays so",
			deployment.Name, status.AvailableReplicas, want, deployment.Namespace, signerobjects.LabelInstance, s.tenant.Name)
	}
	return nil
}

func rollingOut(format string, args ...any) error {
	f := outcome.Fail(cloud.Waiting, v1alpha1.ReasonRollingOut, format, args...)
	// The Deployment is watched; this is for the event that got lost.
	f.RetryAfter = time.Minute
	return f
}

// referencedSecrets checks that what the pod mounts exists: the kubelet would only tell in a pod event.
func (r *Reconciler) referencedSecrets(ctx context.Context, s *scope) error {
	refs := map[string]v1alpha1.SecretKeyReference{}
	if jwt := s.tenant.Spec.Auth.JWT; jwt != nil && jwt.SecretRef != nil {
		refs["auth.jwt.secretRef"] = *jwt.SecretRef
	}
	if wechat := s.tenant.Spec.Auth.WeChat; wechat != nil {
		refs["auth.wechat.secretRef"] = wechat.SecretRef
	}
	if check := s.tenant.Spec.Verification.MediaCheck; check != nil {
		refs["verification.mediaCheck.pushSecretRef"] = v1alpha1.SecretKeyReference{Name: check.PushSecretRef.Name, Key: "token"}
	}
	if events := s.tenant.Spec.Events; events != nil {
		refs["events.secretRef"] = events.SecretRef
	}
	inputs := fingerprint(refs)
	if len(refs) == 0 || s.fresh && r.freshness.holds(s.tenant.UID, "secrets", inputs) {
		return nil
	}
	for _, field := range []string{"auth.jwt.secretRef", "auth.wechat.secretRef", "verification.mediaCheck.pushSecretRef", "events.secretRef"} {
		ref, ok := refs[field]
		if !ok {
			continue
		}
		if err := r.secretKey(ctx, s.tenant.Namespace, field, ref); err != nil {
			return err
		}
	}
	r.freshness.found(s.tenant.UID, "secrets", inputs, r.validity(s))
	return nil
}

func (r *Reconciler) secretKey(ctx context.Context, namespace, field string, ref v1alpha1.SecretKeyReference) error {
	var secret corev1.Secret
	err := r.Direct.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &secret)
	var missing string
	switch {
	case apierrors.IsNotFound(err):
		missing = fmt.Sprintf("there is no Secret %s in namespace %s: create it with the key %s", ref.Name, namespace, ref.Key)
	case err != nil:
		return err
	case len(secret.Data[ref.Key]) == 0:
		missing = fmt.Sprintf("Secret %s in namespace %s has no key %s: add it", ref.Name, namespace, ref.Key)
	default:
		return nil
	}
	f := outcome.Fail(cloud.Waiting, v1alpha1.ReasonSecretNotFound, "%s: %s", field, missing)
	f.RetryAfter = secretPoll
	return f
}
