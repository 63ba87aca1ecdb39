package convergence

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/controllers"
)

// TestAPausedManagerDoesNothing starts the manager with --paused before, during and at the end of a
// tenant's life.
func TestAPausedManagerDoesNothing(t *testing.T) {
	fake := cloudtest.New(accountID)
	paused := func(o *controllers.Options) { o.Paused = true }

	_, stop := run(t, fake, 0, paused)
	create(t)
	waitUntil(t, "paused", pausedByManager)
	stop()
	_, stop = run(t, fake, 0)
	waitUntil(t, "ready", ready)
	if pausedByManager() {
		t.Error("still told as paused")
	}
	stop()

	before := fake.State()
	fake.Reset()
	_, stop = run(t, fake, 0, paused)
	update(t)
	waitUntil(t, "paused again", pausedByManager)
	remove(t)
	waitUntil(t, "told that it is to go", func() bool {
		got := tenant()
		err := api.Get(t.Context(), client.ObjectKeyFromObject(got), got)
		c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionPaused)
		return err == nil && !got.DeletionTimestamp.IsZero() && c != nil && c.Message == "the manager was started with --paused: the tenant goes when work goes on"
	})
	stop()
	if writes := fake.Writes(); len(writes) > 0 || !cmp.Equal(before, fake.State()) {
		t.Errorf("a paused manager wrote %v", writes)
	}
	_, stop = run(t, fake, 0)
	waitUntil(t, "gone", gone)
	stop()
}

func pausedByManager() bool {
	got := tenant()
	if err := api.Get(context.Background(), client.ObjectKeyFromObject(got), got); err != nil {
		return false
	}
	c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionPaused)
	return c != nil && c.Status == metav1.ConditionTrue && c.Reason == v1alpha1.ReasonPausedByManager
}
