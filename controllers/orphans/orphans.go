// Package orphans finds what a cluster made in a cloud account and no tenant holds any more: a tenant whose
// namespace or CRD was deleted leaves its role and policy behind on purpose, and somebody must be able to
// find them. It only reports: a tenant that is applied again takes them back, so that removing them is a
// person's decision.
package orphans

import (
	"cmp"
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/policy"
)

// Kinds of orphans, as v1alpha1.OrphanedObject names them.
const (
	KindRole   = "Role"
	KindPolicy = "Policy"
)

// Tenants tells which tenants, by namespace and name, hold something in an account.
type Tenants func(context.Context) (map[client.ObjectKey]bool, error)

// Find lists the roles and policies of the account that carry this cluster's mark and whose tenant does not
// exist, sorted by tenant. It changes nothing and makes one call per page of the account's list.
//
// Tenants are read before and after the account is: one that is being created has no role before its
// object, and one that is being deleted loses its object after its role.
func Find(ctx context.Context, inventory cloud.Inventory, clusterID string, tenants Tenants) ([]v1alpha1.OrphanedObject, error) {
	before, err := tenants(ctx)
	if err != nil {
		return nil, err
	}
	found, err := marked(ctx, inventory, clusterID)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	after, err := tenants(ctx)
	if err != nil {
		return nil, err
	}
	var orphans []v1alpha1.OrphanedObject
	for _, m := range found {
		key := client.ObjectKey{Namespace: m.owner.Namespace, Name: m.owner.Name}
		if !before[key] && !after[key] {
			orphans = append(orphans, v1alpha1.OrphanedObject{Kind: m.kind, Name: m.name, Tenant: key.String()})
		}
	}
	slices.SortFunc(orphans, func(a, b v1alpha1.OrphanedObject) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return orphans, nil
}

// object is a role or policy that carries the cluster's mark.
type object struct {
	kind, name string
	owner      policy.Owner
}

func marked(ctx context.Context, inventory cloud.Inventory, clusterID string) ([]object, error) {
	var found []object
	for _, list := range []struct {
		kind string
		page func(context.Context, string) ([]cloud.Described, string, error)
	}{{KindRole, inventory.Roles}, {KindPolicy, inventory.Policies}} {
		for after, more := "", true; more; more = after != "" {
			page, next, err := list.page(ctx, after)
			if err != nil {
				return nil, err
			}
			for _, d := range page {
				if owner, ok := policy.ParseMarker(d.Description); ok && owner.Cluster == clusterID {
					found = append(found, object{list.kind, d.Name, owner})
				}
			}
			after = next
		}
	}
	return found, nil
}

// TenantsOf reads the tenants of the account with this id from the cluster. An account may have several
// CloudAccounts, one per region, and a tenant whose CloudAccount is gone may belong to any.
func TenantsOf(reader client.Reader, accountID string) Tenants {
	return func(ctx context.Context) (map[client.ObjectKey]bool, error) {
		var accounts v1alpha1.CloudAccountList
		if err := reader.List(ctx, &accounts); err != nil {
			return nil, err
		}
		ids := map[string]string{}
		for i := range accounts.Items {
			ids[accounts.Items[i].Name] = accounts.Items[i].Spec.AccountID
		}
		var list v1alpha1.UploadTenantList
		if err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
			return nil, err
		}
		tenants := map[client.ObjectKey]bool{}
		for i := range list.Items {
			t := &list.Items[i]
			if id, known := ids[cmp.Or(t.Spec.AccountRef.Name, "default")]; !known || id == accountID {
				tenants[client.ObjectKeyFromObject(t)] = true
			}
		}
		return tenants, nil
	}
}
