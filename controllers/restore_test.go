package controllers_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// A tenant that is created again takes the ticket keys that were restored before it, whatever the backup
// tool left of their owner: without them the index could not be rebuilt from the bucket.
func TestRestoredTicketKeysAreAdopted(t *testing.T) {
	isController := true
	tests := map[string]struct {
		owners     []metav1.OwnerReference
		wantReason string
	}{
		"no owner":             {},
		"the tenant before":    {owners: []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "UploadTenant", Name: "album", UID: "gone", Controller: &isController}}},
		"another tenant's":     {owners: []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "UploadTenant", Name: "other", UID: "u", Controller: &isController}}, wantReason: v1alpha1.ReasonTicketKeysInvalid},
		"somebody else's kind": {owners: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "album", UID: "u", Controller: &isController}}, wantReason: v1alpha1.ReasonTicketKeysInvalid},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.create(w.account)
			tenant := w.tenant("album")
			w.create(tenant)
			w.awaitReady(tenant)
			backup := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer-tickets"}}
			if !w.get(backup) {
				t.Fatal("there are no ticket keys to back up")
			}
			if err := w.Delete(t.Context(), tenant); err != nil {
				t.Fatal(err)
			}
			w.eventually(func() string {
				if w.get(tenant) {
					return "the tenant is still there"
				}
				return ""
			})
			w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: backup.Name, OwnerReferences: tc.owners}, Data: backup.Data})
			again := w.tenant("album", func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Adoption = v1alpha1.AdoptionIfUnowned })
			w.create(again)
			if tc.wantReason != "" {
				w.awaitCondition(again, v1alpha1.ConditionSignerReady, metav1.ConditionFalse, tc.wantReason)
				return
			}
			w.awaitReady(again)
			restored := &corev1.Secret{ObjectMeta: backup.ObjectMeta}
			if !w.get(restored) {
				t.Fatal("the restored keys are gone")
			}
			if diff := cmp.Diff(backup.Data, restored.Data); diff != "" {
				t.Errorf("the keys changed (-backup +now):\n%s", diff)
			}
			if !metav1.IsControlledBy(restored, again) || len(restored.OwnerReferences) != 1 {
				t.Errorf("owners: %+v", restored.OwnerReferences)
			}
		})
	}
}
