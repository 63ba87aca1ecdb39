package uploadtenant

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// tenants is a client whose cache shows one tenant.
type tenants struct {
	client.Client
	one v1alpha1.UploadTenant
}

func (c tenants) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*v1alpha1.UploadTenantList).Items = []v1alpha1.UploadTenant{*c.one.DeepCopy()}
	return nil
}

// When a namespace goes, everything in the cloud stays: a reconcile that began before must not take the origins
// of its tenant away because the cache shows the deletion already.
func TestADeletionThatTheReconcileHasNotSeenTakesNothing(t *testing.T) {
	now := metav1.NewTime(time.Unix(1_000_000, 0))
	origins := []string{"https://h5.example.com"}
	tests := map[string]struct {
		began, cached *metav1.Time
		want          []string
	}{
		"not deleted":     {want: origins},
		"deleted since":   {cached: &now, want: origins},
		"deleted already": {began: &now, cached: &now},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := &v1alpha1.UploadTenant{ObjectMeta: metav1.ObjectMeta{Namespace: "family", Name: "album", DeletionTimestamp: tc.began}}
			tenant.Spec.Bucket = v1alpha1.BucketSpec{Name: "family-album", Prefix: "album/", CORS: &v1alpha1.CORSSpec{AllowedOrigins: origins}}
			cached := tenant.DeepCopy()
			cached.DeletionTimestamp = tc.cached
			s := newScope(tenant, "cluster")
			s.account = &v1alpha1.CloudAccount{}
			claimed, err := New(Options{Client: tenants{one: *cached}}).bucketClaims(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, request := range claimed.corsRequests() {
				got = append(got, request.AllowedOrigins...)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("origins (-want +got):\n%s", diff)
			}
		})
	}
}
