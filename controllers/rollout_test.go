package controllers_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

// signerConfig is what the tenant's ConfigMap holds.
func (w *world) signerConfig(name string) config.Config {
	w.Helper()
	o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name + "-signer"}}
	if !w.get(o) {
		w.Fatal("no ConfigMap")
	}
	var c config.Config
	if err := json.Unmarshal([]byte(o.Data["config.json"]), &c); err != nil {
		w.Fatal(err)
	}
	return c
}

// Pods are replaced for what a running signer cannot follow, and for nothing else.
func TestChangedLimitsReplaceNoPod(t *testing.T) {
	tests := map[string]struct {
		patch   string
		changed func(before, after *config.Config) bool
		rolls   bool
	}{
		"limits": {`{"spec":{"limits":{"size":{"max":"1Mi"},"perUser":{"requestsPerMinute":60}}}}`, func(_, a *config.Config) bool {
			return a.Limits.MaxSize == 1<<20 && a.Limits.PerUser.RequestsPerMinute == 60
		}, false},
		"key template":  {`{"spec":{"keyTemplate":"{prefix}{id}"}}`, func(_, a *config.Config) bool { return a.KeyTemplate == "{prefix}{id}" }, false},
		"grant":         {`{"spec":{"grant":{"expiry":"10m"}}}`, func(_, a *config.Config) bool { return a.Grant.Expiry == 600 }, false},
		"origins":       {`{"spec":{"bucket":{"cors":{"allowedOrigins":["https://a.example.com"]}}}}`, func(_, a *config.Config) bool { return len(a.AllowedOrigins) == 1 }, false},
		"deduplication": {`{"spec":{"deduplication":{"scope":"Off"}}}`, func(_, a *config.Config) bool { return a.Deduplication == "Off" }, false},
		"session":       {`{"spec":{"access":{"maxSessionDuration":"2h"}}}`, func(b, a *config.Config) bool { return a.Credentials != b.Credentials }, true},
		"upload host":   {`{"spec":{"bucket":{"uploadHost":"cdn.example.com"}}}`, func(b, a *config.Config) bool { return a.Bucket != b.Bucket }, true},
		"callback":      {`{"spec":{"callback":{"url":"https://upload.example.com/cb"}}}`, func(_, a *config.Config) bool { return a.Callback.URL != "" }, true},
		"auth":          {`{"spec":{"auth":{"jwt":{"audience":"other"}}}}`, func(_, a *config.Config) bool { return a.Auth.JWT.Audience == "other" }, true},
	}
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, template := w.signerConfig("album"), w.deployment("album").Spec.Template
			w.patch(tenant, test.patch)
			w.awaitReady(tenant)
			after := w.signerConfig("album")
			if !test.changed(&before, &after) {
				t.Errorf("the ConfigMap does not hold the change:\n%s", cmp.Diff(before, after))
			}
			if diff := cmp.Diff(template, w.deployment("album").Spec.Template); (diff != "") != test.rolls {
				t.Errorf("want new pods: %v; the pod template (-before +after):\n%s", test.rolls, diff)
			}
		})
	}
}

// A tenant is not Ready while a pod of the revision before still answers.
func TestAnOldPodKeepsTheTenantFromBeingReady(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	w.patch(w.deployment("album"), `{"metadata":{"annotations":{"`+kubeapi.AnnotationHold+`":"1"}}}`)
	replicas := func(all int32) {
		t.Helper()
		o := w.deployment("album")
		before := o.DeepCopy()
		o.Status.Replicas, o.Status.ObservedGeneration = all, o.Generation
		if err := w.Status().Patch(t.Context(), o, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	replicas(1) // the annotation made a new generation
	w.awaitReady(tenant)
	replicas(2)
	w.awaitCondition(tenant, v1alpha1.ConditionSignerReady, metav1.ConditionFalse, v1alpha1.ReasonRollingOut)
	replicas(1)
	w.awaitReady(tenant)
}
