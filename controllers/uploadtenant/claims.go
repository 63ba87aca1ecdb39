package uploadtenant

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/policy"
)

// bucketIndex finds the tenants that name a bucket.
const bucketIndex = "spec.bucket.name"

// bucketKey is the index value of a tenant: all of a bucket's tenants meet there, whichever CloudAccount they
// came by, because two of those may be of the same account of Alibaba Cloud.
func bucketKey(t *v1alpha1.UploadTenant) string { return t.Spec.Bucket.Name }

// accountName is the CloudAccount that a tenant names.
func accountName(t *v1alpha1.UploadTenant) string { return cmp.Or(t.Spec.AccountRef.Name, "default") }

// claims are the tenants of one bucket, divided by who came first.
type claims struct {
	// holders own their prefix. The first of them is the oldest.
	holders []*v1alpha1.UploadTenant
	// refused maps a tenant that overlaps an older one to that older one, by namespace/name.
	refused map[client.ObjectKey]*v1alpha1.UploadTenant
	// staying is the number of tenants that are not being deleted.
	staying int
}

// divide gives every prefix to the oldest tenant that names it, or one within or around it. Tenants that
// are being deleted claim nothing once leaving is true for them; until their objects are gone they still do.
func divide(tenants []v1alpha1.UploadTenant) claims {
	sorted := make([]*v1alpha1.UploadTenant, 0, len(tenants))
	for i := range tenants {
		sorted = append(sorted, &tenants[i])
	}
	slices.SortFunc(sorted, func(a, b *v1alpha1.UploadTenant) int {
		return cmp.Or(
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name),
		)
	})
	c := claims{refused: map[client.ObjectKey]*v1alpha1.UploadTenant{}}
	for _, t := range sorted {
		if t.DeletionTimestamp.IsZero() {
			c.staying++
		}
		i := slices.IndexFunc(c.holders, func(h *v1alpha1.UploadTenant) bool {
			return policy.PrefixesOverlap(h.Spec.Bucket.Prefix, t.Spec.Bucket.Prefix)
		})
		if i >= 0 {
			c.refused[client.ObjectKeyFromObject(t)] = c.holders[i]
			continue
		}
		c.holders = append(c.holders, t)
	}
	return c
}

// corsRequests are the wishes of the holders that stay.
func (c claims) corsRequests() []policy.CORSRequest {
	var requests []policy.CORSRequest
	for _, t := range c.holders {
		cors := t.Spec.Bucket.CORS
		if cors == nil || !t.DeletionTimestamp.IsZero() {
			continue
		}
		maxAge := int32(600)
		if cors.MaxAgeSeconds != nil {
			maxAge = *cors.MaxAgeSeconds
		}
		requests = append(requests, policy.CORSRequest{AllowedOrigins: cors.AllowedOrigins, MaxAgeSeconds: int(maxAge)})
	}
	return requests
}

// bucketClaims reads the tenants of the scope's bucket from the cache. It does not wait for the cache to show
// the manager's own writes, of any tenant whatever: of a claim the manager writes only the role, and to a
// tenant that was let in just before.
func (r *Reconciler) bucketClaims(ctx context.Context, s *scope) (claims, error) {
	var list v1alpha1.UploadTenantList
	err := r.Client.List(ctx, &list, client.MatchingFields{bucketIndex: bucketKey(s.tenant)},
		client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return claims{}, err
	}
	var accounts v1alpha1.CloudAccountList
	if len(list.Items) > 1 {
		if err := r.Client.List(ctx, &accounts, client.UnsafeDisableDeepCopy); err != nil {
			return claims{}, err
		}
	}
	self := client.ObjectKeyFromObject(s.tenant)
	claimants := make([]v1alpha1.UploadTenant, 0, len(list.Items))
	for i := range list.Items {
		switch t := list.Items[i]; {
		case client.ObjectKeyFromObject(&t) == self:
			// When it was deleted since the reconcile began, its deletion decides what of it goes: it may have to
			// leave everything.
			t.DeletionTimestamp = s.original.DeletionTimestamp
			claimants = append(claimants, t)
		case claimsIn(s.account.Spec.AccountID, accounts.Items, &t):
			claimants = append(claimants, t)
		}
	}
	return divide(claimants), nil
}

// claimsIn tells whether a tenant claims something of an account: one that the tenancy of its CloudAccount
// has never let in does not, or it could keep a prefix from those it is meant for. What was let in once has
// a role until it is deleted, and keeps its claim.
func claimsIn(accountID string, accounts []v1alpha1.CloudAccount, t *v1alpha1.UploadTenant) bool {
	role := ""
	if t.Status.Role != nil {
		role = t.Status.Role.ARN
	}
	for i := range accounts {
		if a := &accounts[i]; a.Name == accountName(t) {
			return a.Spec.AccountID == accountID && (role != "" || allowed(a, t) == nil)
		}
	}
	return strings.HasPrefix(role, policy.RoleARN(accountID, "")) // its CloudAccount is gone, its role is not
}
