package controllers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/sts"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

func TestBucketSettings(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album", func(t *v1alpha1.UploadTenant) {
		t.Spec.Bucket.ACL = v1alpha1.ACLPublicRead
		t.Spec.Bucket.StorageClass = "IA"
		t.Spec.Bucket.Encryption = &v1alpha1.EncryptionSpec{Algorithm: "KMS", KMSKeyID: "key-1"}
		t.Spec.Bucket.Referer = &v1alpha1.RefererSpec{Allowed: []string{"https://servicewechat.com/wx1/*"}, AllowEmpty: ptr.To(false)}
		t.Spec.Bucket.Lifecycle.Temporary = &v1alpha1.TemporarySpec{Prefix: "tmp/", AfterDays: 1}
		t.Spec.Bucket.UploadHost = "upload.example.com"
		t.Spec.Access.AdditionalStatements = []v1alpha1.PolicyStatement{{Effect: "Allow", Actions: []string{"oss:GetObjectTagging"}, Keys: []string{"public/*"}}}
	})
	w.create(tenant)
	w.awaitReady(tenant)
	name := tenant.Spec.Bucket.Name
	state := w.cloud.State()
	got := state.Settings[name]
	got.Created, got.OwnerID = time.Time{}, ""
	want := cloud.Bucket{Name: name, Region: "cn-hangzhou", ACL: "public-read", StorageClass: "IA", Encryption: cloud.Encryption{Algorithm: "KMS", KMSKeyID: "key-1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(cloud.Referer{Allowed: []string{"https://servicewechat.com/wx1/*"}}, state.Referer[name]); diff != "" {
		t.Errorf("referer (-want +got):\n%s", diff)
	}
	owner := policy.Owner{Cluster: clusterID, Namespace: w.namespace, Name: "album"}
	wantRules := policy.LifecycleRules(owner, policy.Lifecycle{Prefix: "album/", AbortMultipartDays: 7, TemporaryPrefix: "tmp/", TemporaryDays: 1})
	if !policy.SameLifecycle(wantRules, state.Lifecycle[name]) {
		t.Errorf("lifecycle = %+v, want %+v", state.Lifecycle[name], wantRules)
	}
	if document := state.Policies[w.role(tenant)].Document; !strings.Contains(document, name+"/album/public/*") {
		t.Errorf("policy document = %s", document)
	}
	if tenant.Status.Bucket.UploadURL != "https://upload.example.com" {
		t.Errorf("upload URL = %s", tenant.Status.Bucket.UploadURL)
	}

	// Closing again goes in the other order.
	w.cloud.Reset()
	w.patch(tenant, `{"spec":{"bucket":{"acl":"Private"}}}`)
	w.eventually(func() string {
		return cmp.Diff([]string{"oss:PutBucketAcl", "oss:PutBucketPublicAccessBlock"}, operations(w))
	})
	w.awaitReady(tenant)
}

func operations(w *world) []string {
	var out []string
	for _, c := range w.cloud.Writes() {
		out = append(out, c.Operation)
	}
	return out
}

func TestBucketSettingsOfTheOldestTenantHold(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	older := w.tenant("a")
	w.create(older)
	w.awaitReady(older)
	younger := w.tenant("b", func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.ACL = v1alpha1.ACLPublicRead })
	w.create(younger)
	got := w.awaitCondition(younger, v1alpha1.ConditionBucketReady, metav1.ConditionFalse, v1alpha1.ReasonBucketSettingsConflict)
	if !strings.Contains(got.Message, "bucket.acl") {
		t.Errorf("message = %q", got.Message)
	}
	w.patch(younger, `{"spec":{"bucket":{"acl":"Private"}}}`)
	w.awaitReady(younger)
}

func TestStatementsOutsideThePrefixAreRefused(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album", func(t *v1alpha1.UploadTenant) {
		t.Spec.Access.AdditionalStatements = []v1alpha1.PolicyStatement{{Effect: "Allow", Actions: []string{"oss:PutBucketAcl"}, Keys: []string{"*"}}}
	})
	w.create(tenant)
	w.awaitCondition(tenant, v1alpha1.ConditionAccessReady, metav1.ConditionFalse, v1alpha1.ReasonPolicyInvalid)
	w.patch(tenant, `{"spec":{"access":{"additionalStatements":null}}}`)
	w.awaitReady(tenant)
}

func TestDeleteIfEmpty(t *testing.T) {
	for name, tc := range map[string]struct{ objects, wantBucket bool }{"empty": {}, "with an object": {true, true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.create(w.account)
			tenant := w.tenant("album", func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.DeletionPolicy = v1alpha1.DeletionDeleteIfEmpty })
			w.create(tenant)
			w.awaitReady(tenant)
			if tc.objects {
				w.cloud.AddObject(tenant.Spec.Bucket.Name)
			}
			w.remove(tenant)
			w.gone(tenant)
			if _, there := w.cloud.State().Buckets[tenant.Spec.Bucket.Name]; there != tc.wantBucket {
				t.Errorf("bucket is there: %t, want %t", there, tc.wantBucket)
			}
		})
	}
}

func (w *world) gone(o client.Object) {
	w.Helper()
	w.eventually(func() string {
		if w.get(o) {
			return "it is still there"
		}
		return ""
	})
	reasons.seen(o, nil)
}

func TestObserveWritesNothingAndTellsThePlan(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album", withOrigins("https://h5.example.com"), func(t *v1alpha1.UploadTenant) {
		t.Spec.ManagementPolicy = v1alpha1.ManagementObserve
	})
	w.create(tenant)
	w.awaitCondition(tenant, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPlanPending)
	var planned []string
	for _, change := range tenant.Status.Plan {
		planned = append(planned, change.Operation+" "+change.Resource)
	}
	role, bucket := w.role(tenant), tenant.Spec.Bucket.Name
	want := []string{
		"oss:PutBucket " + bucket, "oss:PutBucketTagging " + bucket, "oss:PutBucketCors " + bucket, "oss:PutBucketLifecycle " + bucket,
		"ram:CreatePolicy " + role, "ram:CreateRole " + role, "ram:AttachPolicyToRole " + role,
		"create Secret album-signer-tickets", "apply ServiceAccount album-signer", "apply ConfigMap album-signer",
		"apply NetworkPolicy album-signer", "apply Deployment album-signer", "apply Service album-signer",
	}
	if diff := cmp.Diff(want, planned); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if writes := w.cloud.Writes(); len(writes) > 0 {
		t.Errorf("cloud writes: %v", writes)
	}
	if len(tenant.Finalizers) > 0 {
		t.Errorf("finalizers: %v", tenant.Finalizers)
	}
	if w.get(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}}) {
		t.Error("a Deployment was made")
	}
	w.patch(tenant, `{"spec":{"managementPolicy":"Full"}}`)
	w.awaitReady(tenant)
	if len(tenant.Status.Plan) > 0 {
		t.Errorf("plan is left: %v", tenant.Status.Plan)
	}
	w.patch(tenant, `{"spec":{"managementPolicy":"Observe"}}`)
	w.awaitReady(tenant) // nothing is pending
}

func TestPause(t *testing.T) {
	tests := map[string]struct {
		pause, resume func(*world, *v1alpha1.UploadTenant)
		reason        string
	}{
		"by the tenant": {
			func(w *world, t *v1alpha1.UploadTenant) { w.patch(t, `{"spec":{"managementPolicy":"Paused"}}`) },
			func(w *world, t *v1alpha1.UploadTenant) { w.patch(t, `{"spec":{"managementPolicy":"Full"}}`) },
			v1alpha1.ReasonPausedByTenant,
		},
		"by the namespace": {
			func(w *world, _ *v1alpha1.UploadTenant) { w.annotateNamespace(`"true"`) },
			func(w *world, _ *v1alpha1.UploadTenant) { w.annotateNamespace("null") },
			v1alpha1.ReasonPausedByNamespace,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.create(w.account)
			tenant := w.tenant("album")
			w.create(tenant)
			w.awaitReady(tenant)
			tc.pause(w, tenant)
			w.eventually(func() string {
				w.get(tenant)
				for _, c := range tenant.Status.Conditions {
					if c.Type == v1alpha1.ConditionPaused && c.Reason == tc.reason {
						return ""
					}
				}
				return "not paused"
			})
			reasons.awaited(tenant, v1alpha1.ConditionPaused, tc.reason)
			w.cloud.Reset()
			w.patch(tenant, `{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"now"}},"spec":{"access":{"allowDelete":false}}}`)
			tc.resume(w, tenant)
			w.awaitReady(tenant)
			w.eventually(func() string { return cmp.Diff([]string{"ram:CreatePolicyVersion"}, operations(w)) })
			for _, c := range tenant.Status.Conditions {
				if c.Type == v1alpha1.ConditionPaused {
					t.Errorf("still told as paused: %+v", c)
				}
			}
		})
	}
}

func (w *world) annotateNamespace(value string) {
	w.patch(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}},
		`{"metadata":{"annotations":{"oss.uploadtenant.io/paused":`+value+`}}}`)
}

func TestDriftIsTold(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	counted := w.metric("uploadtenant_drift_repaired_total", map[string]string{})
	w.cloud.RemoveRole(w.role(tenant))
	w.patch(tenant, `{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"now"}}}`)
	w.awaitEvent(tenant.Name, v1alpha1.ReasonDriftRepaired, "ram:CreateRole "+w.role(tenant))
	w.eventually(func() string {
		if got := w.metric("uploadtenant_drift_repaired_total", map[string]string{}); got != counted+2 {
			return fmt.Sprintf("counted %v changes, want the role and its attachment", got-counted)
		}
		return ""
	})
}

func TestSignerObjectsFollowTheSpec(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album", func(t *v1alpha1.UploadTenant) {
		t.Spec.Callback = &v1alpha1.CallbackSpec{URL: "https://upload.example.com/family/album/callback"}
		t.Spec.Signer.Autoscaling = &v1alpha1.AutoscalingSpec{MaxReplicas: 5}
		t.Spec.Index.Postgres = &v1alpha1.PostgresSpec{SecretRef: v1alpha1.SecretKeyReference{Name: "album-db", Key: "uri"}}
		t.Spec.Signer.Exposure = &v1alpha1.ExposureSpec{Ingress: &v1alpha1.IngressSpec{ClassName: "nginx", TLSSecretName: "upload-tls"}}
	})
	w.create(tenant)
	w.awaitReady(tenant)
	at := metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}
	ingress, pdb, hpa := &networkingv1.Ingress{ObjectMeta: at}, &policyv1.PodDisruptionBudget{ObjectMeta: at}, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: at}
	network := &networkingv1.NetworkPolicy{ObjectMeta: at}
	for _, o := range []client.Object{ingress, pdb, hpa, network} {
		if !w.get(o) {
			t.Fatalf("no %T", o)
		}
	}
	rule := ingress.Spec.Rules[0]
	var paths []string
	for _, p := range rule.HTTP.Paths {
		paths = append(paths, string(*p.PathType)+" "+p.Path)
	}
	if diff := cmp.Diff([]string{"Prefix /v1/", "Exact /openapi.json", "Exact /family/album/callback"}, paths); diff != "" || rule.Host != "upload.example.com" {
		t.Errorf("host %s, paths (-want +got):\n%s", rule.Host, diff)
	}
	if hpa.Spec.MaxReplicas != 5 || *hpa.Spec.MinReplicas != 1 {
		t.Errorf("autoscaler = %+v", hpa.Spec)
	}

	// The autoscaler owns the replicas.
	d := w.deployment("album")
	before := d.DeepCopy()
	d.Spec.Replicas = ptr.To(int32(3))
	if err := w.Patch(t.Context(), d, client.MergeFrom(before), client.FieldOwner("hpa")); err != nil {
		t.Fatal(err)
	}
	w.patch(tenant, `{"spec":{"limits":{"filesPerRequest":5}}}`)
	w.awaitReady(tenant)
	if got := *w.deployment("album").Spec.Replicas; got != 3 {
		t.Errorf("replicas = %d, want the autoscaler's 3", got)
	}

	w.patch(tenant, `{"spec":{"signer":{"autoscaling":null,"exposure":null,"networkPolicy":"Off"}}}`)
	for _, o := range []client.Object{ingress, pdb, hpa, network} {
		w.gone(o)
	}
	w.awaitReady(tenant)
}

func TestGatewayNeedsItsCRDs(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album", func(t *v1alpha1.UploadTenant) {
		t.Spec.Signer.Exposure = &v1alpha1.ExposureSpec{Host: "upload.example.com", Gateway: &v1alpha1.GatewaySpec{Name: "public"}}
	})
	w.create(tenant)
	w.awaitCondition(tenant, v1alpha1.ConditionSignerReady, metav1.ConditionFalse, v1alpha1.ReasonGatewayAPIMissing)
	w.patch(tenant, `{"spec":{"signer":{"exposure":null}}}`)
	w.awaitReady(tenant)
}

func TestBrokeredSession(t *testing.T) {
	w := newWorld(t)
	w.account.Spec.OIDC = nil
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer-session"}}
	if !w.get(secret) {
		t.Fatal("no session")
	}
	cred, err := sts.ParseSession(secret.Data["credentials.json"])
	if err != nil || !strings.HasPrefix(cred.AccessKeyID, "STS.") || time.Until(cred.Expires) < 50*time.Minute {
		t.Errorf("session = %s, err = %v", cred, err)
	}
	trust := w.cloud.State().Roles[w.role(tenant)].TrustDocument
	if !policy.Equivalent(trust, policy.BrokeredTrustDocument("acs:ram::"+w.account.Spec.AccountID+":user/manager").JSON()) {
		t.Errorf("trust document = %s", trust)
	}
	for _, v := range w.deployment("album").Spec.Template.Spec.Volumes {
		if v.Name == "oidc" {
			t.Error("the pod gets a token that nobody takes")
		}
	}
	w.remove(tenant)
	w.gone(tenant)
	w.gone(secret)
}

// TestBrokeredSessionWaitsForItsRole: what keeps the role from being made is told once, where it belongs.
func TestBrokeredSessionWaitsForItsRole(t *testing.T) {
	w := newWorld(t)
	w.account.Spec.OIDC = nil
	w.create(w.account)
	w.cloud.Hook(func(c cloudtest.Call) error {
		if c.Operation == "ram:CreateRole" {
			return &cloud.Error{Class: cloud.Denied, Operation: c.Operation, Resource: c.Resource, Code: "NoPermission"}
		}
		return nil
	}, nil)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitCondition(tenant, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPermissionDenied)
	waits := w.awaitCondition(tenant, v1alpha1.ConditionSignerReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing)
	if !strings.Contains(waits.Message, v1alpha1.ConditionAccessReady) {
		t.Errorf("message = %q, want it to point at AccessReady", waits.Message)
	}
	w.cloud.Hook(nil, nil)
	w.awaitReady(tenant)
}

// TestBrokeredSessionIsRenewedInTime lets STS give short sessions. The next one must be there while the one
// before still opens the bucket, without asking more often than that.
func TestBrokeredSessionIsRenewedInTime(t *testing.T) {
	w := newWorld(t)
	w.account.Spec.OIDC = nil
	// Half of it is what a busy machine has for the renewal.
	const life = 40 * time.Second
	w.cloud.SessionLife = life
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	current := func() sts.Credential {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer-session"}}
		if !w.get(secret) {
			t.Fatal("no session")
		}
		cred, err := sts.ParseSession(secret.Data["credentials.json"])
		if err != nil {
			t.Fatal(err)
		}
		return cred
	}
	first, began := current(), time.Now()
	w.cloud.Reset()

	// A fresh look, as after a restart, finds a session that needs no renewal.
	w.patch(tenant, `{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"now"}}}`)
	w.eventually(func() string {
		if w.get(tenant); tenant.Status.LastHandledReconcileAt != "now" {
			return "the request was not handled"
		}
		return ""
	})
	w.eventually(func() string {
		if current().AccessKeyID == first.AccessKeyID {
			return "the session was not renewed"
		}
		return ""
	})
	if late := time.Since(first.Expires); late > 0 {
		t.Errorf("the session was renewed %s after it ended", late)
	}
	asked := 0
	for _, c := range w.cloud.Calls() {
		if c.Operation == "sts:AssumeRole" {
			asked++
		}
	}
	// What is stored of the time is cut to the second. A slow machine may see the next renewal too.
	if most := 1 + int(time.Since(began)/(life/2-time.Second)); asked > most {
		t.Errorf("%d sessions were asked for in %s, want %d at most", asked, time.Since(began), most)
	}
}

func TestTenancy(t *testing.T) {
	tests := map[string]v1alpha1.TenancySpec{
		"namespace": {Namespaces: []string{"other-*"}},
		"bucket":    {BucketNames: []string{"{namespace}-*"}},
		"prefix":    {Prefix: "{namespace}/"},
	}
	for name, tenancy := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.account.Spec.Tenancy = &tenancy
			w.create(w.account)
			tenant := w.tenant("album")
			w.create(tenant)
			w.awaitCondition(tenant, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotAllowed)
			if writes := w.cloud.Writes(); len(writes) > 0 {
				t.Errorf("cloud writes: %v", writes)
			}
			w.patch(w.account, `{"spec":{"tenancy":{"namespaces":["team-*"],"bucketNames":["bucket-{namespace}"],"prefix":null}}}`)
			w.awaitReady(tenant)
		})
	}
}

func TestTicketKeysRotateInTwoSteps(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album")
	w.create(tenant)
	w.awaitReady(tenant)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer-tickets"}}
	keys := func() signerobjects.TicketKeys {
		if !w.get(secret) {
			t.Fatal("no ticket keys")
		}
		parsed, err := signerobjects.ParseTicketKeys(secret.Data[signerobjects.TicketKeysKey])
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	first := keys()

	// Hold the rollout, so that the first step can be seen.
	w.patch(w.deployment("album"), `{"metadata":{"annotations":{"`+kubeapi.AnnotationHold+`":"1"}}}`)
	w.patch(secret, `{"metadata":{"annotations":{"oss.uploadtenant.io/rotated":"2020-01-01T00:00:00Z"}}}`)
	w.patch(tenant, `{"metadata":{"annotations":{"oss.uploadtenant.io/reconcile-at":"now"}}}`)
	w.eventually(func() string {
		if got := keys(); len(got.Keys) != 2 || got.Current != first.Current {
			return "the next key is not there beside the current one"
		}
		return ""
	})
	w.eventually(func() string {
		if w.deployment("album").Spec.Template.Annotations[signerobjects.AnnotationTicketKeys] != keys().Identity() {
			return "the pods were not told"
		}
		return ""
	})
	w.patch(w.deployment("album"), `{"metadata":{"annotations":{"`+kubeapi.AnnotationHold+`":null}}}`)
	w.eventually(func() string {
		got := keys()
		if len(got.Keys) != 2 || got.Current == first.Current || got.Keys[first.Current] != first.Keys[first.Current] {
			return "the next key is not the current one, with the old one kept"
		}
		return ""
	})
	w.awaitReady(tenant)
}
