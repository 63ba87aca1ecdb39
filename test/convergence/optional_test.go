package convergence

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// TestObjectsOfOptionalKinds runs a tenant in a cluster that has the Gateway API and the Prometheus operator.
func TestObjectsOfOptionalKinds(t *testing.T) {
	crds, err := envtest.InstallCRDs(cluster, envtest.CRDInstallOptions{Paths: []string{"testdata/optional-kinds.yaml"}, MaxTime: await.Patience})
	must(t, err)
	t.Cleanup(func() {
		if err := envtest.UninstallCRDs(cluster, envtest.CRDInstallOptions{CRDs: crds}); err != nil {
			t.Error(err)
		}
	})
	route := object(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"})
	monitor := object(schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"})

	_, stop := run(t, cloudtest.New(accountID), 0)
	defer stop()
	want := tenant()
	want.Spec.Callback = &v1alpha1.CallbackSpec{URL: "https://upload.example.com/family/album/callback"}
	want.Spec.Signer.Exposure = &v1alpha1.ExposureSpec{Gateway: &v1alpha1.GatewaySpec{Name: "public", Namespace: "gateways", SectionName: "https"}}
	must(t, api.Create(t.Context(), want))
	waitUntil(t, "ready", ready)

	wantSpec(t, route, `{
		"parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "gateways", "sectionName": "https"}],
		"hostnames": ["upload.example.com"],
		"rules": [{
			"matches": [{"path": {"type": "PathPrefix", "value": "/v1/"}}, {"path": {"type": "Exact", "value": "/openapi.json"}},
				{"path": {"type": "Exact", "value": "/family/album/callback"}}],
			"backendRefs": [{"group": "", "kind": "Service", "name": "album-signer", "port": 80, "weight": 1}]
		}]}`)
	wantSpec(t, monitor, `{
		"selector": {"matchLabels": {"app.kubernetes.io/instance": "album", "app.kubernetes.io/name": "uploadtenant-signer"}},
		"endpoints": [{"targetPort": "ops", "path": "/metrics"}]}`)

	// A fresh look finds them as they should be, with the defaults that the API server added.
	before := route.GetResourceVersion() + " " + monitor.GetResourceVersion()
	got := tenant()
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(got), got))
	must(t, api.Patch(t.Context(), got, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"now"}}}`))))
	waitUntil(t, "looked at", func() bool {
		return api.Get(t.Context(), client.ObjectKeyFromObject(got), got) == nil && got.Status.LastHandledReconcileAt == "now"
	})
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(route), route))
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(monitor), monitor))
	if after := route.GetResourceVersion() + " " + monitor.GetResourceVersion(); after != before {
		t.Error("a quiet look wrote to the objects")
	}

	must(t, api.Patch(t.Context(), got, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"signer":{"exposure":null}}}`))))
	waitUntil(t, "without a route", func() bool { return missing(t, route) })
	remove(t)
	waitUntil(t, "gone", gone)
	if !missing(t, monitor) {
		t.Error("the ServiceMonitor is left")
	}
}

func object(kind schema.GroupVersionKind) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind)
	o.SetNamespace(namespace)
	o.SetName("album-signer")
	return o
}

func missing(t *testing.T, o client.Object) bool {
	t.Helper()
	err := api.Get(t.Context(), client.ObjectKeyFromObject(o), o)
	must(t, client.IgnoreNotFound(err))
	return apierrors.IsNotFound(err)
}

// wantSpec compares the spec of an object, as the API server stores it.
func wantSpec(t *testing.T, o *unstructured.Unstructured, spec string) {
	t.Helper()
	var want map[string]any
	must(t, json.Unmarshal([]byte(spec), &want))
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(o), o))
	raw, err := json.Marshal(o.Object["spec"])
	must(t, err)
	var got map[string]any
	must(t, json.Unmarshal(raw, &got))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", o.GetKind(), diff)
	}
	tenant := tenant()
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(tenant), tenant))
	if !metav1.IsControlledBy(o, tenant) {
		t.Errorf("%s is not controlled by the tenant", o.GetKind())
	}
}
