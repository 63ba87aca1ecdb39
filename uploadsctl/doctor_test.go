package uploadsctl_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/uploadsctl"
	"github.com/uploadtenant/uploadtenant/uploadsctl/doctor"
)

// TestDoctor looks at a whole installation: what is wrong is found, and what is mended is well.
func TestDoctor(t *testing.T) {
	p := newPerson(t)
	p.create(p.newTenant("album", func(t *v1alpha1.UploadTenant) {
		t.Spec.Callback = &v1alpha1.CallbackSpec{URL: "https://upload.example.com/album/callback"}
	}))
	p.await("album", v1alpha1.ConditionReady, v1alpha1.ReasonAsDeclared)
	d := doctor.New(p.Session)
	d.Any.Timeout = patience // a busy machine is no finding
	d.Lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
	examine := func(ctx context.Context) error { return d.Run(ctx, "album", uploadsctl.Text) }

	contains(t, p.says(uploadsctl.ErrNo, examine),
		"ok    API server", "ok    clock", "ok    CRD uploadtenants", "ok    CRD cloudaccounts", "the same as in this plugin",
		"FAIL  manager", "there is no Deployment", "docs/guides/install.md",
		"ok    CloudAccount default", "FAIL  issuer for default", "tokens of this cluster come from",
		"ok    conditions", "FAIL  signer pods", "FAIL  Service album-signer",
		"-     callback.url", "ok    CORS", "OSS lets pages of https://h5.example.com upload", "checks failed")

	p.signerPod("album")
	port := int32(8080)
	ready := true
	manager := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "uploadtenant", Namespace: managerNamespace}}
	manager.Spec.Selector = &metav1.LabelSelector{MatchLabels: uploadsctl.ManagerLabels()}
	manager.Spec.Template.Labels = uploadsctl.ManagerLabels()
	manager.Spec.Template.Spec.Containers = []corev1.Container{{Name: "manager", Image: "manager:test"}}
	p.create(manager, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "album-signer-1", Namespace: p.Namespace, Labels: map[string]string{discoveryv1.LabelServiceName: "album-signer"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.9"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		Ports:       []discoveryv1.EndpointPort{{Port: &port}},
	})
	t.Cleanup(func() { _ = api.Delete(context.Background(), manager) })
	p.eventually(func() bool { // the stand-in for the kubelet makes the manager available
		_ = p.says(uploadsctl.ErrNo, examine)
		return strings.Contains(p.out.String(), "ok    manager "+managerNamespace+"/uploadtenant")
	})
	contains(t, p.out.String(), "manager:test", "ok    signer pods", "ok    Service album-signer", "1 ready endpoint", "\n1 of ")

	// A wrong name and a wrong address are told among the rest.
	contains(t, p.says(uploadsctl.ErrNo, func(ctx context.Context) error { return d.Run(ctx, "albom", uploadsctl.Text) }),
		"FAIL  tenant "+p.Namespace+"/albom", `no UploadTenant "albom"`, "kubectl uploads status -A")
	d.Config = rest.CopyConfig(cluster)
	d.Config.Host = "https://127.0.0.1:1"
	text := p.says(uploadsctl.ErrNo, func(ctx context.Context) error { return d.Run(ctx, "album", uploadsctl.Text) })
	contains(t, text, "FAIL  API server", "--kubeconfig")
	if strings.Contains(text, "CRD") {
		t.Errorf("without an API server, nothing more is checked:\n%s", text)
	}
}
