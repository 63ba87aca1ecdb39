package controllers_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
)

// hasRole tells whether the tenant has a role in the cloud.
func (w *world) hasRole(t *v1alpha1.UploadTenant) bool {
	_, ok := w.cloud.State().Roles[w.role(t)]
	return ok
}

// elsewhere makes a namespace that the tenant of another team is in.
func (w *world) elsewhere(name string, change func(*v1alpha1.UploadTenant)) *v1alpha1.UploadTenant {
	w.Helper()
	namespace := name + "-" + w.namespace // before or after that of this world, as the name has it
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	return w.tenant(name, func(t *v1alpha1.UploadTenant) { t.Namespace = namespace }, change)
}

// Two CloudAccounts of one account of Alibaba Cloud lead to the same buckets, so a prefix that a tenant has by
// one of them is taken for the tenants of the other, and the CORS rule serves the tenants of both.
func TestAPrefixIsTakenWhicheverCloudAccountNamesIt(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	second := &v1alpha1.CloudAccount{ObjectMeta: metav1.ObjectMeta{Name: w.account.Name + "-internal"}, Spec: w.account.Spec}
	w.create(second)
	older := w.tenant("album", withOrigins("https://album.example.com"))
	w.create(older)
	w.awaitReady(older)

	thief := w.elsewhere("thief", func(t *v1alpha1.UploadTenant) {
		t.Spec.AccountRef.Name, t.Spec.Bucket.Prefix = second.Name, older.Spec.Bucket.Prefix
	})
	w.create(thief)
	w.awaitCondition(thief, v1alpha1.ConditionBucketReady, metav1.ConditionFalse, v1alpha1.ReasonPrefixTaken)
	w.awaitCondition(thief, v1alpha1.ConditionAccessReady, metav1.ConditionFalse, v1alpha1.ReasonBucketNotReady)
	if w.hasRole(thief) {
		t.Error("the second tenant got a role for the prefix of the first")
	}
	neighbour := w.tenant("notes", withOrigins("https://notes.example.com"), func(t *v1alpha1.UploadTenant) { t.Spec.AccountRef.Name = second.Name })
	w.create(neighbour)
	w.awaitReady(neighbour)
	rules := w.cloud.State().CORS[older.Spec.Bucket.Name]
	if want := []string{"https://album.example.com", "https://notes.example.com"}; len(rules) != 1 || !slices.Equal(rules[0].AllowedOrigins, want) {
		t.Errorf("CORS rules %+v, want one for %v", rules, want)
	}
}

// Whom the tenancy never let in claims no prefix, brings no origin, and cannot keep others from anything.
func TestATenantThatIsNotAllowedClaimsNothing(t *testing.T) {
	w := newWorld(t)
	w.account.Spec.Tenancy = &v1alpha1.TenancySpec{Namespaces: []string{w.namespace}}
	w.create(w.account)
	squatter := w.elsewhere("album", func(t *v1alpha1.UploadTenant) {
		withOrigins("https://evil.example.com")(t)
		t.Spec.Bucket.Encryption = &v1alpha1.EncryptionSpec{Algorithm: "SM4"}
	})
	w.create(squatter)
	w.awaitCondition(squatter, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotAllowed)

	tenant := w.tenant("album", withOrigins("https://album.example.com"), func(t *v1alpha1.UploadTenant) {
		t.Spec.Bucket.Encryption = &v1alpha1.EncryptionSpec{Algorithm: "AES256"}
	})
	w.create(tenant)
	w.awaitReady(tenant)
	rules := w.cloud.State().CORS[tenant.Spec.Bucket.Name]
	if want := []string{"https://album.example.com"}; len(rules) != 1 || !slices.Equal(rules[0].AllowedOrigins, want) {
		t.Errorf("CORS rules %+v, want one for %v", rules, want)
	}
	before := len(w.cloud.Writes())
	w.remove(squatter)
	w.gone(squatter)
	if writes := w.cloud.Writes()[before:]; len(writes) > 0 {
		t.Errorf("the tenant that was never let in left with %v", writes)
	}
}

// The manager may hand out rights to buckets that it may not even see, so no right is handed out before the
// bucket was seen to be the tenant's own. Who has a role keeps it through an outage.
func TestNoRoleBeforeTheBucketIsSeen(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album")
	outage := func(c cloudtest.Call) error {
		if c.Operation == "oss:GetBucketInfo" {
			return &cloud.Error{Class: cloud.Denied, Operation: c.Operation, Resource: c.Resource, Code: "AccessDenied"}
		}
		return nil
	}
	w.cloud.Hook(outage, nil)
	w.create(tenant)
	w.awaitCondition(tenant, v1alpha1.ConditionBucketReady, metav1.ConditionFalse, v1alpha1.ReasonPermissionDenied)
	w.awaitCondition(tenant, v1alpha1.ConditionAccessReady, metav1.ConditionFalse, v1alpha1.ReasonBucketNotReady)
	if w.hasRole(tenant) {
		t.Error("there is a role for a bucket that nobody has seen")
	}
	w.cloud.Hook(nil, nil)
	w.awaitReady(tenant)
	w.cloud.Hook(outage, nil)
	w.patch(tenant, `{"spec":{"bucket":{"adoption":"IfUnowned"}}}`) // so that the bucket is looked at again
	w.awaitCondition(tenant, v1alpha1.ConditionBucketReady, metav1.ConditionFalse, v1alpha1.ReasonPermissionDenied)
	w.awaitCondition(tenant, v1alpha1.ConditionAccessReady, metav1.ConditionTrue, v1alpha1.ReasonAsDeclared)
}
