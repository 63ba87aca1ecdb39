package uploadtenant

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
)

// Annotations of the Secret with the ticket keys.
const (
	// annotationRotated is when the current key became the current one.
	annotationRotated = "oss.uploadtenant.io/rotated"
	// annotationNextKey names the key that becomes the current one when every pod knows it.
	annotationNextKey = "oss.uploadtenant.io/next-key"
)

// ticketKeys makes the Secret with the ticket keys exist, once, and rotates the key that seals. It is read
// from the API server, not from a cache, and created rather than applied, so that keys in use are never
// replaced. Old keys stay for ever: the tickets that they sealed lie beside the objects in the bucket, and
// the index is rebuilt from them.
func (r *Reconciler) ticketKeys(ctx context.Context, s *scope) error {
	name := signerobjects.TicketSecretName(s.tenant)
	inputs := fingerprint(name)
	if s.fresh && r.freshness.holds(s.tenant.UID, "tickets", inputs) {
		s.ticketKeys, _ = r.freshness.note(s.tenant.UID, "tickets")
		return nil
	}
	var secret corev1.Secret
	err := r.Direct.Get(ctx, client.ObjectKey{Namespace: s.tenant.Namespace, Name: name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return r.createTicketKeys(ctx, s, name)
	case err != nil:
		return err
	case !adoptable(s.original, &secret):
		return outcome.Fail(cloud.Conflict, v1alpha1.ReasonTicketKeysInvalid,
			"Secret %s exists and belongs to %s: remove it, and new ticket keys are made", secret.Name, metav1.GetControllerOf(&secret).Name)
	}
	keys, err := signerobjects.ParseTicketKeys(secret.Data[signerobjects.TicketKeysKey])
	if err != nil {
		// Secrets are not watched, so this is tried again: nothing else would tell that it was restored.
		return outcome.Because(err, cloud.Conflict, v1alpha1.ReasonTicketKeysInvalid,
			"Secret %s: %s: restore it, or remove it to get new keys, which ends the uploads under way", secret.Name, err.Error())
	}
	if err := r.adoptTicketKeys(ctx, s, &secret); err != nil {
		return err
	}
	s.ticketKeys = keys.Identity()
	if err := r.rotateTicketKeys(ctx, s, &secret, keys); err != nil {
		return err
	}
	valid := r.validity(s)
	if secret.Annotations[annotationNextKey] != "" {
		valid = 0 // the second step follows as soon as the pods know the key
	}
	r.freshness.found(s.tenant.UID, "tickets", inputs, valid)
	r.freshness.remember(s.tenant.UID, "tickets", s.ticketKeys)
	return nil
}

// adoptable tells whether a Secret of the right name may be this tenant's: it is, or it was restored from a
// backup, without an owner or with the UID that a tenant of this name had before. Tickets are bound to
// namespace and name, so that its keys open what lies in the bucket.
func adoptable(tenant *v1alpha1.UploadTenant, secret *corev1.Secret) bool {
	owner := metav1.GetControllerOf(secret)
	return owner == nil || ownedByName(tenant, owner)
}

// ownedByName tells whether an owner is the tenant, or was one of its name before the cluster was restored.
func ownedByName(tenant *v1alpha1.UploadTenant, owner *metav1.OwnerReference) bool {
	return owner.UID == tenant.UID ||
		owner.Kind == "UploadTenant" && owner.APIVersion == v1alpha1.GroupVersion.String() && owner.Name == tenant.Name
}

// adoptTicketKeys makes the tenant the owner of a restored Secret. Its content is not touched.
func (r *Reconciler) adoptTicketKeys(ctx context.Context, s *scope, secret *corev1.Secret) error {
	if metav1.IsControlledBy(secret, s.original) {
		return nil
	}
	s.changes.Note("adopt", "Secret "+secret.Name, "")
	if s.changes.DryRun {
		return nil
	}
	adopted := secret.DeepCopy()
	adopted.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(s.original, v1alpha1.GroupVersion.WithKind("UploadTenant"))}
	if adopted.Labels == nil {
		adopted.Labels = map[string]string{}
	}
	maps.Copy(adopted.Labels, signerobjects.Labels(s.tenant))
	// An update fails when somebody else wrote meanwhile: keys must never be lost to a race.
	if err := r.Direct.Update(ctx, adopted); err != nil {
		return fmt.Errorf("adopt Secret %s: %w", secret.Name, err)
	}
	*secret = *adopted
	log.FromContext(ctx).Info("Adopted restored ticket keys", "secret", secret.Name)
	return nil
}

func (r *Reconciler) createTicketKeys(ctx context.Context, s *scope, name string) error {
	s.changes.Note("create", "Secret "+name, "")
	if s.changes.DryRun {
		return nil
	}
	keys, err := signerobjects.NewTicketKeys(r.Random)
	if err != nil {
		return err
	}
	secret, err := signerobjects.TicketSecret(s.tenant, keys)
	if err != nil {
		return err
	}
	secret.Annotations = map[string]string{annotationRotated: r.Clock().UTC().Format(time.RFC3339)}
	if err := r.Direct.Create(ctx, secret, client.FieldOwner(FieldOwner)); err != nil {
		return fmt.Errorf("create Secret %s: %w", secret.Name, err)
	}
	s.ticketKeys = keys.Identity()
	return nil
}

// rotateTicketKeys works in two steps, each followed by a rollout, so that at no time a pod meets a ticket
// whose key it does not know: first a next key is added, then it becomes the current one.
func (r *Reconciler) rotateTicketKeys(ctx context.Context, s *scope, secret *corev1.Secret, keys signerobjects.TicketKeys) error {
	if r.TicketKeyRotation <= 0 || s.changes.DryRun {
		return nil
	}
	next := secret.Annotations[annotationNextKey]
	switch {
	case next != "":
		if known, err := r.rolledOut(ctx, s); err != nil || !known {
			return err
		}
		if _, ok := keys.Keys[next]; ok {
			keys.Current = next
		}
		delete(secret.Annotations, annotationNextKey)
		secret.Annotations[annotationRotated] = r.Clock().UTC().Format(time.RFC3339)
		log.FromContext(ctx).Info("Made the next ticket key the current one", "key", next)
	case r.Clock().Sub(rotated(secret)) < r.TicketKeyRotation:
		return nil
	default:
		fresh, err := signerobjects.NewTicketKeys(r.Random)
		if err != nil {
			return err
		}
		keys.Keys[fresh.Current] = fresh.Keys[fresh.Current]
		if secret.Annotations == nil {
			secret.Annotations = map[string]string{}
		}
		secret.Annotations[annotationNextKey] = fresh.Current
		log.FromContext(ctx).Info("Added the next ticket key", "key", fresh.Current)
	}
	raw, err := json.Marshal(keys)
	if err != nil {
		return fmt.Errorf("encode ticket keys: %w", err)
	}
	secret.Data[signerobjects.TicketKeysKey] = raw
	// An update fails when somebody else wrote meanwhile: keys must never be lost to a race.
	if err := r.Direct.Update(ctx, secret); err != nil {
		return fmt.Errorf("update Secret %s: %w", secret.Name, err)
	}
	s.ticketKeys = keys.Identity()
	return nil
}

func rotated(secret *corev1.Secret) time.Time {
	at, err := time.Parse(time.RFC3339, secret.Annotations[annotationRotated])
	if err != nil {
		return secret.CreationTimestamp.Time
	}
	return at
}

// rolledOut tells whether every pod of the signer holds the present ticket keys.
func (r *Reconciler) rolledOut(ctx context.Context, s *scope) (bool, error) {
	var d appsv1.Deployment
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.tenant.Namespace, Name: signerobjects.Name(s.tenant)}, &d)
	if err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return d.Spec.Template.Annotations[signerobjects.AnnotationTicketKeys] == s.ticketKeys &&
		d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == d.Status.Replicas &&
		d.Status.UnavailableReplicas == 0, nil
}
