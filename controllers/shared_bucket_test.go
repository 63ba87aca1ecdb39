package controllers_test

import (
	"fmt"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
)

// TestTenantsOfANewBucketKeepEachOthersRules holds the creation of a bucket until other tenants wait for
// it. Whoever made the bucket must not take it for empty afterwards: what a later look would have to
// write is what was lost.
func TestTenantsOfANewBucketKeepEachOthersRules(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.cloud.Hook(func(c cloudtest.Call) error {
		if c.Operation == "oss:PutBucket" {
			once.Do(func() { close(reached); <-release })
		}
		// Calls to a cloud take a moment, in which others come to wait for the same bucket.
		return w.List(t.Context(), &v1alpha1.UploadTenantList{}, client.InNamespace(w.namespace))
	}, nil)
	var tenants []*v1alpha1.UploadTenant
	for i := range 7 {
		tenant := w.tenant(fmt.Sprintf("album-%d", i), withOrigins(fmt.Sprintf("https://%d.example.com", i)))
		w.create(tenant)
		tenants = append(tenants, tenant)
		if i == 0 {
			<-reached
		}
	}
	w.eventually(func() string {
		for _, tenant := range tenants {
			if w.get(tenant); !controllerutil.ContainsFinalizer(tenant, v1alpha1.Finalizer) {
				return tenant.Name + " is not under way"
			}
		}
		return ""
	})
	close(release)
	for _, tenant := range tenants {
		w.awaitReady(tenant)
	}
	w.cloud.Reset()
	for _, tenant := range tenants {
		w.patch(tenant, `{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"now"}}}`)
	}
	for _, tenant := range tenants {
		w.eventually(func() string {
			if w.get(tenant); tenant.Status.LastHandledReconcileAt != "now" {
				return "the request was not handled"
			}
			return ""
		})
	}
	if writes := w.cloud.Writes(); len(writes) > 0 {
		t.Errorf("a second look had to write: %v", writes)
	}
}

func TestTenantsThatGoTogetherTakeTheirEmptyBucketAlong(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	var tenants []*v1alpha1.UploadTenant
	for i := range 3 {
		tenants = append(tenants, w.tenant(fmt.Sprintf("album-%d", i), func(t *v1alpha1.UploadTenant) {
			t.Spec.Bucket.DeletionPolicy = v1alpha1.DeletionDeleteIfEmpty
		}))
		w.create(tenants[i])
	}
	for _, tenant := range tenants {
		w.awaitReady(tenant)
	}
	for _, tenant := range tenants {
		if err := w.Delete(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	for _, tenant := range tenants {
		w.eventually(func() string {
			if w.get(tenant) {
				return tenant.Name + " is still there"
			}
			return ""
		})
	}
	if buckets := w.cloud.State().Buckets; len(buckets) > 0 {
		t.Errorf("left: %v", buckets)
	}
}
