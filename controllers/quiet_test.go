package controllers_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/policy"
)

// TestQuietReconcileWritesNothing asks for a fresh look at an unchanged world.
func TestQuietReconcileWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album", withOrigins("https://h5.example.com"))
	w.create(tenant)
	w.awaitReady(tenant)
	before := w.versions("album")
	w.cloud.Reset()

	w.patch(tenant, `{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"now"}}}`)
	w.eventually(func() string {
		w.get(tenant)
		if tenant.Status.LastHandledReconcileAt != "now" {
			return "the request was not handled"
		}
		return ""
	})
	if len(w.cloud.Calls()) == 0 {
		t.Error("the cloud was not looked at")
	}
	if writes := w.cloud.Writes(); len(writes) > 0 {
		t.Errorf("cloud writes: %v", writes)
	}
	if diff := cmp.Diff(before, w.versions("album")); diff != "" {
		t.Errorf("objects were written (-before +after):\n%s", diff)
	}
}

// TestRequestedLookOutlastsAFailure asks for a fresh look while the cloud refuses it: the retry must not trust
// the look before.
func TestRequestedLookOutlastsAFailure(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	w.cloud.RemoveRole(w.role(tenant))
	w.cloud.Hook(func(c cloudtest.Call) error {
		return &cloud.Error{Class: cloud.Throttled, Operation: c.Operation, Resource: c.Resource, Code: "Throttling"}
	}, nil)
	w.patch(tenant, `{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"now"}}}`)
	w.awaitCondition(tenant, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonThrottled)
	w.cloud.Hook(nil, nil)
	w.awaitReady(tenant)
	if _, ok := w.cloud.State().Roles[w.role(tenant)]; !ok {
		t.Error("the tenant is ready and has no role")
	}
}

// versions are the resource versions of a signer's objects.
func (w *world) versions(tenant string) map[string]string {
	w.Helper()
	out := map[string]string{}
	for _, o := range []client.Object{&appsv1.Deployment{}, &corev1.Service{}, &corev1.ConfigMap{}, &corev1.ServiceAccount{}} {
		o.SetNamespace(w.namespace)
		o.SetName(tenant + "-signer")
		w.get(o)
		out[cmpName(o)] = o.GetResourceVersion()
	}
	tickets := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: tenant + "-signer-tickets"}}
	w.get(tickets)
	out["Secret"] = tickets.ResourceVersion
	return out
}

func cmpName(o client.Object) string {
	switch o.(type) {
	case *appsv1.Deployment:
		return "Deployment"
	case *corev1.Service:
		return "Service"
	case *corev1.ConfigMap:
		return "ConfigMap"
	}
	return "ServiceAccount"
}

func TestDriftIsRepaired(t *testing.T) {
	tests := map[string]struct {
		drift func(*world, *v1alpha1.UploadTenant)
		whole func(*world, *v1alpha1.UploadTenant) string
		// ask is set when nothing in the cluster shows the drift, so that a fresh look must be asked for.
		ask bool
		// told is part of the event, besides its reason.
		told string
	}{
		"role removed at the console": {
			drift: func(w *world, t *v1alpha1.UploadTenant) { w.cloud.RemoveRole(w.role(t)) },
			whole: func(w *world, t *v1alpha1.UploadTenant) string {
				return cmp.Diff([]string{"policy " + w.role(t)}, w.cloud.State().Attached[w.role(t)])
			},
			ask: true,
		},
		"role widened at the console": {
			drift: func(w *world, t *v1alpha1.UploadTenant) {
				role := w.cloud.State().Roles[w.role(t)]
				role.TrustDocument = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["*"]}}]}`
				w.cloud.AddRole(role)
			},
			whole: func(w *world, t *v1alpha1.UploadTenant) string {
				want := policy.TrustDocument(w.account.Spec.OIDC.ProviderARN, w.account.Spec.OIDC.Issuer, w.namespace, t.Name+"-signer").JSON()
				if got := w.cloud.State().Roles[w.role(t)].TrustDocument; !policy.Equivalent(got, want) {
					return "trust document is " + got
				}
				return ""
			},
			ask: true,
		},
		"full access granted at the console": {
			drift: func(w *world, t *v1alpha1.UploadTenant) {
				w.cloud.AttachPolicy(cloud.AttachedPolicy{Name: "AliyunOSSFullAccess", System: true}, w.role(t))
				w.cloud.AttachPolicy(cloud.AttachedPolicy{Name: "made-by-a-person"}, w.role(t))
			},
			whole: func(w *world, t *v1alpha1.UploadTenant) string {
				return cmp.Diff([]string{"policy " + w.role(t)}, w.cloud.State().Attached[w.role(t)])
			},
			ask:  true,
			told: "system policy AliyunOSSFullAccess is not the tenant's",
		},
		"CORS rule removed at the console": {
			drift: func(w *world, t *v1alpha1.UploadTenant) {
				w.cloud.AddBucket(w.bucket(t.Spec.Bucket.Name), map[string]string{policy.BucketOwnerTag: clusterID})
			},
			whole: func(w *world, t *v1alpha1.UploadTenant) string {
				if len(w.cloud.State().CORS[t.Spec.Bucket.Name]) != 1 {
					return "no rule"
				}
				return ""
			},
			ask: true,
		},
		"Deployment scaled by hand": {
			drift: func(w *world, _ *v1alpha1.UploadTenant) {
				d := w.deployment("album")
				before := d.DeepCopy()
				d.Spec.Replicas = ptr.To(int32(0))
				if err := w.Patch(w.Context(), d, client.MergeFrom(before)); err != nil {
					w.Fatal(err)
				}
			},
			whole: func(w *world, _ *v1alpha1.UploadTenant) string {
				if got := *w.deployment("album").Spec.Replicas; got != 1 {
					return "replicas is not 1"
				}
				return ""
			},
		},
		"ConfigMap removed": {
			drift: func(w *world, _ *v1alpha1.UploadTenant) {
				w.remove(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}})
			},
			whole: func(w *world, _ *v1alpha1.UploadTenant) string {
				if !w.get(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}}) {
					return "no ConfigMap"
				}
				return ""
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(w.account)
			tenant := w.tenant("album", withOrigins("https://h5.example.com"))
			w.create(tenant)
			w.awaitReady(tenant)
			tc.drift(w, tenant)
			if tc.ask {
				w.patch(tenant, `{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"now"}}}`)
			}
			w.eventually(func() string { return tc.whole(w, tenant) })
			w.awaitReady(tenant)
			w.awaitEventIn(w.namespace, tenant.Name, v1alpha1.ReasonDriftRepaired, tc.told)
		})
	}
}

func (w *world) role(t *v1alpha1.UploadTenant) string {
	return policy.Owner{Cluster: clusterID, Namespace: t.Namespace, Name: t.Name}.ResourceName()
}

func (w *world) deployment(tenant string) *appsv1.Deployment {
	w.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: tenant + "-signer"}}
	if !w.get(d) {
		w.Fatal("no Deployment")
	}
	return d
}
