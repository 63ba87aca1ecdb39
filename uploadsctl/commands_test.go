package uploadsctl_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

// contains fails unless text holds every part.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

func TestStatusTellsWhatIsReadyAndWhatIsNot(t *testing.T) {
	p := newPerson(t)
	p.create(p.newTenant("good"))
	p.await("good", v1alpha1.ConditionReady, v1alpha1.ReasonAsDeclared)
	all := func(ctx context.Context) error { return p.Status(ctx, uploadsctl.StatusOptions{}) }
	contains(t, p.says(nil, all), "good", "True", "AsDeclared", "bucket-"+p.Namespace+"/good/", "http://good-signer."+p.Namespace+".svc", "1/1")

	p.create(p.newTenant("waits", withoutSecret))
	p.await("waits", v1alpha1.ConditionReady, v1alpha1.ReasonSecretNotFound)
	contains(t, p.says(uploadsctl.ErrNo, all), "waits is not ready (SecretNotFound)", "Secret album-jwt", "-> create the Secret")

	one := func(name string, out uploadsctl.Output) func(context.Context) error {
		return func(ctx context.Context) error {
			return p.Status(ctx, uploadsctl.StatusOptions{Name: name, Output: out})
		}
	}
	contains(t, p.says(uploadsctl.ErrNo, one("waits", uploadsctl.Text)), "is not Ready", "CONDITION", "BucketReady", "AccessReady", "Reconciling")
	p.eventually(func() bool { // the event follows the status, in a write of its own
		return strings.Contains(p.says(nil, one("good", uploadsctl.Text)), "EVENT")
	})
	contains(t, p.says(nil, one("good", uploadsctl.Text)), "is Ready", "EVENT", "the tenant takes uploads", "acs:ram::")
	var told uploadsctl.Tenant
	if err := json.Unmarshal([]byte(p.says(nil, one("good", uploadsctl.JSON))), &told); err != nil {
		t.Fatal(err)
	}
	if told.Ready != metav1.ConditionTrue || told.Bucket != "bucket-"+p.Namespace || len(told.Conditions) < 4 || len(told.Events) == 0 || told.Replicas != 1 {
		t.Errorf("-o json: %+v", told)
	}
	contains(t, p.says(errTrouble, one("bad", uploadsctl.Text)), `no UploadTenant "bad"`, "kubectl uploads status -A")
	contains(t, p.says(uploadsctl.ErrNo, func(ctx context.Context) error {
		return p.Status(ctx, uploadsctl.StatusOptions{AllNamespaces: true, Output: uploadsctl.Wide})
	}), "NAMESPACE", p.Namespace, "ACCOUNT", "Full")
}

func TestReconcileWaitsForTheController(t *testing.T) {
	p := newPerson(t)
	p.create(p.newTenant("album"))
	before := p.await("album", v1alpha1.ConditionReady, v1alpha1.ReasonAsDeclared)
	contains(t, p.says(nil, func(ctx context.Context) error { return p.Reconcile(ctx, "album", wait()) }), "album is ready")
	after := p.await("album", v1alpha1.ConditionReady, v1alpha1.ReasonAsDeclared)
	if after.Status.LastHandledReconcileAt == before.Status.LastHandledReconcileAt {
		t.Error("the controller was not asked")
	}
	contains(t, p.says(nil, func(ctx context.Context) error {
		return p.Reconcile(ctx, "album", uploadsctl.WaitOptions{})
	}), "was asked")

	p.create(p.newTenant("stalled", func(t *v1alpha1.UploadTenant) { t.Spec.AccountRef.Name = "absent" }))
	contains(t, p.says(uploadsctl.ErrNo, func(ctx context.Context) error { return p.Reconcile(ctx, "stalled", wait()) }), "AccountNotFound")
}

// A tenant that still waits when the time is over is told with what it waits for, not as a silent controller.
func TestReconcileTellsWhatATenantStillWaitsFor(t *testing.T) {
	p := newPerson(t)
	moment := time.Now()
	p.Now = func() time.Time { return moment } // the same request twice, so that it is known to be handled
	p.create(p.newTenant("waits", withoutSecret))
	if err := p.Reconcile(t.Context(), "waits", uploadsctl.WaitOptions{}); err != nil {
		t.Fatal(err)
	}
	p.eventually(func() bool {
		tenant := p.await("waits", v1alpha1.ConditionReady, v1alpha1.ReasonSecretNotFound)
		return tenant.Status.LastHandledReconcileAt != "" && tenant.Status.ObservedGeneration == tenant.Generation
	})
	contains(t, p.says(uploadsctl.ErrNo, func(ctx context.Context) error {
		return p.Reconcile(ctx, "waits", uploadsctl.WaitOptions{Wait: true, Timeout: patience / 6})
	}), "waits is not ready (SecretNotFound)", "album-jwt")
}

func TestPauseAndResumeKeepTheManagementPolicy(t *testing.T) {
	for name, policy := range map[string]v1alpha1.ManagementPolicy{"full": v1alpha1.ManagementFull, "observe": v1alpha1.ManagementObserve} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			p.create(p.newTenant("album", func(t *v1alpha1.UploadTenant) { t.Spec.ManagementPolicy = policy }))
			pause := func(ctx context.Context) error { return p.Pause(ctx, "album", wait()) }
			resume := func(ctx context.Context) error { return p.Resume(ctx, "album", wait()) }
			contains(t, p.says(nil, resume), "is not paused")
			contains(t, p.says(nil, pause), "is paused", "kubectl uploads resume album -n "+p.Namespace)
			contains(t, p.says(nil, pause), "paused already")
			p.await("album", v1alpha1.ConditionPaused, v1alpha1.ReasonPausedByTenant)
			contains(t, p.says(errTrouble, func(ctx context.Context) error { return p.Reconcile(ctx, "album", wait()) }), "is paused", "kubectl uploads resume")
			want := map[v1alpha1.ManagementPolicy]error{v1alpha1.ManagementFull: nil, v1alpha1.ManagementObserve: uploadsctl.ErrNo}[policy]
			contains(t, p.says(want, resume), "goes on with managementPolicy "+string(policy))
			var got v1alpha1.UploadTenant
			if err := api.Get(t.Context(), client.ObjectKey{Namespace: p.Namespace, Name: "album"}, &got); err != nil {
				t.Fatal(err)
			}
			if got.Spec.ManagementPolicy != policy || got.Annotations[v1alpha1.AnnotationResumePolicy] != "" {
				t.Errorf("after resume: %s, %v", got.Spec.ManagementPolicy, got.Annotations)
			}
		})
	}
}

// A tenant that its namespace pauses cannot be resumed or reconciled by itself, and the command says so at once.
func TestPausedNamespaceIsTold(t *testing.T) {
	p := newPerson(t)
	p.create(p.newTenant("album"))
	p.await("album", v1alpha1.ConditionReady, v1alpha1.ReasonAsDeclared)
	namespace := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+v1alpha1.AnnotationPaused+`":"true"}}}`))
	if err := api.Patch(t.Context(), namespace, patch); err != nil {
		t.Fatal(err)
	}
	p.await("album", v1alpha1.ConditionPaused, v1alpha1.ReasonPausedByNamespace)
	remedy := "kubectl annotate namespace " + p.Namespace + " " + v1alpha1.AnnotationPaused + "-"
	contains(t, p.says(errTrouble, func(ctx context.Context) error { return p.Resume(ctx, "album", wait()) }), remedy)
	contains(t, p.says(errTrouble, func(ctx context.Context) error { return p.Reconcile(ctx, "album", wait()) }), remedy)
	contains(t, p.says(nil, func(ctx context.Context) error {
		return p.Status(ctx, uploadsctl.StatusOptions{Name: "album"})
	}), "is Ready (PausedByNamespace)", remedy)
}

func TestPlanShowsWhatFullWouldDo(t *testing.T) {
	p := newPerson(t)
	plan := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			return p.Plan(ctx, uploadsctl.PlanOptions{Name: name, Refresh: true, Timeout: patience})
		}
	}
	p.create(p.newTenant("album"))
	p.await("album", v1alpha1.ConditionReady, v1alpha1.ReasonAsDeclared)
	contains(t, p.says(errTrouble, plan("album")), "managementPolicy Full", `'{"spec":{"managementPolicy":"Observe"}}'`)

	p.create(p.newTenant("planned", observed))
	contains(t, p.says(uploadsctl.ErrNo, plan("planned")), "OPERATION", "ram:CreateRole", "apply", "Deployment planned-signer", "changes are pending", `"Full"`)
	contains(t, p.says(uploadsctl.ErrNo, func(ctx context.Context) error {
		return p.Status(ctx, uploadsctl.StatusOptions{Name: "planned"})
	}), "Pending changes", "kubectl uploads plan planned -n "+p.Namespace)

	// What is as declared has no plan.
	change := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"managementPolicy":"Observe"}}`))
	if err := api.Patch(t.Context(), p.newTenant("album"), change); err != nil {
		t.Fatal(err)
	}
	contains(t, p.says(nil, plan("album")), "nothing would be changed")
}

func TestOrphansAreSearchedAndShown(t *testing.T) {
	p := newPerson(t)
	p.create(p.newTenant("left"))
	tenant := p.await("left", v1alpha1.ConditionReady, v1alpha1.ReasonAsDeclared)
	role := tenant.Status.Role.ARN[strings.LastIndex(tenant.Status.Role.ARN, "/")+1:]
	search := func(ctx context.Context) error {
		return p.Orphans(ctx, uploadsctl.OrphansOptions{Refresh: true, Timeout: patience})
	}
	if text := p.says(nil, search); strings.Contains(text, role) {
		t.Errorf("the role of a tenant is told as an orphan:\n%s", text)
	}
	// A tenant that is only observed leaves the cloud alone when it goes.
	change := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"managementPolicy":"Observe"}}`))
	if err := api.Patch(t.Context(), tenant, change); err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	p.eventually(func() bool {
		return apierrors.IsNotFound(api.Get(t.Context(), client.ObjectKeyFromObject(tenant), &v1alpha1.UploadTenant{}))
	})
	contains(t, p.says(uploadsctl.ErrNo, search), role, p.Namespace+"/left", "Role", "Policy", "CloudAccount default")
	p.create(p.newTenant("left"))
	p.await("left", v1alpha1.ConditionReady, v1alpha1.ReasonAsDeclared)
	contains(t, p.says(nil, search), "CloudAccount default has no orphans")
}

// Who may not do something learns what to ask for.
func TestMissingRightsAreExplained(t *testing.T) {
	p := newPerson(t)
	p.create(p.newTenant("album", observed))
	p.await("album", v1alpha1.ConditionReady, v1alpha1.ReasonPlanPending)
	nobody := rest.CopyConfig(cluster)
	nobody.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	var err error
	if p.Client, err = uploadsctl.NewClient(nobody); err != nil {
		t.Fatal(err)
	}
	contains(t, p.says(errTrouble, func(ctx context.Context) error { return p.Status(ctx, uploadsctl.StatusOptions{}) }), "forbidden", "ask for the role")
	contains(t, p.says(errTrouble, func(ctx context.Context) error {
		return p.Orphans(ctx, uploadsctl.OrphansOptions{})
	}), "platform team")
	p.Config = nobody
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "album-signer-0"}}
	contains(t, p.says(errTrouble, func(ctx context.Context) error {
		_, err := p.Forward(ctx, pod, 8081)
		return err
	}), "may not forward ports in namespace "+p.Namespace, "pods/portforward")

	// A reader sees the plan of the last look.
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "reader", Namespace: p.Namespace},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"uploadtenants"}, Verbs: []string{"get", "list"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader", Namespace: p.Namespace},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "nobody"}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
	}
	for _, o := range []client.Object{role, binding} {
		if err := api.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	text := ""
	p.eventually(func() bool {
		p.out.Reset()
		p.log.Reset()
		_ = p.Plan(t.Context(), uploadsctl.PlanOptions{Name: "album", Refresh: true, Timeout: patience})
		text = p.out.String() + p.log.String()
		return strings.Contains(text, "ram:CreateRole")
	})
	contains(t, text, "may not ask for a new look")
	contains(t, p.says(uploadsctl.ErrNo, func(ctx context.Context) error {
		return p.Status(ctx, uploadsctl.StatusOptions{Name: "album"})
	}), "events are left out", "PlanPending")
}
