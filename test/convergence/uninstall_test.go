package convergence

import (
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/controllers"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

// TestADeletedCRDLeavesTheCloudAlone removes the CRD of UploadTenants under a running manager, in an API
// server of its own. The API server then deletes every tenant, and must be able to finish.
func TestADeletedCRDLeavesTheCloudAlone(t *testing.T) {
	cfg, stopServer, err := kubeapi.Start()
	must(t, err)
	t.Cleanup(func() {
		if err := stopServer(); err != nil {
			t.Error(err)
		}
	})
	scheme, err := controllers.Scheme()
	must(t, err)
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	must(t, err)
	for _, name := range []string{namespace, "uploadtenant-system"} {
		must(t, c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	fake := cloudtest.New(accountID)
	mgr, err := controllers.NewManager(t.Context(), cfg, controllers.Options{
		Opener: fake, ClusterID: "cluster-one", Namespace: "uploadtenant-system", SignerImage: "signer:test",
		Interval: time.Hour, Concurrency: 2, MetricsAddress: "0", ProbeAddress: "0", Logger: logr.Discard(), SkipNameValidation: true,
	})
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = mgr.Start(t.Context()) // its watch of a kind that is gone may end badly
	}()
	t.Cleanup(func() { <-done }) // the test's context ends before its cleanup
	must(t, c.Create(t.Context(), account()))
	must(t, c.Create(t.Context(), tenant()))
	waitUntil(t, "as far as it gets without a kubelet", func() bool {
		got := tenant()
		return c.Get(t.Context(), client.ObjectKeyFromObject(got), got) == nil &&
			meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionAccessReady) &&
			meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionBucketReady)
	})

	before := fake.State()
	fake.Reset()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	crd.SetName("uploadtenants.oss.uploadtenant.io")
	must(t, c.Delete(t.Context(), crd))
	waitUntil(t, "without the CRD", func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(crd), crd))
	})
	if writes := fake.Writes(); len(writes) > 0 {
		t.Errorf("cloud writes: %v", writes)
	}
	if diff := cmp.Diff(before, fake.State()); diff != "" {
		t.Errorf("cloud changed (-before +after):\n%s", diff)
	}
	if len(before.Roles) != 1 {
		t.Errorf("roles = %v, so that the test would prove nothing", before.Roles)
	}
}
