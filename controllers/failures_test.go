package controllers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
	"github.com/uploadtenant/uploadtenant/policy"
)

// TestFailuresAreToldAndHeal makes each failure, awaits its condition, checks that independent parts went
// on, removes the cause outside the tenant, and awaits Ready.
func TestFailuresAreToldAndHeal(t *testing.T) {
	const (
		bucketReady = v1alpha1.ConditionBucketReady
		accessReady = v1alpha1.ConditionAccessReady
		signerReady = v1alpha1.ConditionSignerReady
	)
	owner := func(w *world) policy.Owner {
		return policy.Owner{Cluster: clusterID, Namespace: w.namespace, Name: "album"}
	}
	failing := func(op string, class cloud.Class, code string) func(*world, *v1alpha1.UploadTenant) {
		return func(w *world, _ *v1alpha1.UploadTenant) {
			w.cloud.Hook(func(c cloudtest.Call) error {
				if c.Operation == op {
					return &cloud.Error{Class: class, Operation: op, Resource: c.Resource, Code: code, RequestID: "R-1"}
				}
				return nil
			}, nil)
		}
	}
	unhook := func(w *world, _ *v1alpha1.UploadTenant) { w.cloud.Hook(nil, nil) }

	tests := map[string]struct {
		cause         func(*world, *v1alpha1.UploadTenant)
		cure          func(*world, *v1alpha1.UploadTenant)
		wantCondition string
		wantReason    string
		wantMessage   string
		wantStillTrue []string
		wantStalled   bool
	}{
		"OSS is unreachable": {
			cause: failing("oss:GetBucketInfo", cloud.Retryable, ""), cure: unhook,
			wantCondition: bucketReady, wantReason: v1alpha1.ReasonCloudUnavailable,
			wantMessage:   "oss:GetBucketInfo bucket-",
			wantStillTrue: []string{signerReady},
		},
		"the manager may not read the bucket": {
			cause: failing("oss:GetBucketInfo", cloud.Denied, "AccessDenied"), cure: unhook,
			wantCondition: bucketReady, wantReason: v1alpha1.ReasonPermissionDenied, wantStalled: true,
			wantStillTrue: []string{signerReady},
		},
		"too many buckets": {
			cause: failing("oss:PutBucket", cloud.Quota, "TooManyBuckets"), cure: unhook,
			wantCondition: bucketReady, wantReason: v1alpha1.ReasonQuotaExceeded, wantStalled: true,
			wantStillTrue: []string{signerReady},
		},
		"OSS asks to slow down": {
			cause: failing("oss:PutBucketCors", cloud.Throttled, "TooManyRequests"), cure: unhook,
			wantCondition: bucketReady, wantReason: v1alpha1.ReasonThrottled,
			wantStillTrue: []string{accessReady, signerReady},
		},
		"a role without rights": {
			cause: failing("ram:CreateRole", cloud.Denied, "NoPermission"), cure: unhook,
			wantCondition: accessReady, wantReason: v1alpha1.ReasonPermissionDenied, wantStalled: true,
			wantMessage:   "ram:CreateRole",
			wantStillTrue: []string{bucketReady, signerReady},
		},
		"bucket of another account": {
			cause: func(w *world, tenant *v1alpha1.UploadTenant) {
				b := w.bucket(tenant.Spec.Bucket.Name)
				b.OwnerID = "9"
				w.cloud.AddBucket(b, nil)
			},
			cure: func(w *world, tenant *v1alpha1.UploadTenant) {
				w.cloud.AddBucket(w.bucket(tenant.Spec.Bucket.Name), map[string]string{policy.BucketOwnerTag: clusterID})
			},
			wantCondition: bucketReady, wantReason: v1alpha1.ReasonBucketOwnedByOther, wantStalled: true,
			wantStillTrue: []string{signerReady},
		},
		"bucket of another cluster": {
			cause: func(w *world, tenant *v1alpha1.UploadTenant) {
				w.cloud.AddBucket(w.bucket(tenant.Spec.Bucket.Name), map[string]string{policy.BucketOwnerTag: "cluster-two"})
			},
			cure: func(w *world, tenant *v1alpha1.UploadTenant) {
				w.cloud.AddBucket(w.bucket(tenant.Spec.Bucket.Name), map[string]string{policy.BucketOwnerTag: clusterID})
			},
			wantCondition: bucketReady, wantReason: v1alpha1.ReasonBucketOwnedByOther, wantStalled: true,
			wantMessage: "cluster-two", wantStillTrue: []string{signerReady},
		},
		"bucket that nobody gave to the cluster": {
			cause: func(w *world, tenant *v1alpha1.UploadTenant) {
				w.cloud.AddBucket(w.bucket(tenant.Spec.Bucket.Name), map[string]string{"team": "photo"})
			},
			cure: func(w *world, tenant *v1alpha1.UploadTenant) {
				w.patch(tenant, `{"spec":{"bucket":{"adoption":"IfUnowned"}}}`)
			},
			wantCondition: bucketReady, wantReason: v1alpha1.ReasonBucketNotOwned, wantStalled: true,
			wantMessage: "IfUnowned", wantStillTrue: []string{signerReady},
		},
		"bucket in another region": {
			cause: func(w *world, tenant *v1alpha1.UploadTenant) {
				b := w.bucket(tenant.Spec.Bucket.Name)
				b.Region = "cn-beijing"
				w.cloud.AddBucket(b, map[string]string{policy.BucketOwnerTag: clusterID})
			},
			cure: func(w *world, tenant *v1alpha1.UploadTenant) {
				w.cloud.AddBucket(w.bucket(tenant.Spec.Bucket.Name), map[string]string{policy.BucketOwnerTag: clusterID})
			},
			wantCondition: bucketReady, wantReason: v1alpha1.ReasonBucketInOtherRegion, wantStalled: true,
			wantStillTrue: []string{signerReady},
		},
		"bucket full of CORS rules": {
			cause: func(w *world, tenant *v1alpha1.UploadTenant) {
				var rules []policy.CORSRule
				for i := range policy.MaxCORSRules {
					rules = append(rules, policy.CORSRule{AllowedOrigins: []string{fmt.Sprintf("https://%d.example.com", i)}, AllowedMethods: []string{"GET"}})
				}
				w.cloud.AddBucket(w.bucket(tenant.Spec.Bucket.Name), map[string]string{policy.BucketOwnerTag: clusterID}, rules...)
			},
			cure: func(w *world, tenant *v1alpha1.UploadTenant) {
				w.cloud.AddBucket(w.bucket(tenant.Spec.Bucket.Name), map[string]string{policy.BucketOwnerTag: clusterID})
			},
			wantCondition: bucketReady, wantReason: v1alpha1.ReasonCORSRulesExceeded, wantStalled: true,
			wantStillTrue: []string{accessReady, signerReady},
		},
		"bucket full of lifecycle rules": {
			cause: func(w *world, tenant *v1alpha1.UploadTenant) {
				var rules []policy.LifecycleRule
				for i := range policy.MaxLifecycleRules {
					rules = append(rules, policy.LifecycleRule{ID: fmt.Sprint("by-hand-", i), Prefix: fmt.Sprint("logs/", i, "/"), Enabled: true, ExpireDays: 30})
				}
				w.cloud.AddBucket(w.bucket(tenant.Spec.Bucket.Name), map[string]string{policy.BucketOwnerTag: clusterID})
				w.cloud.SetLifecycle(tenant.Spec.Bucket.Name, rules)
			},
			cure:          func(w *world, tenant *v1alpha1.UploadTenant) { w.cloud.SetLifecycle(tenant.Spec.Bucket.Name, nil) },
			wantCondition: bucketReady, wantReason: v1alpha1.ReasonLifecycleRulesExceeded, wantStalled: true,
			wantMessage:   "1000 rules of others",
			wantStillTrue: []string{accessReady, signerReady},
		},
		"something that is on its way": {
			cause: failing("ram:CreateRole", cloud.Waiting, ""), cure: unhook,
			wantCondition: accessReady, wantReason: v1alpha1.ReasonProgressing,
			wantStillTrue: []string{bucketReady, signerReady},
		},
		"an object of somebody else": {
			cause: failing("ram:CreatePolicy", cloud.Conflict, "SomethingNew"), cure: unhook,
			wantCondition: accessReady, wantReason: v1alpha1.ReasonConflict, wantStalled: true,
			wantStillTrue: []string{bucketReady, signerReady},
		},
		"a request that RAM refuses": {
			cause: failing("ram:CreatePolicy", cloud.Invalid, "MalformedPolicyDocument"),
			cure: func(w *world, tenant *v1alpha1.UploadTenant) {
				w.cloud.Hook(nil, nil)
				w.patch(tenant, `{"spec":{"access":{"allowDelete":false}}}`) // only another spec helps
			},
			wantCondition: accessReady, wantReason: v1alpha1.ReasonInvalidRequest, wantStalled: true,
			wantStillTrue: []string{bucketReady, signerReady},
		},
		"a role that is gone again": {
			cause: failing("ram:AttachPolicyToRole", cloud.Retryable, "EntityNotExist.Role"), cure: unhook,
			wantCondition: accessReady, wantReason: v1alpha1.ReasonCloudUnavailable,
			wantStillTrue: []string{bucketReady, signerReady},
		},
		"role of somebody else": {
			cause: func(w *world, _ *v1alpha1.UploadTenant) {
				w.cloud.AddRole(cloud.Role{Name: owner(w).ResourceName(), Description: "made by hand"})
			},
			cure:          func(w *world, _ *v1alpha1.UploadTenant) { w.cloud.RemoveRole(owner(w).ResourceName()) },
			wantCondition: accessReady, wantReason: v1alpha1.ReasonRoleOwnedByOther, wantStalled: true,
			wantStillTrue: []string{bucketReady, signerReady},
		},
		"missing Secret": {
			cause: func(w *world, tenant *v1alpha1.UploadTenant) {
				tenant.Spec.Auth.JWT = &v1alpha1.JWTAuth{SecretRef: &v1alpha1.SecretKeyReference{Name: "album-jwt"}}
			},
			cure: func(w *world, _ *v1alpha1.UploadTenant) {
				w.create(&corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-jwt"},
					Data:       map[string][]byte{"secret": []byte(strings.Repeat("x", 32))},
				})
			},
			wantCondition: signerReady, wantReason: v1alpha1.ReasonSecretNotFound,
			wantMessage: "auth.jwt.secretRef", wantStillTrue: []string{bucketReady, accessReady},
		},
		"missing AppSecret": {
			cause: func(w *world, tenant *v1alpha1.UploadTenant) {
				tenant.Spec.Auth.WeChat = &v1alpha1.WeChatAuth{AppID: "wx1", SecretRef: v1alpha1.SecretKeyReference{Name: "album-wechat", Key: "appsecret"}}
				w.create(&corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-wechat"},
					Data:       map[string][]byte{"other": []byte("x")},
				})
			},
			cure: func(w *world, _ *v1alpha1.UploadTenant) {
				w.remove(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-wechat"}})
				w.create(&corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-wechat"},
					Data:       map[string][]byte{"appsecret": []byte("x")},
				})
			},
			wantCondition: signerReady, wantReason: v1alpha1.ReasonSecretNotFound,
			wantMessage: "auth.wechat.secretRef", wantStillTrue: []string{bucketReady, accessReady},
		},
		"ticket keys that are none": {
			cause: func(w *world, _ *v1alpha1.UploadTenant) {
				w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer-tickets"}})
			},
			cure: func(w *world, _ *v1alpha1.UploadTenant) {
				w.remove(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer-tickets"}})
			},
			wantCondition: signerReady, wantReason: v1alpha1.ReasonTicketKeysInvalid, wantStalled: true,
			wantStillTrue: []string{bucketReady, accessReady},
		},
		"a ServiceAccount of somebody else": {
			cause: func(w *world, _ *v1alpha1.UploadTenant) {
				w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}})
			},
			cure: func(w *world, _ *v1alpha1.UploadTenant) {
				theirs := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}}
				if w.get(theirs); len(theirs.OwnerReferences) > 0 || len(theirs.Labels) > 0 {
					w.Errorf("the tenant took it: %+v", theirs.ObjectMeta)
				}
				w.remove(theirs)
			},
			wantCondition: signerReady, wantReason: v1alpha1.ReasonConflict, wantStalled: true,
			wantMessage: "ServiceAccount album-signer", wantStillTrue: []string{bucketReady, accessReady},
		},
		"a Service that another controller labelled like ours": {
			cause: func(w *world, _ *v1alpha1.UploadTenant) {
				w.create(&corev1.Service{
					ObjectMeta: metav1.ObjectMeta{
						Namespace: w.namespace, Name: "album-signer",
						Labels:          map[string]string{signerobjects.LabelManagedBy: signerobjects.ManagedBy, signerobjects.LabelInstance: "album"},
						OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: "u", Controller: ptr.To(true)}},
					},
					Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}},
				})
			},
			cure: func(w *world, _ *v1alpha1.UploadTenant) {
				theirs := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "album-signer"}}
				if w.get(theirs); len(theirs.OwnerReferences) != 1 || theirs.Spec.Ports[0].Port != 1 {
					w.Errorf("the tenant took it: %+v", theirs)
				}
				w.remove(theirs)
			},
			wantCondition: signerReady, wantReason: v1alpha1.ReasonConflict, wantStalled: true,
			wantMessage: "Service album-signer", wantStillTrue: []string{bucketReady, accessReady},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(w.account)
			tenant := w.tenant("album", withOrigins("https://h5.example.com"))
			tc.cause(w, tenant)
			w.create(tenant)

			got := w.awaitCondition(tenant, tc.wantCondition, metav1.ConditionFalse, tc.wantReason)
			if !strings.Contains(got.Message, tc.wantMessage) {
				t.Errorf("message = %q, want it to contain %q", got.Message, tc.wantMessage)
			}
			if strings.Contains(got.Message, "R-1") {
				t.Errorf("message %q holds a request id", got.Message)
			}
			for _, part := range tc.wantStillTrue {
				w.awaitCondition(tenant, part, metav1.ConditionTrue, v1alpha1.ReasonAsDeclared)
			}
			sum, wantSum := v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled
			if tc.wantStalled {
				sum = wantSum
			}
			w.awaitCondition(tenant, sum, metav1.ConditionTrue, tc.wantReason)
			w.awaitCondition(tenant, v1alpha1.ConditionReady, metav1.ConditionFalse, tc.wantReason)

			tc.cure(w, tenant)
			w.awaitReady(tenant)
		})
	}
}

func TestPrefixBelongsToTheOlderTenant(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	older := w.tenant("older", func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Prefix = "photos/" })
	w.create(older)
	w.awaitReady(older)
	// Creation times have a resolution of one second, so the name decides here as well: "younger" > "older".
	younger := w.tenant("younger", func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Prefix = "photos/2026/" })
	w.create(younger)
	w.awaitCondition(younger, v1alpha1.ConditionBucketReady, metav1.ConditionFalse, v1alpha1.ReasonPrefixTaken)
	w.awaitCondition(younger, v1alpha1.ConditionAccessReady, metav1.ConditionFalse, v1alpha1.ReasonBucketNotReady)
	role := policy.Owner{Cluster: clusterID, Namespace: w.namespace, Name: "younger"}.ResourceName()
	if _, ok := w.cloud.State().Roles[role]; ok {
		t.Error("a tenant without a prefix of its own got a role")
	}
	w.remove(older)
	w.awaitReady(younger)
}

// TestFailuresThatDifferOnlyByRequestID is the promise that a failing cloud does not make the API server
// work: one status write, however often it fails.
func TestFailuresThatDifferOnlyByRequestID(t *testing.T) {
	w := newWorld(t)
	w.create(w.account)
	tenant := w.tenant("album")
	failures := 0
	w.cloud.Hook(func(c cloudtest.Call) error {
		if c.Operation != "ram:GetPolicy" {
			return nil
		}
		failures++
		return &cloud.Error{
			Class: cloud.Retryable, Operation: c.Operation, Resource: c.Resource, Code: "InternalError",
			RequestID: fmt.Sprint("request-", failures), ServerMessage: fmt.Sprint("failed at ", failures), Err: errors.New(fmt.Sprint(failures)),
		}
	}, nil)
	w.create(tenant)
	w.awaitCondition(tenant, v1alpha1.ConditionAccessReady, metav1.ConditionFalse, v1alpha1.ReasonCloudUnavailable)
	w.awaitCondition(tenant, v1alpha1.ConditionSignerReady, metav1.ConditionTrue, v1alpha1.ReasonAsDeclared)
	settled := tenant.Status.DeepCopy()

	const retries = 50
	for i := range retries {
		before := len(w.cloud.Calls())
		w.patch(tenant, fmt.Sprintf(`{"metadata":{"annotations":{"test/try":"%d"}}}`, i))
		patched := tenant.ResourceVersion
		w.eventually(func() string {
			if len(w.cloud.Calls()) == before {
				return "no new attempt"
			}
			return ""
		})
		// The write that must not come would follow the attempt at once; the next round gives it time too.
		if w.get(tenant); tenant.ResourceVersion != patched {
			t.Fatalf("attempt %d wrote to the tenant: %s", i, cmp.Diff(settled, &tenant.Status))
		}
	}
	if diff := cmp.Diff(settled, &tenant.Status); diff != "" {
		t.Errorf("status changed (-before +after):\n%s", diff)
	}
}

func (w *world) remove(o client.Object) {
	w.Helper()
	if err := w.Delete(w.Context(), o); err != nil {
		w.Fatalf("delete %T %s: %v", o, o.GetName(), err)
	}
}

func (w *world) patch(o client.Object, patch string) {
	w.Helper()
	if err := w.Patch(w.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.Fatalf("patch %T %s: %v", o, o.GetName(), err)
	}
}
