package uploadsctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// poll is the pause between two looks at a tenant that is waited for.
const poll = 300 * time.Millisecond

// WaitOptions say whether to wait for the controller, and how long.
type WaitOptions struct {
	Wait    bool
	Timeout time.Duration
}

// Reconcile asks the controller for a look at the cloud now, and waits until it has had it and the tenant
// has settled. The error is ErrNo when the tenant is not ready then.
func (s *Session) Reconcile(ctx context.Context, name string, opts WaitOptions) error {
	t, err := s.tenant(ctx, name)
	if err != nil {
		return err
	}
	if pause := pausedBy(t); pause != nil {
		return fmt.Errorf("%s is paused (%s): %s. To go on: %s", name, pause.Reason, pause.Message, remedy(pause.Reason, t.Namespace, name))
	}
	stamp, err := s.request(ctx, t)
	if err != nil {
		return Explain(err)
	}
	if !opts.Wait {
		fmt.Fprintf(s.Out, "The controller was asked to look at %s.\n", name)
		return nil
	}
	return s.settle(ctx, name, opts.Timeout, func(t *v1alpha1.UploadTenant) bool { return handled(t, stamp) })
}

// request asks for a reconcile and returns what the status will repeat when it was done.
func (s *Session) request(ctx context.Context, t *v1alpha1.UploadTenant) (stamp string, err error) {
	stamp = s.Now().UTC().Format(time.RFC3339Nano)
	return stamp, s.patch(ctx, t, map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationReconcileAt: stamp}}})
}

func (s *Session) patch(ctx context.Context, t *v1alpha1.UploadTenant, change map[string]any) error {
	raw, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("encode the change: %w", err)
	}
	return s.Client.Patch(ctx, t.DeepCopy(), client.RawPatch(types.MergePatchType, raw), client.FieldOwner(fieldOwner))
}

func handled(t *v1alpha1.UploadTenant, stamp string) bool {
	return t.Status.LastHandledReconcileAt == stamp
}

// settle waits until the controller has acted and has nothing left to do, and tells how it went.
func (s *Session) settle(ctx context.Context, name string, timeout time.Duration, acted func(*v1alpha1.UploadTenant) bool) error {
	told := ""
	t, err := s.await(ctx, name, timeout, func(t *v1alpha1.UploadTenant) bool {
		if pausedBy(t) != nil {
			return true // by the namespace or the manager: nobody will act
		}
		if !acted(t) || t.Status.ObservedGeneration < t.Generation {
			return false
		}
		busy := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionReconciling)
		if busy != nil && busy.Reason+busy.Message != told {
			told = busy.Reason + busy.Message
			fmt.Fprintf(s.Log, "%s: %s\n", busy.Reason, busy.Message)
		}
		return busy == nil
	})
	var late *lateError
	if errors.As(err, &late) && acted(late.last) {
		// The controller works, the tenant is just not ready yet.
		t, err = late.last, nil
	}
	if err != nil {
		return err
	}
	summary := Summarize(t)
	if summary.Ready != metav1.ConditionTrue {
		fmt.Fprintln(s.Out, summary.complaint(false))
		return ErrNo
	}
	fmt.Fprintf(s.Out, "%s is ready: %s.\n", name, summary.Message)
	return nil
}

// lateError tells that a tenant was waited for in vain.
type lateError struct {
	last    *v1alpha1.UploadTenant
	timeout time.Duration
}

// Error says where to look.
func (e *lateError) Error() string {
	return fmt.Sprintf("the controller has not acted on %s within %v: `kubectl uploads doctor` tells whether the manager is at work; --timeout waits longer", e.last.Name, e.timeout)
}

// await reads the tenant until it is as wanted.
func (s *Session) await(ctx context.Context, name string, timeout time.Duration, reached func(*v1alpha1.UploadTenant) bool) (*v1alpha1.UploadTenant, error) {
	var last *v1alpha1.UploadTenant
	err := wait.PollUntilContextTimeout(ctx, poll, timeout, true, func(ctx context.Context) (bool, error) {
		t, err := s.tenant(ctx, name)
		if err != nil {
			return false, err
		}
		last = t
		return reached(t), nil
	})
	if err != nil && ctx.Err() == nil && last != nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, &lateError{last, timeout}
	}
	return last, err
}

// Pause stops the work of the controller on a tenant; uploads go on.
func (s *Session) Pause(ctx context.Context, name string, opts WaitOptions) error {
	t, err := s.tenant(ctx, name)
	if err != nil {
		return err
	}
	if t.Spec.ManagementPolicy == v1alpha1.ManagementPaused {
		fmt.Fprintf(s.Out, "%s is paused already.\n", name)
		return nil
	}
	before := t.Spec.ManagementPolicy
	if before == "" {
		before = v1alpha1.ManagementFull
	}
	err = s.patch(ctx, t, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationResumePolicy: before}},
		"spec":     map[string]any{"managementPolicy": v1alpha1.ManagementPaused},
	})
	if err != nil {
		return Explain(err)
	}
	if opts.Wait {
		if _, err := s.await(ctx, name, opts.Timeout, func(t *v1alpha1.UploadTenant) bool { return pausedBy(t) != nil }); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.Out, "%s is paused: the controller leaves it alone, uploads go on. To go on with managementPolicy %s: kubectl uploads resume %s -n %s\n", name, before, name, t.Namespace)
	return nil
}

// Resume ends what Pause began, with the management policy from before it. The error is ErrNo when the
// tenant is not ready afterwards.
func (s *Session) Resume(ctx context.Context, name string, opts WaitOptions) error {
	t, err := s.tenant(ctx, name)
	if err != nil {
		return err
	}
	if t.Spec.ManagementPolicy != v1alpha1.ManagementPaused {
		if pause := pausedBy(t); pause != nil {
			return fmt.Errorf("%s is not paused by itself (%s: %s); to go on: %s", name, pause.Reason, pause.Message, remedy(pause.Reason, t.Namespace, name))
		}
		fmt.Fprintf(s.Out, "%s is not paused.\n", name)
		return nil
	}
	policy := v1alpha1.ManagementPolicy(t.Annotations[v1alpha1.AnnotationResumePolicy])
	if policy != v1alpha1.ManagementObserve {
		policy = v1alpha1.ManagementFull
	}
	err = s.patch(ctx, t, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationResumePolicy: nil}},
		"spec":     map[string]any{"managementPolicy": policy},
	})
	if err != nil {
		return Explain(err)
	}
	fmt.Fprintf(s.Out, "%s goes on with managementPolicy %s.\n", name, policy)
	if !opts.Wait {
		return nil
	}
	return s.settle(ctx, name, opts.Timeout, func(t *v1alpha1.UploadTenant) bool {
		pause := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionPaused)
		return pause == nil || pause.Reason != v1alpha1.ReasonPausedByTenant
	})
}
