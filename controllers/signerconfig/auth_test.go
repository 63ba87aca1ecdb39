package signerconfig_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

func TestBuildTranslatesEveryAuthenticationChoice(t *testing.T) {
	seconds := func(n int64) *int64 { return &n }
	count := func(n int32) *int32 { return &n }
	tests := map[string]struct {
		spec v1alpha1.AuthSpec
		want config.Auth
	}{
		"nothing": {},
		"jwt by keys": {
			v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{JWKSURL: "https://id/jwks", Issuer: "https://id", UserClaim: "uid", RequiredClaims: map[string]string{"roles": "uploader"}}},
			config.Auth{JWT: &config.JWT{JWKSURL: "https://id/jwks", Issuer: "https://id", UserClaim: "uid", RequiredClaims: map[string]string{"roles": "uploader"}}},
		},
		"wechat with defaults, beside jwt": {
			v1alpha1.AuthSpec{
				WeChat: &v1alpha1.WeChatAuth{AppID: "wx1", SecretRef: v1alpha1.SecretKeyReference{Name: "s"}},
				JWT:    &v1alpha1.JWTAuth{SecretRef: &v1alpha1.SecretKeyReference{Name: "j"}},
			},
			config.Auth{
				WeChat: &config.WeChat{AppID: "wx1", SecretFile: "/etc/uploadtenant/secrets/wechat/secret", SessionDuration: 7200, UserFrom: "OpenID", FailedLoginsPerMinute: 60},
				JWT:    &config.JWT{HS256SecretFile: "/etc/uploadtenant/secrets/jwt/secret", UserClaim: "sub"},
			},
		},
		"wechat with everything": {
			v1alpha1.AuthSpec{WeChat: &v1alpha1.WeChatAuth{AppID: "wx1", SecretRef: v1alpha1.SecretKeyReference{Name: "s", Key: "k"}, UserFrom: v1alpha1.WeChatUnionID,
				SessionDuration: &metav1.Duration{Duration: time.Hour}, FailedLoginsPerMinute: count(5), Endpoint: "http://emulator:9001"}},
			config.Auth{WeChat: &config.WeChat{AppID: "wx1", SecretFile: "/etc/uploadtenant/secrets/wechat/secret", SessionDuration: 3600, UserFrom: "UnionID",
				FailedLoginsPerMinute: 5, BaseURL: "http://emulator:9001"}},
		},
		"forward with defaults": {
			v1alpha1.AuthSpec{Forward: &v1alpha1.ForwardAuth{URL: "http://api/whoami"}},
			config.Auth{Forward: &config.Forward{URL: "http://api/whoami", CacheSeconds: seconds(30)}},
		},
		"forward without a cache": {
			v1alpha1.AuthSpec{Forward: &v1alpha1.ForwardAuth{URL: "http://api/whoami", UserField: "data.id", CacheSeconds: count(0)}},
			config.Auth{Forward: &config.Forward{URL: "http://api/whoami", UserField: "data.id", CacheSeconds: seconds(0)}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tenant, account := objects()
			tenant.Spec.Auth = test.spec
			tenant.Default()
			got := signerconfig.Build(tenant, account, "acs:ram::1:role/r")
			if diff := cmp.Diff(test.want, got.Auth); diff != "" {
				t.Errorf("authentication (-want +got):\n%s", diff)
			}
			if err := got.Validate(); err != nil {
				t.Errorf("the signer would refuse it: %v", err)
			}
		})
	}
}
