package outcome_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/controllers/outcome"
)

func TestOf(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	tests := map[string]struct {
		err         error
		wantReason  string
		wantStalled bool
		wantMessage string
	}{
		"own reason":      {outcome.Fail(cloud.Conflict, v1alpha1.ReasonPrefixTaken, "taken by %s", "b"), v1alpha1.ReasonPrefixTaken, true, "taken by b"},
		"wrapped reason":  {fmt.Errorf("bucket: %w", outcome.Fail(cloud.Waiting, v1alpha1.ReasonRollingOut, "wait")), v1alpha1.ReasonRollingOut, false, "wait"},
		"cloud error":     {&cloud.Error{Class: cloud.Throttled, Operation: "ram:GetRole", Code: "Throttling"}, v1alpha1.ReasonThrottled, false, "ram:GetRole: Throttling"},
		"cloud denied":    {cloud.Errorf(cloud.Denied, "ram:GetRole", "no"), v1alpha1.ReasonPermissionDenied, true, "ram:GetRole: no"},
		"cluster refuses": {apierrors.NewForbidden(pods, "x", errors.New("quota")), v1alpha1.ReasonClusterError, false, "quota"},
		"cluster is busy": {apierrors.NewTooManyRequests("retry in 7 s", 7), v1alpha1.ReasonClusterError, false, "TooManyRequests"},
		"webhook is down": {apierrors.NewInternalError(errors.New("failed calling webhook x: request 7f3a: EOF")), v1alpha1.ReasonClusterError, false, "server failed (InternalError), often because of an admission webhook"},
		"webhook refuses": {refusal(418, "admission webhook denied the request: label team is missing"), v1alpha1.ReasonClusterError, false, "label team is missing"},
		"gateway fails":   {refusal(502, "bad gateway 7f3a"), v1alpha1.ReasonClusterError, false, "server failed (status 502)"},
		"written by two":  {apierrors.NewConflict(pods, "x", errors.New("7f3a")), v1alpha1.ReasonClusterError, false, "somebody else changed an object at the same time (Conflict)"},
		"unknown to it":   {apierrors.NewUnauthorized("7f3a"), v1alpha1.ReasonClusterError, false, "check its ServiceAccount"},
		"time is up":      {fmt.Errorf("get: %w", context.DeadlineExceeded), v1alpha1.ReasonClusterError, false, "longer than a reconcile"},
		"network":         {errors.New("dial tcp 10.0.0.1:6443: refused"), v1alpha1.ReasonClusterError, false, "cannot be reached"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := outcome.Of(tc.err)
			if got.Reason != tc.wantReason || got.Stalled() != tc.wantStalled || !strings.Contains(got.Message, tc.wantMessage) {
				t.Errorf("outcome = %+v, stalled %t", got, got.Stalled())
			}
			if strings.Contains(got.Message, "7f3a") {
				t.Errorf("message %q changes from request to request", got.Message)
			}
		})
	}
}

// refusal is an answer of the API server that has a code and no reason, as webhooks and proxies give.
func refusal(code int32, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Message: message}}
}

func TestMessagesAreCutAtACharacter(t *testing.T) {
	got := outcome.Of(outcome.Fail(cloud.Denied, "X", "%s", strings.Repeat("图", 1000))).Message
	if len(got) > 500 || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
		t.Errorf("message of %d bytes, valid %t", len(got), utf8.ValidString(got))
	}
}

func TestResult(t *testing.T) {
	waiting := outcome.Fail(cloud.Waiting, "W", "wait")
	slowly := outcome.Fail(cloud.Waiting, "W", "wait")
	slowly.RetryAfter = time.Minute
	failing := func(c cloud.Class) error { return cloud.Errorf(c, "op", "failed") }
	tests := map[string]struct {
		errs         []error
		wantAfter    time.Duration
		wantErr      bool
		wantTerminal bool
	}{
		"nothing":               {},
		"waiting":               {errs: []error{waiting}, wantAfter: outcome.DefaultWait},
		"waiting with a pause":  {errs: []error{slowly}, wantAfter: time.Minute},
		"retryable":             {errs: []error{failing(cloud.Retryable)}, wantErr: true},
		"throttled":             {errs: []error{failing(cloud.Throttled)}, wantErr: true},
		"denied":                {errs: []error{failing(cloud.Denied)}, wantErr: true},
		"conflict":              {errs: []error{failing(cloud.Conflict)}, wantErr: true},
		"quota":                 {errs: []error{failing(cloud.Quota)}, wantErr: true},
		"invalid":               {errs: []error{failing(cloud.Invalid)}, wantErr: true, wantTerminal: true},
		"failing beats waiting": {errs: []error{waiting, failing(cloud.Denied)}, wantErr: true},
		"waiting beats invalid": {errs: []error{failing(cloud.Invalid), waiting}, wantAfter: outcome.DefaultWait},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := outcome.Result(tc.errs)
			if got.RequeueAfter != tc.wantAfter || (err != nil) != tc.wantErr || errors.Is(err, reconcile.TerminalError(nil)) != tc.wantTerminal {
				t.Errorf("result = %+v, err = %v", got, err)
			}
		})
	}
}
