package controllers_test

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

func TestAccountThatIsMadeLater(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant("album")
	w.create(tenant)
	got := w.awaitCondition(tenant, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonAccountNotFound)
	if !strings.Contains(got.Message, w.account.Name) {
		t.Errorf("message = %q", got.Message)
	}
	w.create(w.account)
	w.awaitReady(tenant)
}

func TestRolloutIsAwaited(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	w.patch(w.deployment("album"), `{"metadata":{"annotations":{"`+kubeapi.AnnotationHold+`":"1"}}}`)
	w.patch(tenant, `{"spec":{"signer":{"resources":{"limits":{"memory":"512Mi"}}}}}`)
	w.awaitCondition(tenant, v1alpha1.ConditionSignerReady, metav1.ConditionFalse, v1alpha1.ReasonRollingOut)
	w.awaitCondition(tenant, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonRollingOut)
	w.patch(w.deployment("album"), `{"metadata":{"annotations":{"`+kubeapi.AnnotationHold+`":null}}}`)
	w.awaitReady(tenant)
}

func TestDeletionTellsWhatItWaitsFor(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	w.cloud.Hook(func(c cloudtest.Call) error {
		if c.Operation == "ram:DeleteRole" {
			return &cloud.Error{Class: cloud.Denied, Operation: c.Operation, Resource: c.Resource, Code: "NoPermission", RequestID: "R-1"}
		}
		return nil
	}, nil)
	w.remove(tenant)
	got := w.awaitCondition(tenant, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonDeleting)
	if !strings.Contains(got.Message, v1alpha1.ReasonPermissionDenied) || !strings.Contains(got.Message, "ram:DeleteRole") || strings.Contains(got.Message, "R-1") {
		t.Errorf("message = %q", got.Message)
	}
	w.cloud.Hook(nil, nil)
	w.gone(tenant)
}

// TestRefusalOfTheClusterIsTold lets an admission policy of the cluster refuse an object of the signer.
func TestRefusalOfTheClusterIsTold(t *testing.T) {
	w := newWorld(t)
	name := "no-config-" + w.namespace
	refusal := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.namespace}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
				}}},
			},
			Validations: []admissionv1.Validation{{Expression: "false", Message: "ask the platform team for room"}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}
	w.create(refusal)
	w.create(binding)
	probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "probe"}}
	w.eventually(func() string {
		if err := w.Create(t.Context(), probe.DeepCopy(), client.DryRunAll); !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
			return "the policy does not hold yet"
		}
		return ""
	})

	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	got := w.awaitCondition(tenant, v1alpha1.ConditionSignerReady, metav1.ConditionFalse, v1alpha1.ReasonClusterError)
	if !strings.Contains(got.Message, "ask the platform team for room") {
		t.Errorf("message = %q", got.Message)
	}
	w.awaitCondition(tenant, v1alpha1.ConditionBucketReady, metav1.ConditionTrue, v1alpha1.ReasonAsDeclared)
	w.remove(binding)
	w.remove(refusal)
	w.awaitReady(tenant)
}
