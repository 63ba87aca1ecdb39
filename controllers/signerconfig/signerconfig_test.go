package signerconfig_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

func objects() (*v1alpha1.UploadTenant, *v1alpha1.CloudAccount) {
	tenant := &v1alpha1.UploadTenant{
		ObjectMeta: metav1.ObjectMeta{Namespace: "family", Name: "album", UID: "uid-1"},
		Spec: v1alpha1.UploadTenantSpec{
			Bucket:   v1alpha1.BucketSpec{Name: "family-album", Prefix: "album/", CORS: &v1alpha1.CORSSpec{AllowedOrigins: []string{"https://h5.example.com"}}},
			Limits:   v1alpha1.LimitsSpec{Size: v1alpha1.SizeLimit{Max: resource.MustParse("20Mi")}, ContentTypes: []string{"image/*"}, Extensions: []string{"jpg"}},
			Auth:     v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{SecretRef: &v1alpha1.SecretKeyReference{Name: "album-jwt"}, Audience: "uploads"}},
			Callback: &v1alpha1.CallbackSpec{URL: "https://upload.example.com/family/album/callback"},
			Events:   &v1alpha1.EventsSpec{URL: "https://api.example.com/hooks", SecretRef: v1alpha1.SecretKeyReference{Name: "album-events"}},
		},
	}
	account := &v1alpha1.CloudAccount{Spec: v1alpha1.CloudAccountSpec{
		AccountID: "1", Region: "cn-hangzhou", OIDC: &v1alpha1.AccountOIDC{ProviderARN: "acs:ram::1:oidc-provider/p", Issuer: "https://issuer"},
	}}
	tenant.Default()
	account.Default()
	return tenant, account
}

func TestBuild(t *testing.T) {
	tenant, account := objects()
	got := signerconfig.Build(tenant, account, "acs:ram::1:role/r")
	want := config.Config{
		Fixed: config.Fixed{
			Tenant:    "family/album",
			TenantUID: "uid-1",
			Bucket: config.Bucket{
				Name: "family-album", Region: "cn-hangzhou", Prefix: "album/",
				Endpoint: "https://oss-cn-hangzhou.aliyuncs.com", UploadURL: "https://family-album.oss-cn-hangzhou.aliyuncs.com",
			},
			Credentials: config.Credentials{
				RoleARN: "acs:ram::1:role/r", OIDCProviderARN: "acs:ram::1:oidc-provider/p", TokenFile: "/var/run/secrets/uploadtenant/oidc/token",
				STSEndpoint: "https://sts.cn-hangzhou.aliyuncs.com", SessionDuration: 3600,
			},
			Auth:           config.Auth{JWT: &config.JWT{HS256SecretFile: "/etc/uploadtenant/secrets/jwt/secret", Audience: "uploads", UserClaim: "sub"}},
			Callback:       config.Callback{URL: "https://upload.example.com/family/album/callback", KeyURLPrefixes: []string{"https://gosspublic.alicdn.com/", "http://gosspublic.alicdn.com/"}},
			Events:         &config.Events{URL: "https://api.example.com/hooks", SecretFile: "/etc/uploadtenant/secrets/events/secret", PublicOnly: true},
			TicketKeysFile: "/etc/uploadtenant/tickets/keys.json",
			Index:          config.Index{SQLitePath: "/var/lib/uploadtenant/index.db"},
		},
		Live: config.Live{
			Limits:         config.Limits{MinSize: 1, MaxSize: 20 << 20, ContentTypes: []string{"image/*"}, Extensions: []string{"jpg"}, FilesPerRequest: 20},
			KeyTemplate:    "{prefix}{user}/{yyyy}/{mm}/{dd}/{id}.{ext}",
			Grant:          config.Grant{Signature: "V4", Expiry: 300},
			AllowedOrigins: []string{"https://h5.example.com"},
			Reads:          config.Reads{MaxExpiresIn: 3600},
			Deduplication:  "User",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Errorf("the signer would refuse it: %v", err)
	}
}

func TestPostgresReplacesTheEmbeddedDatabase(t *testing.T) {
	tenant, account := objects()
	tenant.Spec.Index.Postgres = &v1alpha1.PostgresSpec{SecretRef: v1alpha1.SecretKeyReference{Name: "album-db", Key: "uri"}}
	got := signerconfig.Build(tenant, account, "acs:ram::1:role/r")
	if want := (config.Index{PostgresDSNFile: "/etc/uploadtenant/secrets/index/dsn"}); got.Index != want {
		t.Errorf("index = %+v, want %+v", got.Index, want)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	tests := map[string]struct {
		endpoints  v1alpha1.AccountEndpoints
		wantUpload string
		wantTLS    bool
	}{
		"public":                 {wantUpload: "https://family-album.oss-cn-hangzhou.aliyuncs.com", wantTLS: true},
		"inside the VPC":         {endpoints: v1alpha1.AccountEndpoints{OSS: "https://oss-cn-hangzhou-internal.aliyuncs.com"}, wantUpload: "https://family-album.oss-cn-hangzhou.aliyuncs.com", wantTLS: true},
		"VPC over plain http":    {endpoints: v1alpha1.AccountEndpoints{OSS: "http://oss-cn-hangzhou-internal.aliyuncs.com"}, wantUpload: "https://family-album.oss-cn-hangzhou.aliyuncs.com"},
		"emulator":               {endpoints: v1alpha1.AccountEndpoints{OSS: "http://emulator:9000"}, wantUpload: "http://emulator:9000/family-album"},
		"emulator seen outside":  {endpoints: v1alpha1.AccountEndpoints{OSS: "http://emulator:9000", Upload: "http://127.0.0.1:9000"}, wantUpload: "http://127.0.0.1:9000/family-album"},
		"look-alike of aliyuncs": {endpoints: v1alpha1.AccountEndpoints{OSS: "https://notaliyuncs.com"}, wantUpload: "https://notaliyuncs.com/family-album", wantTLS: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tenant, account := objects()
			account.Spec.Endpoints = tc.endpoints
			if got := signerconfig.UploadURL(tenant, account); got != tc.wantUpload {
				t.Errorf("upload URL = %s, want %s", got, tc.wantUpload)
			}
			if got := signerconfig.RequiresTLS(tenant, account); got != tc.wantTLS {
				t.Errorf("requires TLS = %t, want %t", got, tc.wantTLS)
			}
		})
	}
}

func TestBuildTranslatesUsageReadsAndVerification(t *testing.T) {
	tenant, account := objects()
	requests, expiry, on := int32(120), int32(60), true
	bytes := resource.MustParse("2Gi")
	tenant.Spec.Limits.PerUser = v1alpha1.UsageLimits{RequestsPerMinute: &requests, BytesPerDay: &bytes}
	tenant.Spec.Grant.AllowPrefix, tenant.Spec.Grant.Signature = &on, v1alpha1.SignatureV1
	tenant.Spec.Deduplication.Scope = v1alpha1.DeduplicationTenant
	tenant.Spec.Reads = v1alpha1.ReadsSpec{MaxExpirySeconds: &expiry, Processes: []string{"style/thumb"}}
	tenant.Spec.Verification = v1alpha1.VerificationSpec{Sniff: &on, OnMismatch: v1alpha1.MismatchDelete}
	got := signerconfig.Build(tenant, account, "acs:ram::1:role/r")
	want := got
	want.Limits.PerUser = config.Usage{RequestsPerMinute: 120, BytesPerDay: 2 << 30}
	want.Grant.AllowPrefix, want.Grant.Signature = true, "V1"
	want.Deduplication = "Tenant"
	want.Reads = config.Reads{MaxExpiresIn: 60, Processes: []string{"style/thumb"}}
	want.Verification = config.Verification{Sniff: true, Delete: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Errorf("the signer would refuse it: %v", err)
	}
}
