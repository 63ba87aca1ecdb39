package controllers_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

func TestTenantBecomesReady(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album", withOrigins("https://h5.example.com"))
	w.create(tenant)
	w.awaitReady(tenant)

	owner := policy.Owner{Cluster: clusterID, Namespace: w.namespace, Name: "album"}
	state := w.cloud.State()
	if got := state.Buckets[tenant.Spec.Bucket.Name][policy.BucketOwnerTag]; got != clusterID {
		t.Errorf("bucket is tagged for %q, want %q", got, clusterID)
	}
	role, policyName := state.Roles[owner.ResourceName()], owner.ResourceName()
	if role.Description != owner.Marker() {
		t.Errorf("role description = %q, want %q", role.Description, owner.Marker())
	}
	wantTrust := policy.TrustDocument(w.account.Spec.OIDC.ProviderARN, w.account.Spec.OIDC.Issuer, w.namespace, "album-signer").JSON()
	if !policy.Equivalent(role.TrustDocument, wantTrust) {
		t.Errorf("trust document = %s, want %s", role.TrustDocument, wantTrust)
	}
	if diff := cmp.Diff([]string{"policy " + policyName}, state.Attached[role.Name]); diff != "" {
		t.Errorf("attached policies (-want +got):\n%s", diff)
	}
	if !strings.Contains(state.Policies[policyName].Document, tenant.Spec.Bucket.Name+"/album/*") {
		t.Errorf("policy document = %s", state.Policies[policyName].Document)
	}
	if rules := state.CORS[tenant.Spec.Bucket.Name]; len(rules) != 1 || rules[0].AllowedOrigins[0] != "https://h5.example.com" {
		t.Errorf("CORS rules = %+v", rules)
	}

	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer-tickets"}}
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}}
	for _, o := range []client.Object{deployment, secret, configMap, service, account} {
		if !w.get(o) {
			t.Fatalf("%T %s does not exist", o, o.GetName())
		}
		if !metav1.IsControlledBy(o, tenant) {
			t.Errorf("%T is not controlled by the tenant", o)
		}
	}
	var got config.Config
	if err := json.Unmarshal([]byte(configMap.Data["config.json"]), &got); err != nil {
		t.Fatal(err)
	}
	if got.Credentials.RoleARN != tenant.Status.Role.ARN || got.Tenant != w.namespace+"/album" || got.TenantUID != string(tenant.UID) || got.Limits.MaxSize != 20<<20 {
		t.Errorf("signer configuration = %+v", got)
	}
	if tenant.Status.Signer.URL != "http://album-signer."+w.namespace+".svc" || tenant.Status.Signer.Replicas != 1 {
		t.Errorf("signer status = %+v", tenant.Status.Signer)
	}
}

func TestDeletionRemovesAccessAndKeepsTheBucket(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	foreign := policy.CORSRule{AllowedOrigins: []string{"https://other.example.com"}, AllowedMethods: []string{"GET"}}
	tenant := w.tenant("album", withOrigins("https://h5.example.com"), func(t *v1alpha1.UploadTenant) {
		t.Spec.Bucket.Adoption = v1alpha1.AdoptionIfUnowned
	})
	w.cloud.AddBucket(w.bucket(tenant.Spec.Bucket.Name), nil, foreign)
	w.create(tenant)
	w.awaitReady(tenant)

	if err := w.Delete(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() string {
		if w.get(tenant) {
			return "the tenant is still there"
		}
		return ""
	})
	state := w.cloud.State()
	if len(state.Roles)+len(state.Policies)+len(state.Attached) != 0 {
		t.Errorf("left in RAM: %+v", state)
	}
	if _, ok := state.Buckets[tenant.Spec.Bucket.Name]; !ok {
		t.Error("the bucket is gone")
	}
	if diff := cmp.Diff([]policy.CORSRule{foreign}, state.CORS[tenant.Spec.Bucket.Name]); diff != "" {
		t.Errorf("CORS rules (-want +got):\n%s", diff)
	}
	for _, o := range []client.Object{&appsv1.Deployment{}, &corev1.Service{}, &corev1.ConfigMap{}, &corev1.ServiceAccount{}} {
		o.SetNamespace(w.namespace)
		o.SetName("album-signer")
		if w.get(o) {
			t.Errorf("%T is still there", o)
		}
	}
}

func TestDeletedNamespaceLeavesTheCloudAlone(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album", withOrigins("https://h5.example.com"))
	w.create(tenant)
	w.awaitReady(tenant)
	before := w.cloud.State()
	w.cloud.Reset()

	// No namespace controller runs here: the namespace terminates, and the test deletes what is in it.
	if err := w.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() string {
		if w.get(tenant) {
			return "the finalizer holds the tenant"
		}
		return ""
	})
	if diff := cmp.Diff(before, w.cloud.State()); diff != "" {
		t.Errorf("cloud changed (-before +after):\n%s", diff)
	}
	if writes := w.cloud.Writes(); len(writes) > 0 {
		t.Errorf("cloud writes: %v", writes)
	}
}

func TestDeletedTenantThatNeverGotAFinalizer(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant("album")
	w.create(tenant) // its account does not exist
	w.awaitCondition(tenant, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonAccountNotFound)
	if err := w.Delete(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() string {
		if w.get(tenant) {
			return "the finalizer holds the tenant"
		}
		return ""
	})
}

func TestTwoTenantsShareABucket(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	a, b := w.tenant("a", withOrigins("https://a.example.com")), w.tenant("b", withOrigins("https://b.example.com"))
	w.create(a)
	w.create(b)
	w.awaitReady(a)
	w.awaitReady(b)
	bucket := a.Spec.Bucket.Name
	w.eventually(func() string {
		rules := w.cloud.State().CORS[bucket]
		if len(rules) != 1 {
			return "no single rule"
		}
		return cmp.Diff([]string{"https://a.example.com", "https://b.example.com"}, rules[0].AllowedOrigins)
	})
	if err := w.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() string {
		rules := w.cloud.State().CORS[bucket]
		if len(rules) != 1 {
			return "no single rule"
		}
		return cmp.Diff([]string{"https://b.example.com"}, rules[0].AllowedOrigins)
	})
}
