package signerconfig_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// The signer does what verification asks for, and its role gets the rights for that and no others.
func TestVerificationAndItsRights(t *testing.T) {
	tests := map[string]struct {
		spec                           v1alpha1.VerificationSpec
		want                           config.Verification
		wantTag, wantACL, wantReadTags bool
	}{
		"none":       {},
		"quarantine": {spec: v1alpha1.VerificationSpec{Sniff: ptr.To(true)}, want: config.Verification{Sniff: true}, wantTag: true},
		"delete":     {spec: v1alpha1.VerificationSpec{Sniff: ptr.To(true), OnMismatch: v1alpha1.MismatchDelete}, want: config.Verification{Sniff: true, Delete: true}},
		"tags": {spec: v1alpha1.VerificationSpec{OnMismatch: v1alpha1.MismatchDelete, Tags: map[string]v1alpha1.TagValue{"a": "b"}},
			want: config.Verification{Delete: true, Tags: map[string]string{"a": "b"}}, wantTag: true},
		"media check": {spec: v1alpha1.VerificationSpec{OnMismatch: v1alpha1.MismatchDelete, MediaCheck: &v1alpha1.MediaCheckSpec{PushSecretRef: v1alpha1.LocalSecretReference{Name: "push"}}},
			want: config.Verification{Delete: true, MediaCheck: &config.MediaCheck{Scene: 4, PushTokenFile: "/etc/uploadtenant/secrets/push/token", PushAESKeyFile: "/etc/uploadtenant/secrets/push/encodingAESKey"}}, wantTag: true, wantReadTags: true},
		"lenient media check": {spec: v1alpha1.VerificationSpec{MediaCheck: &v1alpha1.MediaCheckSpec{Scene: v1alpha1.MediaSceneComment, OnReview: v1alpha1.MediaAccept, OnUnanswered: v1alpha1.MediaAccept}},
			want: config.Verification{MediaCheck: &config.MediaCheck{Scene: 2, PushTokenFile: "/etc/uploadtenant/secrets/push/token", PushAESKeyFile: "/etc/uploadtenant/secrets/push/encodingAESKey",
				AcceptReview: true, AcceptUnanswered: true}}, wantTag: true, wantReadTags: true},
		"public": {spec: v1alpha1.VerificationSpec{PublicRead: ptr.To(true)}, want: config.Verification{ACL: "public-read"}, wantACL: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tenant, account := objects()
			tenant.Spec.Verification = tc.spec
			if tc.spec.MediaCheck != nil {
				tenant.Spec.Auth.WeChat = &v1alpha1.WeChatAuth{AppID: "wx1", SecretRef: v1alpha1.SecretKeyReference{Name: "s"}}
			}
			tenant.Default()
			got := signerconfig.Build(tenant, account, "acs:ram::1:role/r")
			if diff := cmp.Diff(tc.want, got.Verification); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := got.Validate(); err != nil {
				t.Errorf("the signer would refuse it: %v", err)
			}
			access := signerconfig.Access(tenant, account)
			if access.Tag != tc.wantTag || access.SetACL != tc.wantACL || access.ReadTags != tc.wantReadTags {
				t.Errorf("rights: tags %t, ACL %t, reading tags %t; want %t, %t and %t", access.Tag, access.SetACL, access.ReadTags, tc.wantTag, tc.wantACL, tc.wantReadTags)
			}
		})
	}
}

// Events reach private addresses only when the URL itself names a Service, or the tenant says so.
func TestPrivateAddressesNeedAWord(t *testing.T) {
	tests := map[string]struct {
		url            string
		allow          bool
		wantPublicOnly bool
	}{
		"public name":        {"https://api.example.com/hook", false, true},
		"private address":    {"http://10.0.0.1/hook", false, true},
		"allowed":            {"http://10.0.0.1/hook", true, false},
		"Service":            {"http://app.family.svc/hook", false, false},
		"Service, long":      {"http://app.family.svc.cluster.local:8080/hook", false, false},
		"Service, bare":      {"http://app/hook", false, false},
		"two labels":         {"http://app.family/hook", false, true},
		"a pod's name":       {"http://10-0-0-1.family.pod.cluster.local/", false, true},
		"deeper name":        {"http://a.b.c.svc/hook", false, true},
		"address as number":  {"http://2130706433/hook", false, true},
		"localhost":          {"http://localhost/hook", false, true},
		"IPv6":               {"http://[::1]/hook", false, true},
		"metadata service":   {"http://100.100.100.200/latest", false, true},
		"looks like Service": {"http://app.family.svc.example.com/", false, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tenant, account := objects()
			tenant.Spec.Events.URL, tenant.Spec.Events.AllowPrivateAddresses = tc.url, &tc.allow
			if got := signerconfig.Build(tenant, account, "acs:ram::1:role/r").Events.PublicOnly; got != tc.wantPublicOnly {
				t.Errorf("PublicOnly = %t, want %t", got, tc.wantPublicOnly)
			}
		})
	}
}
