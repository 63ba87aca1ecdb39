package controllers_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/policy"
)

// TestOrphansAreReportedAndNeverRemoved loses a tenant as a deleted CRD would, and applies it again.
func TestOrphansAreReportedAndNeverRemoved(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	kept, lost := w.tenant("kept"), w.tenant("lost")
	w.create(kept)
	w.create(lost)
	w.awaitReady(kept)
	w.awaitReady(lost)
	for name, description := range map[string]string{
		"ut-foreign":       policy.Owner{Cluster: "cluster-two", Namespace: "x", Name: "y"}.Marker(),
		"made-by-a-person": "nothing that we know",
	} {
		w.cloud.AddRole(cloud.Role{Name: name, Description: description})
	}
	w.search("first")
	if c := meta.FindStatusCondition(w.account.Status.Conditions, v1alpha1.ConditionOrphaned); c != nil || len(w.account.Status.Orphans) > 0 {
		t.Fatalf("orphans of a whole account: %+v, %+v", c, w.account.Status.Orphans)
	}

	w.patch(lost, `{"metadata":{"finalizers":null}}`)
	w.remove(lost)
	w.gone(lost)
	w.cloud.Reset()
	before := w.cloud.State()
	w.search("second")
	key := w.namespace + "/lost"
	want := []v1alpha1.OrphanedObject{{Kind: "Policy", Name: w.role(lost), Tenant: key}, {Kind: "Role", Name: w.role(lost), Tenant: key}}
	if diff := cmp.Diff(want, w.account.Status.Orphans); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
	w.awaitCondition(w.account, v1alpha1.ConditionOrphaned, metav1.ConditionTrue, v1alpha1.ReasonOrphansFound)
	w.awaitReady(w.account)
	if got := w.metric("uploadtenant_orphaned_objects", map[string]string{"account": w.account.Name, "kind": "Role"}); got != 1 {
		t.Errorf("uploadtenant_orphaned_objects = %v, want 1", got)
	}
	w.awaitEvent(w.account.Name, v1alpha1.ReasonOrphansFound, "without a tenant: 2")
	if writes := w.cloud.Writes(); len(writes) > 0 {
		t.Errorf("cloud writes: %v", writes)
	}
	if diff := cmp.Diff(before, w.cloud.State()); diff != "" {
		t.Errorf("cloud changed (-before +after):\n%s", diff)
	}

	again := w.tenant("lost")
	w.create(again)
	w.awaitReady(again)
	w.search("third")
	w.awaitReady(w.account)
	if c := meta.FindStatusCondition(w.account.Status.Conditions, v1alpha1.ConditionOrphaned); c != nil || len(w.account.Status.Orphans) > 0 {
		t.Errorf("orphans after the tenant was applied again: %+v, %+v", c, w.account.Status.Orphans)
	}
	if got := w.metric("uploadtenant_orphaned_objects", map[string]string{"account": w.account.Name, "kind": "Role"}); got != 0 {
		t.Errorf("uploadtenant_orphaned_objects = %v, want 0", got)
	}
}

// TestOrphansThatMayNotBeListed leaves the account usable: older RAM policies do not grant the lists.
func TestOrphansThatMayNotBeListed(t *testing.T) {
	w := newWorld(t)
	w.cloud.Hook(func(c cloudtest.Call) error {
		if c.Operation == "ram:ListPolicies" {
			return cloud.Errorf(cloud.Denied, c.Operation, "not granted")
		}
		return nil
	}, nil)
	w.create(w.account)
	got := w.awaitCondition(w.account, v1alpha1.ConditionOrphaned, metav1.ConditionUnknown, v1alpha1.ReasonPermissionDenied)
	if !strings.Contains(got.Message, "ram:ListPolicies") {
		t.Errorf("message = %q", got.Message)
	}
	w.awaitReady(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	w.cloud.Hook(nil, nil)
	w.search("granted")
	if c := meta.FindStatusCondition(w.account.Status.Conditions, v1alpha1.ConditionOrphaned); c != nil {
		t.Errorf("condition %+v is left", c)
	}
}

// search asks for a reconcile of the account now and awaits its end.
func (w *world) search(at string) {
	w.Helper()
	w.patch(w.account, `{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"`+at+`"}}}`)
	w.eventually(func() string {
		w.get(w.account)
		if w.account.Status.LastHandledReconcileAt != at {
			return "the request was not handled"
		}
		return ""
	})
}

// awaitEvent waits for an event about the object of that name.
func (w *world) awaitEvent(about, reason, text string) {
	w.Helper()
	w.awaitEventIn("", about, reason, text)
}

// awaitEventIn waits for an event in one namespace.
func (w *world) awaitEventIn(namespace, about, reason, text string) {
	w.Helper()
	w.eventually(func() string {
		var list eventsv1.EventList
		if err := w.List(w.Context(), &list, client.InNamespace(namespace), client.MatchingFields{"reason": reason}); err != nil {
			return err.Error()
		}
		for _, e := range list.Items {
			if e.Regarding.Name == about && strings.Contains(e.Note, text) {
				if reason == v1alpha1.ReasonDriftRepaired {
					reasons.event(reason)
				}
				return ""
			}
		}
		return "no event " + reason + " about " + about + " that tells " + text
	})
}

// metric is the value of a series of the manager, or -1 when there is none.
func (w *world) metric(name string, labels map[string]string) float64 {
	w.Helper()
	families, err := registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			got := map[string]string{}
			for _, l := range m.GetLabel() {
				got[l.GetName()] = l.GetValue()
			}
			if cmp.Equal(got, labels) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return -1
}
