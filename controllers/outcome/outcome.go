// Package outcome turns what a phase came to into a condition and a requeue. It is the only place that
// maps error classes to either.
package outcome

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
)

// maxMessage keeps a condition readable in a terminal; the log has the rest.
const maxMessage = 500

// Failure is an error of a controller with a reason of its own. Its message is stable and says what to do.
type Failure struct {
	Class   cloud.Class
	Reason  string
	Message string
	// RetryAfter replaces the pause of a Waiting failure.
	RetryAfter time.Duration
	Err        error
}

// Error returns the message.
func (f *Failure) Error() string { return f.Message }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Fail makes a Failure from a stable sentence.
func Fail(class cloud.Class, reason, format string, args ...any) *Failure {
	return &Failure{Class: class, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Because makes a Failure that keeps its cause for the log.
func Because(err error, class cloud.Class, reason, format string, args ...any) *Failure {
	f := Fail(class, reason, format, args...)
	f.Err = err
	return f
}

// Outcome is what a phase came to, ready for a condition.
type Outcome struct {
	Class      cloud.Class
	Reason     string
	Message    string
	RetryAfter time.Duration
}

// reasons by class, for errors that name none.
var reasons = map[cloud.Class]string{
	cloud.Waiting:   v1alpha1.ReasonProgressing,
	cloud.Throttled: v1alpha1.ReasonThrottled,
	cloud.Retryable: v1alpha1.ReasonCloudUnavailable,
	cloud.Conflict:  v1alpha1.ReasonConflict,
	cloud.Quota:     v1alpha1.ReasonQuotaExceeded,
	cloud.Denied:    v1alpha1.ReasonPermissionDenied,
	cloud.Invalid:   v1alpha1.ReasonInvalidRequest,
}

// Of describes an error: a Failure by itself, a cloud error by its class, everything else as a problem of
// the Kubernetes API.
func Of(err error) Outcome {
	var failure *Failure
	if errors.As(err, &failure) {
		return Outcome{failure.Class, failure.Reason, Truncate(failure.Message), failure.RetryAfter}
	}
	var classified *cloud.Error
	if errors.As(err, &classified) {
		return Outcome{Class: classified.Class, Reason: reasons[classified.Class], Message: Truncate(classified.Error())}
	}
	return Outcome{Class: cloud.Retryable, Reason: v1alpha1.ReasonClusterError, Message: Truncate(clusterMessage(err))}
}

// clusterMessage is stable and says what to do: the API server's own words only where they tell what to
// change. The log has them in any case.
func clusterMessage(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return "the work took longer than a reconcile may; this is retried"
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return "the Kubernetes API cannot be reached; this is retried"
	}
	code, reason := status.Status().Code, apierrors.ReasonForError(err)
	switch reason {
	case metav1.StatusReasonConflict, metav1.StatusReasonAlreadyExists, metav1.StatusReasonNotFound:
		return fmt.Sprintf("somebody else changed an object at the same time (%s); this is retried", reason)
	case metav1.StatusReasonUnauthorized:
		return "the Kubernetes API does not know the manager (Unauthorized): check its ServiceAccount and token; this is retried"
	case metav1.StatusReasonTooManyRequests, metav1.StatusReasonTimeout, metav1.StatusReasonServerTimeout, metav1.StatusReasonServiceUnavailable:
		return fmt.Sprintf("the Kubernetes API is overloaded or starting (%s); this is retried", reason)
	case metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest:
		return err.Error()
	}
	if code >= http.StatusBadRequest && code < http.StatusInternalServerError {
		return err.Error()
	}
	if reason == metav1.StatusReasonUnknown {
		reason = metav1.StatusReason("status " + strconv.Itoa(int(code)))
	}
	return fmt.Sprintf("the Kubernetes API server failed (%s), often because of an admission webhook that does not answer: "+
		"the manager's log has its words; this is retried", reason)
}

// Stalled tells whether only a change from outside helps.
func (o Outcome) Stalled() bool {
	switch o.Class {
	case cloud.Conflict, cloud.Quota, cloud.Denied, cloud.Invalid:
		return true
	}
	return false
}

// DefaultWait is the pause of a Waiting outcome. Most are ended earlier, by a watch.
const DefaultWait = 5 * time.Second

// Result maps the classes of all failures of a reconcile to what the work queue should do. Any class that
// a retry can help goes back with the queue's growing pauses, the stalled ones too: their cause is often
// removed outside the cluster, where no watch reports it. Invalid alone waits for another spec.
func Result(errs []error) (ctrl.Result, error) {
	var retry, wait, terminal []error
	after := DefaultWait
	for _, err := range errs {
		switch o := Of(err); o.Class {
		case cloud.Waiting:
			if o.RetryAfter > 0 {
				after = o.RetryAfter
			}
			wait = append(wait, err)
		case cloud.Invalid:
			terminal = append(terminal, err)
		default:
			retry = append(retry, err)
		}
	}
	switch {
	case len(retry) > 0:
		return ctrl.Result{}, errors.Join(retry...)
	case len(wait) > 0:
		return ctrl.Result{RequeueAfter: after}, nil
	case len(terminal) > 0:
		return ctrl.Result{}, reconcile.TerminalError(errors.Join(terminal...))
	}
	return ctrl.Result{}, nil
}

// Truncate cuts a text to what a condition or event may hold, at a character.
func Truncate(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	cut := maxMessage - len("…")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
