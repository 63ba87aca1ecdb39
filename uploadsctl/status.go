package uploadsctl

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// ReasonNotObserved tells that the controller has not looked at the present spec yet.
const ReasonNotObserved = "NotObserved"

// Tenant is what a person wants to know of an UploadTenant. Its JSON names are those of -o json.
type Tenant struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`

	Ready   metav1.ConditionStatus `json:"ready"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`
	Remedy  string                 `json:"remedy,omitempty"`

	ManagementPolicy v1alpha1.ManagementPolicy `json:"managementPolicy"`
	Account          string                    `json:"account"`
	Bucket           string                    `json:"bucket"`
	Prefix           string                    `json:"prefix"`
	// UploadURL is where clients post files.
	UploadURL string `json:"uploadURL,omitempty"`
	// URL of the signer as callers outside the cluster reach it; ClusterURL is the one inside.
	URL        string `json:"url,omitempty"`
	ClusterURL string `json:"clusterURL,omitempty"`
	// Replicas of the signer that are ready, and how many there should be: a number or a range.
	Replicas       int32       `json:"replicas"`
	WantedReplicas string      `json:"wantedReplicas"`
	Role           string      `json:"role,omitempty"`
	CreatedAt      metav1.Time `json:"createdAt"`

	// What follows is filled for a single tenant only.
	Conditions []Condition              `json:"conditions,omitempty"`
	Plan       []v1alpha1.PlannedChange `json:"plan,omitempty"`
	Events     []Event                  `json:"events,omitempty"`
}

// Condition of a tenant, and what to do about it.
type Condition struct {
	Type    string                 `json:"type"`
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`
	Remedy  string                 `json:"remedy,omitempty"`
	Since   metav1.Time            `json:"since"`
}

// Event that the controller told of a tenant.
type Event struct {
	Time    metav1.Time `json:"time"`
	Type    string      `json:"type"`
	Reason  string      `json:"reason"`
	Message string      `json:"message"`
	Count   int32       `json:"count"`
}

// maxEvents of one tenant that are shown.
const maxEvents = 8

// Tenants of the session's namespace, or of all, by namespace and name.
func (s *Session) Tenants(ctx context.Context, allNamespaces bool) ([]Tenant, error) {
	var opts []client.ListOption
	if !allNamespaces {
		opts = append(opts, client.InNamespace(s.Namespace))
	}
	var list v1alpha1.UploadTenantList
	if err := s.Client.List(ctx, &list, opts...); err != nil {
		return nil, Explain(err)
	}
	out := make([]Tenant, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, Summarize(&list.Items[i]))
	}
	slices.SortFunc(out, func(a, b Tenant) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// Tenant reads one tenant with everything that is known of it.
func (s *Session) Tenant(ctx context.Context, name string) (Tenant, error) {
	object, err := s.tenant(ctx, name)
	if err != nil {
		return Tenant{}, err
	}
	t := Summarize(object)
	t.Conditions = conditionsOf(object)
	t.Plan = object.Status.Plan
	if t.Events, err = s.events(ctx, object); err != nil {
		// The tenant is worth more than its events, which other rights may guard.
		fmt.Fprintf(s.Log, "events are left out: %v\n", err)
	}
	return t, nil
}

// conditionsOf lists the conditions with their remedies, in a reader's order.
func conditionsOf(t *v1alpha1.UploadTenant) []Condition {
	var out []Condition
	for _, c := range t.Status.Conditions {
		out = append(out, Condition{
			Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message,
			Remedy: remedy(c.Reason, t.Namespace, t.Name), Since: c.LastTransitionTime,
		})
	}
	slices.SortStableFunc(out, func(a, b Condition) int { return rank(a.Type) - rank(b.Type) })
	return out
}

// order of the conditions for a reader: the sum first, then its parts.
var order = []string{
	v1alpha1.ConditionReady, v1alpha1.ConditionPaused, v1alpha1.ConditionBucketReady, v1alpha1.ConditionAccessReady,
	v1alpha1.ConditionSignerReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled,
}

func rank(kind string) int {
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	return len(order)
}

// Summarize is the pure part of a Tenant: what its object tells without another request.
func Summarize(object *v1alpha1.UploadTenant) Tenant {
	t := object.DeepCopy()
	t.Default()
	out := Tenant{
		Namespace: t.Namespace, Name: t.Name,
		ManagementPolicy: t.Spec.ManagementPolicy,
		Account:          t.Spec.AccountRef.Name,
		Bucket:           t.Spec.Bucket.Name, Prefix: t.Spec.Bucket.Prefix,
		URL:            PublicURL(t),
		WantedReplicas: wantedReplicas(t.Spec.Signer),
		CreatedAt:      t.CreationTimestamp,
	}
	if t.Status.Bucket != nil {
		out.UploadURL = t.Status.Bucket.UploadURL
	}
	if t.Status.Signer != nil {
		out.ClusterURL, out.Replicas = t.Status.Signer.URL, t.Status.Signer.Replicas
	}
	if out.URL == out.ClusterURL { // callback.url names the Service: an emulator calls it inside the cluster
		out.URL = ""
	}
	if t.Status.Role != nil {
		out.Role = t.Status.Role.ARN
	}
	out.Ready, out.Reason, out.Message = readiness(t)
	out.Remedy = remedy(out.Reason, t.Namespace, t.Name)
	return out
}

// readiness sums up the conditions. A paused tenant keeps the Ready that was last seen, because its uploads
// go on; any other whose spec was not looked at yet is Unknown.
func readiness(t *v1alpha1.UploadTenant) (status metav1.ConditionStatus, reason, message string) {
	ready := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionReady)
	if pause := pausedBy(t); pause != nil {
		status = metav1.ConditionUnknown
		if ready != nil {
			status = ready.Status
		}
		return status, pause.Reason, pause.Message
	}
	if ready == nil || t.Status.ObservedGeneration < t.Generation {
		return metav1.ConditionUnknown, ReasonNotObserved, fmt.Sprintf("the controller has not looked at generation %d yet", t.Generation)
	}
	return ready.Status, ready.Reason, ready.Message
}

// pausedBy is the condition Paused, unless the spec has ended that pause since.
func pausedBy(t *v1alpha1.UploadTenant) *metav1.Condition {
	pause := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionPaused)
	if pause == nil || pause.Status != metav1.ConditionTrue ||
		pause.Reason == v1alpha1.ReasonPausedByTenant && t.Spec.ManagementPolicy != v1alpha1.ManagementPaused {
		return nil
	}
	return pause
}

// PublicURL is the signer's base URL outside the cluster: that of the host that the spec exposes, else that
// of callback.url; "" when there is neither.
func PublicURL(t *v1alpha1.UploadTenant) string {
	var callback *url.URL
	if t.Spec.Callback != nil {
		callback, _ = url.Parse(t.Spec.Callback.URL) // the CRD has checked it
	}
	exposure := t.Spec.Signer.Exposure
	if exposure != nil && exposure.Host != "" && (callback == nil || callback.Hostname() != exposure.Host) {
		scheme := "https"
		if exposure.Ingress != nil && exposure.Ingress.TLSSecretName == "" {
			scheme = "http"
		}
		return scheme + "://" + exposure.Host
	}
	if callback == nil || callback.Host == "" {
		return ""
	}
	return callback.Scheme + "://" + callback.Host
}

func wantedReplicas(s v1alpha1.SignerSpec) string {
	switch {
	case s.Autoscaling != nil && s.Autoscaling.MinReplicas != nil:
		return fmt.Sprintf("%d-%d", *s.Autoscaling.MinReplicas, s.Autoscaling.MaxReplicas)
	case s.Autoscaling != nil:
		return fmt.Sprintf("1-%d", s.Autoscaling.MaxReplicas)
	case s.Replicas != nil:
		return fmt.Sprint(*s.Replicas)
	}
	return "1"
}

// remedy says what to do about a reason, with the tenant's names filled in.
func remedy(reason, namespace, name string) string {
	if reason == ReasonNotObserved {
		return "wait; when it stays so, the manager is not at work: `kubectl uploads doctor` tells why"
	}
	return strings.NewReplacer("{namespace}", namespace, "{name}", name, "{tenant}", name+" -n "+namespace).Replace(remedies[reason])
}

// events of the tenant, newest first.
func (s *Session) events(ctx context.Context, t *v1alpha1.UploadTenant) ([]Event, error) {
	var list corev1.EventList
	err := s.Client.List(ctx, &list, client.InNamespace(t.Namespace), client.MatchingFieldsSelector{
		Selector: fields.Set{"involvedObject.kind": "UploadTenant", "involvedObject.name": t.Name}.AsSelector(),
	})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	var out []Event
	for _, e := range list.Items {
		if e.InvolvedObject.UID != "" && e.InvolvedObject.UID != t.UID {
			continue // of a tenant of the same name that is gone
		}
		shown := Event{Time: metav1.NewTime(when(&e)), Type: e.Type, Reason: e.Reason, Message: e.Message, Count: max(e.Count, 1)}
		if e.Series != nil {
			shown.Count = e.Series.Count
		}
		out = append(out, shown)
	}
	slices.SortStableFunc(out, func(a, b Event) int { return b.Time.Compare(a.Time.Time) })
	return out[:min(len(out), maxEvents)], nil
}

// when an event happened last, in whichever of its fields tells.
func when(e *corev1.Event) time.Time {
	latest := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.EventTime.Time, e.FirstTimestamp.Time, e.LastTimestamp.Time} {
		if t.After(latest) {
			latest = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(latest) {
		latest = e.Series.LastObservedTime.Time
	}
	return latest
}
