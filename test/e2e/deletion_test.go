//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/test/demo"
)

// bucket of the sample tenant.
const bucket = "family-album"

// stillThere fails when an object is no longer in its bucket.
func stillThere(t *testing.T, bucket string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		status, _, err := d.Object(t.Context(), http.MethodGet, bucket, key, nil)
		if err != nil || status != http.StatusOK {
			t.Errorf("GET of %s/%s = %d, %v, want 200: cloud data must never be deleted", bucket, key, status, err)
		}
	}
}

func uploadedKeys() []string {
	var keys []string
	for _, u := range d.Uploads() {
		keys = append(keys, u.Key)
	}
	return keys
}

// gone waits until an object does not exist in the cluster.
func gone(t *testing.T, o client.Object) {
	t.Helper()
	eventually(t, func(ctx context.Context) string {
		err := d.Client().Get(ctx, client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			return ""
		}
		return fmt.Sprintf("%T %s still exists (%v)", o, o.GetName(), err)
	})
}

func at(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// Deleting a tenant takes down its signer, role and policy and leaves bucket and objects; applying the same
// YAML again finds them.
func TestDeletingTheTenantKeepsItsObjects(t *testing.T) {
	arn, err := d.RoleARN(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tenant := &v1alpha1.UploadTenant{ObjectMeta: at(demo.AppNamespace, demo.Tenant)}
	if err := d.Client().Delete(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	gone(t, tenant)
	for _, o := range []client.Object{
		&appsv1.Deployment{ObjectMeta: at(demo.AppNamespace, demo.SignerService)},
		&corev1.Service{ObjectMeta: at(demo.AppNamespace, demo.SignerService)},
		&corev1.ServiceAccount{ObjectMeta: at(demo.AppNamespace, demo.SignerService)},
		&corev1.ConfigMap{ObjectMeta: at(demo.AppNamespace, demo.SignerService)},
		&corev1.Secret{ObjectMeta: at(demo.AppNamespace, demo.SignerService+"-tickets")},
	} {
		gone(t, o)
	}
	if a, err := d.Access(t.Context(), arn); !demo.NotExist(err) {
		t.Errorf("RAM still has the role: %+v, %v", a, err)
	}
	if found, err := d.PolicyExists(t.Context(), arn); err != nil || found {
		t.Errorf("RAM still has the policy: %v, %v", found, err)
	}
	stillThere(t, bucket, uploadedKeys()...)
	again(t)
}

// again takes the demo's steps once more: they must work after whatever a test deleted.
func again(t *testing.T) {
	t.Helper()
	if err := d.Run(t.Context(), append(d.Install(), d.Use()...)); err != nil {
		t.Fatal(err)
	}
}

// Deleting a namespace is more often an accident than a wish to end uploads: nothing in the cloud goes, and
// the namespace does not hang on the finalizer.
func TestDeletingTheNamespaceKeepsCloudData(t *testing.T) {
	const namespace, name, key = "e2e-namespace", "e2e-namespace-photos", "photos/kept.txt"
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := d.Client().Create(t.Context(), ns); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	for _, secret := range []string{"jwt"} {
		s := &corev1.Secret{ObjectMeta: at(namespace, secret), StringData: map[string]string{"secret": "0123456789abcdef0123456789abcdef"}}
		if err := d.Client().Create(t.Context(), s); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	tenant := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "UploadTenant",
		"metadata": map[string]any{"namespace": namespace, "name": "photos"},
		"spec": map[string]any{
			"bucket": map[string]any{"name": name, "prefix": "photos/"},
			"limits": map[string]any{"size": map[string]any{"max": "1Mi"}, "contentTypes": []any{"text/plain"}},
			"auth":   map[string]any{"jwt": map[string]any{"secretRef": map[string]any{"name": "jwt", "key": "secret"}}},
		},
	}}
	if err := d.Client().Create(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	var seen v1alpha1.UploadTenant
	eventually(t, func(ctx context.Context) string {
		if err := d.Client().Get(ctx, client.ObjectKeyFromObject(tenant), &seen); err != nil {
			return err.Error()
		}
		if meta.IsStatusConditionTrue(seen.Status.Conditions, v1alpha1.ConditionReady) {
			return ""
		}
		return fmt.Sprintf("conditions: %+v", seen.Status.Conditions)
	})
	if status, body, err := d.Object(t.Context(), http.MethodPut, name, key, []byte("keep me")); err != nil || status != http.StatusOK {
		t.Fatalf("PUT = %d, %s, %v", status, body, err)
	}
	if err := d.Client().Delete(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	gone(t, ns)
	stillThere(t, name, key)
	if _, err := d.Access(t.Context(), seen.Status.Role.ARN); err != nil {
		t.Errorf("the role of the tenant went with its namespace: %v", err)
	}
}

// Deleting the CRD, for example by uninstalling, deletes every tenant in the cluster and nothing in the cloud.
func TestDeletingTheCRDKeepsCloudData(t *testing.T) {
	arn, err := d.RoleARN(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	crd := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "uploadtenants.oss.uploadtenant.io"},
	}}
	if err := d.Client().Delete(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	gone(t, crd)
	stillThere(t, bucket, uploadedKeys()...)
	if _, err := d.Access(t.Context(), arn); err != nil {
		t.Errorf("the role of the tenant went with the CRD: %v", err)
	}
	again(t)
}
