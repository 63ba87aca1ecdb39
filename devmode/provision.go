package devmode

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
	"github.com/uploadtenant/uploadtenant/policy"
)

// clusterID stands for the id of a cluster in ownership marks.
const clusterID = "kubectl-uploads"

// provision makes bucket, its rules, RAM policy, role and attachment true, from the same pure functions and
// through the same adapters as the controller. It returns the name of the role.
func provision(ctx context.Context, services cloud.Services, tenant *v1alpha1.UploadTenant, account *v1alpha1.CloudAccount) (string, error) {
	owner := policy.Owner{Cluster: clusterID, Namespace: tenant.Namespace, Name: tenant.Name}
	name := owner.ResourceName()
	if err := ensureBucket(ctx, services, tenant, owner); err != nil {
		return "", err
	}
	document, err := policy.AccessDocument(signerconfig.Access(tenant, account))
	if err != nil {
		return "", err
	}
	trust := policy.TrustDocument(account.Spec.OIDC.ProviderARN, account.Spec.OIDC.Issuer, tenant.Namespace, signerobjects.Name(tenant))
	role := cloud.Role{
		Name: name, TrustDocument: trust.JSON(), Description: owner.Marker(),
		MaxSessionDuration: tenant.Spec.Access.MaxSessionDuration.Truncate(time.Second),
	}
	return name, errors.Join(
		ensurePolicy(ctx, services.Policies, cloud.Policy{Name: name, Document: document.JSON(), Description: owner.Marker()}),
		ensureRole(ctx, services.Roles, role),
		ensureAttachment(ctx, services.Attachments, name),
	)
}

func ensurePolicy(ctx context.Context, policies cloud.Policies, desired cloud.Policy) error {
	observed, found, err := policies.Observe(ctx, desired.Name)
	switch {
	case err != nil:
		return err
	case !found:
		return policies.Create(ctx, desired)
	case policy.Equivalent(observed.Document, desired.Document):
		return nil
	default:
		return policies.SetDocument(ctx, desired.Name, desired.Document)
	}
}

func ensureRole(ctx context.Context, roles cloud.Roles, desired cloud.Role) error {
	observed, found, err := roles.Observe(ctx, desired.Name)
	switch {
	case err != nil:
		return err
	case !found:
		return roles.Create(ctx, desired)
	case policy.Equivalent(observed.TrustDocument, desired.TrustDocument) && observed.MaxSessionDuration == desired.MaxSessionDuration:
		return nil
	default:
		return roles.Update(ctx, desired)
	}
}

func ensureAttachment(ctx context.Context, attachments cloud.Attachments, name string) error {
	attached, err := attachments.List(ctx, name)
	if err != nil || slices.Contains(attached, cloud.AttachedPolicy{Name: name}) {
		return err
	}
	return attachments.Attach(ctx, name, name)
}
