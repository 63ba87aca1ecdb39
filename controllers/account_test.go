package controllers_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
)

func TestAccountOfWrongCredentialsIsNeverUsed(t *testing.T) {
	w := newWorld(t)
	w.cloud.SetAccount("999")
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	got := w.awaitCondition(w.account, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonWrongAccount)
	if !strings.Contains(got.Message, "999") || !strings.Contains(got.Message, w.account.Spec.AccountID) {
		t.Errorf("message %q does not name both accounts", got.Message)
	}
	w.awaitCondition(tenant, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonAccountNotReady)
	if writes := w.cloud.Writes(); len(writes) > 0 {
		t.Errorf("written to a wrong account: %v", writes)
	}
	w.cloud.SetAccount(w.account.Spec.AccountID)
	w.awaitReady(w.account)
	w.awaitReady(tenant)
}

func TestTenantsSurviveAnAccountThatCannotBeVerifiedForAWhile(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	w.cloud.Hook(func(c cloudtest.Call) error {
		if c.Operation == "sts:GetCallerIdentity" {
			return cloud.Errorf(cloud.Retryable, c.Operation, "down")
		}
		return nil
	}, nil)
	// Touch the account so that it is verified again, without another generation.
	w.patch(w.account, `{"spec":{"credentials":{"environment":null,"secretRef":{"name":"later-`+w.namespace+`"}}}}`)
	w.awaitCondition(w.account, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCredentialsNotFound)

	// The Secret wakes the account at once; STS is still down.
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: managerNamespace, Name: "later-" + w.namespace},
		Data:       map[string][]byte{"accessKeyId": []byte("id"), "accessKeySecret": []byte("secret")},
	})
	w.awaitCondition(w.account, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCloudUnavailable)
	w.cloud.Hook(nil, nil)
	w.awaitReady(w.account)
	w.awaitReady(tenant)
}
