package uploadtenant

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
	"github.com/uploadtenant/uploadtenant/policy"
)

// accessDocument is the RAM policy of the tenant's signer.
func accessDocument(s *scope) (string, error) {
	document, err := policy.AccessDocument(signerconfig.Access(s.tenant, s.account))
	if err != nil {
		return "", outcome.Because(err, cloud.Invalid, v1alpha1.ReasonPolicyInvalid, "%s", err.Error())
	}
	return document.JSON(), nil
}

// trustDocument lets the tenant's signer, and nobody else, assume the role; without an OIDC provider it is
// the manager that assumes it for the signer.
func trustDocument(s *scope) (string, error) {
	if oidc := s.account.Spec.OIDC; oidc != nil {
		return policy.TrustDocument(oidc.ProviderARN, oidc.Issuer, s.tenant.Namespace, signerobjects.Name(s.tenant)).JSON(), nil
	}
	if s.account.Status.PrincipalARN == "" {
		return "", outcome.Fail(cloud.Waiting, v1alpha1.ReasonAccountNotReady, "CloudAccount %s does not tell yet who the manager is", s.account.Name)
	}
	return policy.BrokeredTrustDocument(s.account.Status.PrincipalARN).JSON(), nil
}

// policy makes the RAM policy what the spec derives.
func (r *Reconciler) policy(ctx context.Context, s *scope) error {
	document, err := accessDocument(s)
	if err != nil {
		return err
	}
	return r.unlessFresh(s, "policy", fingerprint(s.account.Spec, document), func() error {
		return ensurePolicy(ctx, s, document)
	})
}

func ensurePolicy(ctx context.Context, s *scope, document string) error {
	name := s.roleName()
	observed, found, err := s.services.Policies.Observe(ctx, name)
	if err != nil {
		return err
	}
	if !found {
		err := s.services.Policies.Create(ctx, cloud.Policy{Name: name, Document: document, Description: s.owner.Marker()})
		if err != nil {
			return err
		}
		log.FromContext(ctx).Info("Created RAM policy", "policy", name)
		return nil
	}
	if !s.owner.Owns(observed.Description) {
		return roleTaken("policy", name, observed.Description)
	}
	if policy.Equivalent(observed.Document, document) {
		return nil
	}
	s.changes.Because("its document allows something else than the spec")
	if err := s.services.Policies.SetDocument(ctx, name, document); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Changed RAM policy", "policy", name)
	return nil
}

// role makes the RAM role trust exactly the tenant's signer.
func (r *Reconciler) role(ctx context.Context, s *scope) error {
	s.tenant.Status.Role = &v1alpha1.RoleStatus{ARN: s.roleARN()}
	trust, err := trustDocument(s)
	if err != nil {
		return err
	}
	desired := cloud.Role{
		Name:               s.roleName(),
		TrustDocument:      trust,
		Description:        s.owner.Marker(),
		MaxSessionDuration: s.tenant.Spec.Access.MaxSessionDuration.Truncate(time.Second),
	}
	return r.unlessFresh(s, "role", fingerprint(s.account.Spec, desired), func() error {
		return ensureRole(ctx, s, desired)
	})
}

func ensureRole(ctx context.Context, s *scope, desired cloud.Role) error {
	observed, found, err := s.services.Roles.Observe(ctx, desired.Name)
	if err != nil {
		return err
	}
	if !found {
		if err := s.services.Roles.Create(ctx, desired); err != nil {
			return err
		}
		s.roleCreated = true
		log.FromContext(ctx).Info("Created RAM role", "role", desired.Name)
		return nil
	}
	if !s.owner.Owns(observed.Description) {
		return roleTaken("role", desired.Name, observed.Description)
	}
	switch {
	case !policy.Equivalent(observed.TrustDocument, desired.TrustDocument):
		s.changes.Because("its trust document lets in somebody else than the tenant's signer")
	case observed.MaxSessionDuration != desired.MaxSessionDuration:
		s.changes.Because(fmt.Sprintf("sessions of %s instead of %s", desired.MaxSessionDuration, observed.MaxSessionDuration))
	default:
		return nil
	}
	if err := s.services.Roles.Update(ctx, desired); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Changed RAM role", "role", desired.Name)
	return nil
}

// attachment binds exactly the tenant's policy to the role: another one would widen what the signer may do.
func (r *Reconciler) attachment(ctx context.Context, s *scope) error {
	return r.unlessFresh(s, "attachment", fingerprint(s.account.Spec, s.roleName()), func() error {
		return ensureAttachment(ctx, s)
	})
}

func ensureAttachment(ctx context.Context, s *scope) error {
	name := s.roleName()
	own := cloud.AttachedPolicy{Name: name}
	var attached []cloud.AttachedPolicy
	if !s.roleCreated {
		var err error
		if attached, err = s.services.Attachments.List(ctx, name); err != nil {
			return err
		}
	}
	for _, other := range attached {
		if other == own {
			continue
		}
		s.changes.Because(other.String() + " is not the tenant's")
		if err := s.services.Attachments.Detach(ctx, other, name); err != nil {
			return err
		}
		log.FromContext(ctx).Info("Detached a foreign policy from the role", "role", name, "policy", other.String())
	}
	if slices.Contains(attached, own) {
		return nil
	}
	return s.services.Attachments.Attach(ctx, name, name)
}

// roleTaken tells whose object stands in the way.
func roleTaken(kind, name, description string) error {
	holder := "which carries no mark of an owner"
	if other, ok := policy.ParseMarker(description); ok {
		holder = "which belongs to tenant " + other.Namespace + "/" + other.Name + " of cluster " + other.Cluster
	}
	return outcome.Fail(cloud.Conflict, v1alpha1.ReasonRoleOwnedByOther,
		"there is a RAM %s %s, %s: remove it, or give its description back", kind, name, holder)
}
