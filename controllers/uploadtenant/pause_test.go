package uploadtenant

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// namespaces is a client of a cluster with one namespace, or none.
type namespaces struct {
	client.Client
	one *metav1.PartialObjectMetadata
}

func (n namespaces) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if n.one == nil || n.one.Name != key.Name {
		return apierrors.NewNotFound(corev1.Resource("namespaces"), key.Name)
	}
	n.one.DeepCopyInto(into.(*metav1.PartialObjectMetadata))
	return nil
}

// A namespace that is made paused pauses the tenant that comes with it, although the cache may show the tenant
// first.
func TestANewNamespaceCanBePaused(t *testing.T) {
	namespace := func(paused string) *metav1.PartialObjectMetadata {
		o := partial("v1", "Namespace", "family")
		o.Annotations = map[string]string{v1alpha1.AnnotationPaused: paused}
		return o
	}
	tests := map[string]struct {
		cached, direct *metav1.PartialObjectMetadata
		want           string
	}{
		"in the cache":         {cached: namespace("true"), want: v1alpha1.ReasonPausedByNamespace},
		"not in the cache yet": {direct: namespace("true"), want: v1alpha1.ReasonPausedByNamespace},
		"new and not paused":   {direct: namespace("")},
		"gone":                 {},
		"the cache is trusted": {cached: namespace(""), direct: namespace("true")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := New(Options{Client: namespaces{one: tc.cached}, Direct: namespaces{one: tc.direct}})
			tenant := &v1alpha1.UploadTenant{ObjectMeta: metav1.ObjectMeta{Namespace: "family", Name: "album"}}
			reason, _, err := r.paused(t.Context(), newScope(tenant, "cluster"))
			if err != nil || reason != tc.want {
				t.Errorf("paused: %q, %v, want %q", reason, err, tc.want)
			}
		})
	}
}
