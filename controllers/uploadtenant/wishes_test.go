package uploadtenant

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/policy"
)

func TestWishesGoAlongUntilTheyAreWithdrawn(t *testing.T) {
	var all wishes
	owner := func(name string) policy.Owner { return policy.Owner{Cluster: "c", Namespace: "family", Name: name} }
	rules := func(name string) []policy.LifecycleRule {
		return policy.LifecycleRules(owner(name), policy.Lifecycle{Prefix: name + "/", AbortMultipartDays: 7})
	}
	foreign := policy.LifecycleRule{ID: "theirs", Enabled: true, ExpireDays: 1}
	document := func() []string {
		var prefixes []string
		for _, rule := range all.mergeInto("bucket", []policy.LifecycleRule{foreign}) {
			prefixes = append(prefixes, rule.Prefix)
		}
		slices.Sort(prefixes)
		return prefixes
	}

	withdrawA := all.add("bucket", owner("a"), rules("a"))
	withdrawB := all.add("bucket", owner("b"), rules("b"))
	defer all.add("another", owner("c"), rules("c"))()
	if diff := cmp.Diff([]string{"", "a/", "b/"}, document()); diff != "" {
		t.Errorf("with two wishes (-want +got):\n%s", diff)
	}
	withdrawA()
	if diff := cmp.Diff([]string{"", "b/"}, document()); diff != "" {
		t.Errorf("after one was withdrawn (-want +got):\n%s", diff)
	}
	withdrawB()
	if diff := cmp.Diff([]string{""}, document()); diff != "" {
		t.Errorf("after both were (-want +got):\n%s", diff)
	}

	full := make([]policy.LifecycleRule, policy.MaxLifecycleRules)
	defer all.add("bucket", owner("a"), rules("a"))()
	if got := len(all.mergeInto("bucket", full)); got != len(full) {
		t.Errorf("a full document has %d rules, want it as it was", got)
	}
}
