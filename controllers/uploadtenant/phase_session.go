package uploadtenant

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
	"github.com/uploadtenant/uploadtenant/signer/sts"
)

// Annotations of the Secret with the session.
const (
	// annotationRenewAt is when the session must be replaced.
	annotationRenewAt = "oss.uploadtenant.io/renew-at"
	// annotationSessionOf identifies the account and role that the session is of.
	annotationSessionOf = "oss.uploadtenant.io/session-of"
)

// session keeps a short-lived session of the tenant's role in a Secret, for accounts without an OIDC
// provider. It is renewed when half of the time that STS gave it is left: the kubelet takes up to two
// minutes to carry a changed Secret into the pod, and the signer looks for a new session when a third is left.
func (r *Reconciler) session(ctx context.Context, s *scope) error {
	if s.account.Spec.OIDC != nil || s.changes.DryRun {
		return nil
	}
	inputs := fingerprint(s.account.Spec, s.roleARN())
	if _, until := r.freshness.note(s.tenant.UID, "session"); s.fresh && r.freshness.holds(s.tenant.UID, "session", inputs) {
		s.renewAt = until
		return nil
	}
	renewAt, err := r.storedSession(ctx, s, inputs)
	if err != nil {
		return err
	}
	if !r.Clock().Before(renewAt) {
		if renewAt, err = r.renewSession(ctx, s, inputs); err != nil {
			return err
		}
	}
	s.renewAt = renewAt
	r.freshness.found(s.tenant.UID, "session", inputs, renewAt.Sub(r.Clock()))
	return nil
}

// storedSession tells when the session in the Secret must be renewed: zero when there is none that can be used.
func (r *Reconciler) storedSession(ctx context.Context, s *scope, inputs string) (time.Time, error) {
	var secret corev1.Secret
	err := r.Direct.Get(ctx, client.ObjectKey{Namespace: s.tenant.Namespace, Name: signerobjects.SessionSecretName(s.tenant)}, &secret)
	if err != nil {
		return time.Time{}, client.IgnoreNotFound(err)
	}
	if err := notForeign(s, "Secret", &secret); err != nil {
		return time.Time{}, err
	}
	// What cannot be read has the zero time, and so is replaced.
	cred, _ := sts.ParseSession(secret.Data[signerobjects.SessionKey])
	renewAt, _ := time.Parse(time.RFC3339, secret.Annotations[annotationRenewAt])
	if cred.Expires.IsZero() || secret.Annotations[annotationSessionOf] != inputs {
		renewAt = time.Time{}
	}
	return renewAt, nil
}

func (r *Reconciler) renewSession(ctx context.Context, s *scope, inputs string) (time.Time, error) {
	name := "signer-" + s.tenant.Namespace + "-" + s.tenant.Name
	if len(name) > 64 {
		name = name[:64]
	}
	got, err := s.services.Identity.AssumeRole(ctx, s.roleARN(), name, s.tenant.Spec.Access.MaxSessionDuration.Duration)
	var refusal *cloud.Error
	if s.failures[v1alpha1.ConditionAccessReady] != nil && errors.As(err, &refusal) && refusal.Code == "EntityNotExist.Role" {
		return time.Time{}, outcome.Because(err, cloud.Waiting, v1alpha1.ReasonProgressing, "the signer's session waits for the role, which AccessReady tells of")
	}
	if err != nil {
		return time.Time{}, err
	}
	raw, err := sts.MarshalSession(sts.Credential{
		AccessKeyID: got.AccessKeyID, AccessKeySecret: got.AccessKeySecret, SecurityToken: got.SecurityToken, Expires: got.Expires,
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("encode the session: %w", err)
	}
	now := r.Clock()
	renewAt := now.Add(got.Expires.Sub(now) / 2)
	secret := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.tenant.Namespace, Name: signerobjects.SessionSecretName(s.tenant), Labels: signerobjects.Labels(s.tenant),
			Annotations:     map[string]string{annotationRenewAt: renewAt.UTC().Format(time.RFC3339), annotationSessionOf: inputs},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s.tenant, v1alpha1.GroupVersion.WithKind("UploadTenant"))},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{signerobjects.SessionKey: raw},
	}
	err = r.Direct.Create(ctx, secret, client.FieldOwner(FieldOwner))
	if apierrors.IsAlreadyExists(err) {
		err = r.Direct.Update(ctx, secret, client.FieldOwner(FieldOwner))
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("store the session: %w", err)
	}
	log.FromContext(ctx).Info("Renewed the signer's session", "role", s.roleName(), "expires", got.Expires)
	return renewAt, nil
}
