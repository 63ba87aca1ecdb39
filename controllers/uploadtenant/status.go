package uploadtenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/instrument"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
)

// parts are the conditions that Ready sums up, in the order in which a failure is told.
var parts = []string{
	v1alpha1.ConditionBucketReady,
	v1alpha1.ConditionAccessReady,
	v1alpha1.ConditionSignerReady,
}

// whole says in words what each part being ready means.
var whole = map[string]string{
	v1alpha1.ConditionBucketReady: "the bucket and its CORS rules are as declared",
	v1alpha1.ConditionAccessReady: "the RAM policy, role and attachment are as declared",
	v1alpha1.ConditionSignerReady: "the signer answers with the declared configuration",
}

// finish is the only place that writes the status, emits the event and decides about the next run.
func (r *Reconciler) finish(ctx context.Context, s *scope) (ctrl.Result, error) {
	status := &s.tenant.Status
	status.ObservedGeneration = s.tenant.Generation
	status.LastHandledReconcileAt = s.tenant.Annotations[v1alpha1.AnnotationReconcileAt]
	status.Plan = plan(s)
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionPaused)
	var errs []error
	for _, part := range parts {
		f := s.failures[part]
		switch {
		case f != nil:
		case len(s.planned[part]) > 0:
			s.set(part, metav1.ConditionFalse, v1alpha1.ReasonPlanPending, pending(s.planned[part]))
			continue
		default:
			s.set(part, metav1.ConditionTrue, v1alpha1.ReasonAsDeclared, whole[part])
			continue
		}
		o := outcome.Of(f.err)
		s.set(part, metav1.ConditionFalse, o.Reason, o.Message)
		if !errors.Is(f.err, s.accountErr) || len(errs) == 0 {
			errs = append(errs, fmt.Errorf("%s: %w", f.phase, f.err))
		}
	}
	s.summarize()
	s.logFailures(ctx)
	r.tellDrift(ctx, s)
	return r.conclude(ctx, s, errs)
}

// maxPlan bounds status.plan; the CRD has the same number.
const maxPlan = 64

// plan is what Full would change, nothing under another management policy.
func plan(s *scope) []v1alpha1.PlannedChange {
	if !s.changes.DryRun {
		return nil
	}
	var out []v1alpha1.PlannedChange
	for _, change := range s.changes.List {
		if len(out) == maxPlan {
			break
		}
		out = append(out, v1alpha1.PlannedChange{Operation: change.Operation, Resource: change.Resource, Detail: outcome.Truncate(change.Detail)})
	}
	return out
}

// tellDrift tells what had changed outside and was made true again.
func (r *Reconciler) tellDrift(ctx context.Context, s *scope) {
	if len(s.drift) == 0 {
		return
	}
	var told []string
	for _, change := range s.drift {
		text := change.Operation + " " + change.Resource
		if change.Detail != "" {
			text += " (" + change.Detail + ")"
		}
		told = append(told, text)
	}
	message := outcome.Truncate("repaired what had changed outside: " + strings.Join(told, "; "))
	log.FromContext(ctx).Info("Repaired drift", "changes", told)
	r.Recorder.Eventf(s.original, nil, corev1.EventTypeWarning, v1alpha1.ReasonDriftRepaired, "Reconcile", "%s", message)
	r.Metrics.drift(len(s.drift))
}

// conclude writes what changed and returns the next step.
func (r *Reconciler) conclude(ctx context.Context, s *scope, errs []error) (ctrl.Result, error) {
	if err := r.writeStatus(ctx, s); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.Metrics != nil && len(errs) == 0 {
		r.Metrics.becameReady(s, r.Clock())
	}
	if len(errs) > 0 {
		return outcome.Result(errs)
	}
	if next := r.nextLook(s); !s.renewAt.IsZero() && s.renewAt.Sub(r.Clock()) < next {
		// A session that ends stops uploads, so its renewal is as urgent as a person's change.
		return ctrl.Result{RequeueAfter: max(s.renewAt.Sub(r.Clock()), time.Second), Priority: ptr.To(0)}, nil
	}
	// A periodic look must never delay a person's change.
	return ctrl.Result{RequeueAfter: r.nextLook(s), Priority: ptr.To(handler.LowPriority)}, nil
}

// writeStatus patches the status when it differs, and then tells of a changed Ready condition. The event
// comes after the write, so that a failed write does not repeat it.
func (r *Reconciler) writeStatus(ctx context.Context, s *scope) error {
	if equality.Semantic.DeepEqual(s.original.Status, s.tenant.Status) {
		return nil
	}
	after := s.original.DeepCopy()
	after.Status = *s.tenant.Status.DeepCopy()
	if err := r.Client.Status().Patch(ctx, after, client.MergeFrom(s.original)); err != nil {
		return err
	}
	r.announce(s)
	return nil
}

func (r *Reconciler) announce(s *scope) {
	before := meta.FindStatusCondition(s.original.Status.Conditions, v1alpha1.ConditionReady)
	after := meta.FindStatusCondition(s.tenant.Status.Conditions, v1alpha1.ConditionReady)
	if after == nil || before != nil && before.Status == after.Status && before.Reason == after.Reason {
		return
	}
	stalled := meta.IsStatusConditionTrue(s.tenant.Status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case after.Status == metav1.ConditionTrue:
		r.Recorder.Eventf(s.original, nil, corev1.EventTypeNormal, after.Reason, "Reconcile", "%s", after.Message)
	case stalled:
		r.Recorder.Eventf(s.original, nil, corev1.EventTypeWarning, after.Reason, "Reconcile", "%s", after.Message)
	case before != nil && before.Status == metav1.ConditionTrue:
		r.Recorder.Eventf(s.original, nil, corev1.EventTypeNormal, after.Reason, "Reconcile", "%s", after.Message)
	}
}

func (s *scope) set(condition string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&s.tenant.Status.Conditions, metav1.Condition{
		Type: condition, Status: status, Reason: reason, Message: message,
		ObservedGeneration: s.tenant.Generation,
	})
}

func pending(changes []instrument.Change) string {
	return fmt.Sprintf("pending changes: %d; status.plan lists them, managementPolicy Full makes them", len(changes))
}

// summarize derives Ready, Reconciling and Stalled (kstatus): a tenant is ready, or under way, or stalled.
func (s *scope) summarize() {
	conditions := &s.tenant.Status.Conditions
	worst, worstOutcome := s.worst()
	if worst == "" && len(s.changes.List) > 0 && s.changes.DryRun {
		message := pending(s.changes.List)
		s.set(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPlanPending, message)
		s.set(v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonPlanPending, message)
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionReconciling)
		return
	}
	if worst == "" {
		s.set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsDeclared, "the tenant takes uploads")
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionReconciling)
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionStalled)
		return
	}
	message := worst + ": " + worstOutcome.Message
	s.set(v1alpha1.ConditionReady, metav1.ConditionFalse, worstOutcome.Reason, message)
	if worstOutcome.Stalled() {
		s.set(v1alpha1.ConditionStalled, metav1.ConditionTrue, worstOutcome.Reason, message)
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionReconciling)
		return
	}
	s.set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, worstOutcome.Reason, message)
	meta.RemoveStatusCondition(conditions, v1alpha1.ConditionStalled)
}

// worst is the failure that Ready tells: the first one that is stalled, else the first that is a failure,
// else the first that waits.
func (s *scope) worst() (string, outcome.Outcome) {
	rank := func(o outcome.Outcome) int {
		switch {
		case o.Stalled():
			return 3
		case o.Class == cloud.Waiting:
			return 1
		default:
			return 2
		}
	}
	var part string
	var worst outcome.Outcome
	for _, p := range parts {
		if f := s.failures[p]; f != nil {
			if o := outcome.Of(f.err); part == "" || rank(o) > rank(worst) {
				part, worst = p, o
			}
		}
	}
	return part, worst
}

// logFailures writes what a condition must not hold: request ids and the services' own words.
func (s *scope) logFailures(ctx context.Context) {
	for _, part := range parts {
		if f := s.failures[part]; f != nil {
			if values := cloud.LogValues(f.err); values != nil {
				log.FromContext(ctx).Info("Cloud call failed", append(values, "phase", f.phase, "error", f.err.Error())...)
			}
		}
	}
}

// nextLook is the interval with a tenth of it as jitter, so that tenants do not stay in step.
func (r *Reconciler) nextLook(s *scope) time.Duration {
	return time.Duration(float64(r.interval(s)) * (0.9 + 0.2*r.Jitter()))
}

// interval is the tenant's own, else the manager's.
func (r *Reconciler) interval(s *scope) time.Duration {
	if own := s.tenant.Spec.ReconcileInterval; own != nil {
		return own.Duration
	}
	return r.Interval
}

// validity is how long a look at the cloud may be trusted: always less than the pause to the next one.
func (r *Reconciler) validity(s *scope) time.Duration { return r.interval(s) * 8 / 10 }
