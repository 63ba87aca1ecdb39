package uploadsctl

import (
	"context"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// maxPlan changes stand in a status; the CRD has the same number.
const maxPlan = 64

// PlanOptions of Plan.
type PlanOptions struct {
	Name string
	// Refresh asks the controller for a new look at the cloud and waits for it, at most Timeout.
	Refresh bool
	Timeout time.Duration
	Output  Output
}

// Plan is what the controller would change, and what kept it from looking.
type Plan struct {
	Namespace  string                   `json:"namespace"`
	Name       string                   `json:"name"`
	Changes    []v1alpha1.PlannedChange `json:"changes"`
	Incomplete []Condition              `json:"incomplete,omitempty"`
}

// Plan shows what the controller would change. The error is ErrNo when that is not nothing.
func (s *Session) Plan(ctx context.Context, opts PlanOptions) error {
	t, err := s.tenant(ctx, opts.Name)
	if err != nil {
		return err
	}
	if t.Spec.ManagementPolicy != v1alpha1.ManagementObserve {
		return s.noPlan(t)
	}
	if opts.Refresh {
		if t, err = s.refresh(ctx, t, opts.Timeout); err != nil {
			return err
		}
	}
	if pause := pausedBy(t); pause != nil {
		return fmt.Errorf("%s is paused (%s), so that nobody looks: %s", t.Name, pause.Reason, remedy(pause.Reason, t.Namespace, t.Name))
	}
	if t.Status.ObservedGeneration < t.Generation {
		return fmt.Errorf("the controller has not looked at generation %d of %s yet: %s", t.Generation, t.Name, remedy(ReasonNotObserved, t.Namespace, t.Name))
	}
	plan := planOf(t)
	if done, err := opts.Output.encode(s.Out, plan); !done {
		s.printPlan(plan)
	} else if err != nil {
		return err
	}
	if len(plan.Changes)+len(plan.Incomplete) > 0 {
		return ErrNo
	}
	return nil
}

// refresh asks for a new look. Who may not ask gets the plan as it is.
func (s *Session) refresh(ctx context.Context, t *v1alpha1.UploadTenant, timeout time.Duration) (*v1alpha1.UploadTenant, error) {
	stamp, err := s.request(ctx, t)
	if apierrors.IsForbidden(err) {
		fmt.Fprintln(s.Log, "You may not ask for a new look (patch uploadtenants), so this is the plan of the last one.")
		return t, nil
	}
	if err != nil {
		return nil, Explain(err)
	}
	return s.await(ctx, t.Name, timeout, func(t *v1alpha1.UploadTenant) bool { return handled(t, stamp) || pausedBy(t) != nil })
}

// noPlan says how to get a plan.
func (s *Session) noPlan(t *v1alpha1.UploadTenant) error {
	policy := t.Spec.ManagementPolicy
	if policy == "" {
		policy = v1alpha1.ManagementFull
	}
	why := "differences are made undone as soon as they are seen"
	if policy == v1alpha1.ManagementPaused {
		why = "nobody looks"
	}
	return fmt.Errorf(`%[1]s has managementPolicy %[3]s: %[4]s, and there is no plan. To have the controller look and write nothing:
  kubectl patch uploadtenant %[1]s -n %[2]s --type merge -p '{"spec":{"managementPolicy":"Observe"}}'
  kubectl uploads plan %[1]s -n %[2]s
Uploads go on meanwhile. The same patch with "Full" makes the changes. A tenant that does not exist yet is planned before it
is made when it is created with "Observe"`, t.Name, t.Namespace, policy, why)
}

func planOf(t *v1alpha1.UploadTenant) Plan {
	plan := Plan{Namespace: t.Namespace, Name: t.Name, Changes: t.Status.Plan}
	if plan.Changes == nil {
		plan.Changes = []v1alpha1.PlannedChange{}
	}
	for _, part := range []string{v1alpha1.ConditionBucketReady, v1alpha1.ConditionAccessReady, v1alpha1.ConditionSignerReady} {
		c := meta.FindStatusCondition(t.Status.Conditions, part)
		if c == nil || c.Status == metav1.ConditionTrue || c.Reason == v1alpha1.ReasonPlanPending {
			continue
		}
		plan.Incomplete = append(plan.Incomplete, Condition{
			Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message,
			Remedy: remedy(c.Reason, t.Namespace, t.Name), Since: c.LastTransitionTime,
		})
	}
	return plan
}

func (s *Session) printPlan(plan Plan) {
	switch {
	case len(plan.Changes) > 0:
		printPlan(s.Out, plan.Changes)
		fmt.Fprintf(s.Out, "\n%s pending. Nothing was changed. To make %s:\n  kubectl patch uploadtenant %s -n %s --type merge -p '{\"spec\":{\"managementPolicy\":\"Full\"}}'\n",
			count(len(plan.Changes), "change is", "changes are"), map[bool]string{true: "it", false: "them"}[len(plan.Changes) == 1], plan.Name, plan.Namespace)
	case len(plan.Incomplete) == 0:
		fmt.Fprintf(s.Out, "%s is as declared: nothing would be changed.\n", plan.Name)
	}
	for _, c := range plan.Incomplete {
		fmt.Fprintf(s.Out, "\nThe plan is incomplete, because of %s (%s): %s\n", c.Type, c.Reason, c.Message)
		if c.Remedy != "" {
			fmt.Fprintf(s.Out, "  -> %s\n", c.Remedy)
		}
	}
}

func printPlan(w io.Writer, changes []v1alpha1.PlannedChange) {
	rows := [][]string{{"OPERATION", "RESOURCE", "DETAIL"}}
	for _, c := range changes {
		rows = append(rows, []string{c.Operation, orNone(c.Resource), orNone(c.Detail)})
	}
	table(w, rows...)
	if len(changes) == maxPlan {
		fmt.Fprintf(w, "There may be more: a status holds the first %d.\n", maxPlan)
	}
}

// count is a number with its noun and verb.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
