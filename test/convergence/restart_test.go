package convergence

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/controllers"
)

// TestChangeOvertakesTheFirstLook changes the last of many tenants while no manager runs. The next manager
// finds the change in its first list and must serve it before it looks at those that only might have drifted.
func TestChangeOvertakesTheFirstLook(t *testing.T) {
	const tenants = 12
	fake := cloudtest.New(accountID)
	_, stop := run(t, fake, 0)
	numbered := func(i int) *v1alpha1.UploadTenant {
		o := tenant()
		o.Name, o.Spec.Bucket.Prefix = fmt.Sprintf("album-%02d", i), fmt.Sprintf("album-%02d/", i)
		return o
	}
	is := func(o *v1alpha1.UploadTenant) bool {
		err := api.Get(t.Context(), client.ObjectKeyFromObject(o), o)
		return err == nil && o.Status.ObservedGeneration == o.Generation && meta.IsStatusConditionTrue(o.Status.Conditions, v1alpha1.ConditionReady)
	}
	for i := range tenants {
		if err := api.Create(t.Context(), numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range tenants {
		waitUntil(t, "ready", func() bool { return is(numbered(i)) })
	}
	stop()

	last := numbered(tenants - 1)
	if !is(last) {
		t.Fatal("the last tenant is not ready")
	}
	before := last.DeepCopy()
	last.Spec.Access.AllowDelete = new(bool)
	if err := api.Patch(t.Context(), last, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	fake.Reset()
	_, stop = run(t, fake, 0, func(o *controllers.Options) { o.Concurrency = 1 }) // so that there is one order
	waitUntil(t, "served", func() bool { return is(numbered(tenants - 1)) })
	var order []string
	for _, c := range fake.Calls() {
		if c.Operation == "ram:GetRole" {
			order = append(order, c.Resource)
		}
	}
	if changed := slices.IndexFunc(order, func(role string) bool { return strings.Contains(role, last.Name) }); changed != 0 {
		t.Errorf("the changed tenant was looked at after %d others: %v", changed, order)
	}

	for i := range tenants {
		if err := api.Delete(t.Context(), numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range tenants {
		waitUntil(t, "gone", func() bool {
			return client.IgnoreNotFound(api.Get(t.Context(), client.ObjectKeyFromObject(numbered(i)), numbered(i))) == nil &&
				api.Get(t.Context(), client.ObjectKeyFromObject(numbered(i)), numbered(i)) != nil
		})
	}
	stop()
}
