package v1alpha1_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

var api client.Client

func TestMain(m *testing.M) {
	os.Exit(kubeapi.Main(m, func(_ context.Context, cfg *rest.Config) error {
		scheme := runtime.NewScheme()
		if err := v1alpha1.AddToScheme(scheme); err != nil {
			return err
		}
		var err error
		api, err = client.New(cfg, client.Options{Scheme: scheme})
		return err
	}))
}

func tenant() *v1alpha1.UploadTenant {
	return &v1alpha1.UploadTenant{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "album"},
		Spec: v1alpha1.UploadTenantSpec{
			Bucket: v1alpha1.BucketSpec{Name: "family-album", Prefix: "album/"},
			Limits: v1alpha1.LimitsSpec{
				Size:         v1alpha1.SizeLimit{Max: resource.MustParse("20Mi")},
				ContentTypes: []string{"image/jpeg", "video/*"},
			},
			Auth: v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{JWKSURL: "https://id.example.com/jwks.json"}},
		},
	}
}

func account() *v1alpha1.CloudAccount {
	return &v1alpha1.CloudAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: v1alpha1.CloudAccountSpec{
			AccountID:   "1234567890123456",
			Region:      "cn-hangzhou",
			Credentials: v1alpha1.AccountCredentials{Environment: &v1alpha1.EnvironmentCredentials{}},
			OIDC: &v1alpha1.AccountOIDC{
				ProviderARN: "acs:ram::1234567890123456:oidc-provider/ack-rrsa-c1",
				Issuer:      "https://oidc.example.com/c1",
			},
		},
	}
}

// verdict sends the object to the API server without keeping it and returns what the server refuses.
func verdict(t *testing.T, o client.Object) string {
	t.Helper()
	if err := api.Create(t.Context(), o, client.DryRunAll); err != nil {
		return err.Error()
	}
	return ""
}

func check(t *testing.T, got, want string) {
	t.Helper()
	switch {
	case want == "" && got != "":
		t.Errorf("refused: %s", got)
	case want != "" && !strings.Contains(got, want):
		t.Errorf("verdict = %q, want it to contain %q", got, want)
	}
}

func duration(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

func quantity(s string) *resource.Quantity {
	q := resource.MustParse(s)
	return &q
}

func TestUploadTenantValidation(t *testing.T) {
	type change = func(*v1alpha1.UploadTenant)
	tests := map[string]struct {
		change change
		want   string
	}{
		"the smallest tenant": {change: func(*v1alpha1.UploadTenant) {}},
		"a full one": {change: func(t *v1alpha1.UploadTenant) {
			t.Spec.Bucket.CORS = &v1alpha1.CORSSpec{AllowedOrigins: []string{"https://h5.example.com", "http://localhost:5173", "https://*.example.com", "*"}}
			t.Spec.Access.MaxSessionDuration = duration(12 * time.Hour)
			t.Spec.Grant.Expiry = duration(90 * time.Second)
			t.Spec.Callback = &v1alpha1.CallbackSpec{URL: "https://upload.example.com/family/album/callback"}
			t.Spec.Events = &v1alpha1.EventsSpec{URL: "http://api.family.svc:8080/hooks?x=1", SecretRef: v1alpha1.SecretKeyReference{Name: "album-events"}}
			t.Spec.KeyTemplate = "{prefix}照片/{user}/{id}.{ext}"
			t.Spec.Limits.Size.Min = quantity("20Mi")
		}},

		"name too long":       {func(t *v1alpha1.UploadTenant) { t.Name = strings.Repeat("a", 53) }, "metadata.name must have at most 52 characters"},
		"longest name":        {func(t *v1alpha1.UploadTenant) { t.Name = strings.Repeat("a", 52) }, ""},
		"name with a dot":     {func(t *v1alpha1.UploadTenant) { t.Name = "a.b" }, "metadata.name must start with a letter"},
		"name with a digit":   {func(t *v1alpha1.UploadTenant) { t.Name = "1a" }, "metadata.name must start with a letter"},
		"bucket name":         {func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Name = "Family_Album" }, "bucket.name must be 3 to 63 lower-case letters"},
		"shortest bucket":     {func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Name = "abc" }, ""},
		"prefix absolute":     {func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Prefix = "/album/" }, "bucket.prefix must be path segments"},
		"prefix without end":  {func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Prefix = "album" }, "bucket.prefix must be path segments"},
		"prefix with dots":    {func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Prefix = "a/../b/" }, "bucket.prefix must be path segments"},
		"prefix wildcard":     {func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Prefix = "a*/" }, "bucket.prefix must be path segments"},
		"prefix empty":        {func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Prefix = "" }, "bucket.prefix"},
		"prefix of two parts": {func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Prefix = "apps/album.v2/" }, ""},

		"origin with a path":    {withOrigin("https://h5.example.com/app"), "every allowedOrigins entry must be"},
		"origin with a scheme":  {withOrigin("h5.example.com"), "every allowedOrigins entry must be"},
		"origin with two stars": {withOrigin("https://*.*.example.com"), "every allowedOrigins entry must be"},
		"origin with a space":   {withOrigin("https://h5 .example.com"), "every allowedOrigins entry must be"},
		"origins twice": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Bucket.CORS = &v1alpha1.CORSSpec{AllowedOrigins: []string{"*", "*"}}
		}, "Duplicate value"},

		"session too short": {func(t *v1alpha1.UploadTenant) { t.Spec.Access.MaxSessionDuration = duration(59 * time.Minute) }, "access.maxSessionDuration must be a duration between 1h and 12h"},
		"session too long":  {func(t *v1alpha1.UploadTenant) { t.Spec.Access.MaxSessionDuration = duration(13 * time.Hour) }, "access.maxSessionDuration must be a duration between 1h and 12h"},
		"expiry too short":  {func(t *v1alpha1.UploadTenant) { t.Spec.Grant.Expiry = duration(59 * time.Second) }, "grant.expiry must be a duration between 1m and 15m"},
		"expiry too long":   {func(t *v1alpha1.UploadTenant) { t.Spec.Grant.Expiry = duration(16 * time.Minute) }, "grant.expiry must be a duration between 1m and 15m"},

		"size crossed":       {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.Size.Min = quantity("21Mi") }, "limits.size.min must not be larger than limits.size.max"},
		"size negative":      {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.Size.Min = quantity("-1") }, "limits.size.min must not be negative"},
		"size too large":     {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.Size.Max = resource.MustParse("6Gi") }, "limits.size.max must be between 1 and 5Gi"},
		"size zero":          {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.Size.Max = resource.MustParse("0") }, "limits.size.max must be between 1 and 5Gi"},
		"largest size":       {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.Size.Max = resource.MustParse("5Gi") }, ""},
		"type without slash": {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.ContentTypes = []string{"jpeg"} }, "every contentTypes entry must be lower-case type/subtype"},
		"type of all":        {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.ContentTypes = []string{"*/*"} }, "every contentTypes entry must be lower-case type/subtype"},
		"no type":            {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.ContentTypes = []string{} }, "should have at least 1 items"},
		"extension with dot": {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.Extensions = []string{".jpg"} }, "every extensions entry must be lower-case letters and digits"},
		"extension":          {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.Extensions = []string{"jpg", "mp4"} }, ""},

		"template outside prefix": {func(t *v1alpha1.UploadTenant) { t.Spec.KeyTemplate = "x/{prefix}{id}" }, "keyTemplate must start with {prefix}"},
		"template without id":     {func(t *v1alpha1.UploadTenant) { t.Spec.KeyTemplate = "{prefix}{user}" }, "keyTemplate must contain {id}"},
		"template unknown":        {func(t *v1alpha1.UploadTenant) { t.Spec.KeyTemplate = "{prefix}{id}{name}" }, "keyTemplate may only use the placeholders"},
		"template backslash":      {func(t *v1alpha1.UploadTenant) { t.Spec.KeyTemplate = `{prefix}{id}\x` }, "keyTemplate may only use the placeholders"},
		"template newline":        {func(t *v1alpha1.UploadTenant) { t.Spec.KeyTemplate = "{prefix}{id}\n" }, "keyTemplate may only use the placeholders"},

		"no auth": {func(t *v1alpha1.UploadTenant) { t.Spec.Auth.JWT = nil }, "set auth.wechat, auth.jwt or auth.forward"},
		"jwt of two kinds": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Auth.JWT.SecretRef = &v1alpha1.SecretKeyReference{Name: "album-jwt"}
		}, "set exactly one of auth.jwt.secretRef"},
		"jwt of no kind": {func(t *v1alpha1.UploadTenant) { t.Spec.Auth.JWT.JWKSURL = "" }, "set exactly one of auth.jwt.secretRef"},
		"jwt by secret": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Auth.JWT = &v1alpha1.JWTAuth{SecretRef: &v1alpha1.SecretKeyReference{Name: "album-jwt"}}
		}, ""},
		"jwks not a URL":     {func(t *v1alpha1.UploadTenant) { t.Spec.Auth.JWT.JWKSURL = "id.example.com" }, "auth.jwt.jwksURL must be an http(s) URL"},
		"replicas on SQLite": {func(t *v1alpha1.UploadTenant) { t.Spec.Signer.Replicas = new(int32(2)) }, "needs index.postgres"},
		"one on SQLite":      {func(t *v1alpha1.UploadTenant) { t.Spec.Signer.Replicas = new(int32(1)) }, ""},
		"scaling on SQLite": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Signer.Autoscaling = &v1alpha1.AutoscalingSpec{MaxReplicas: 3}
		}, "needs index.postgres"},
		"replicas on PostgreSQL": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Signer.Replicas, t.Spec.Index.Postgres = new(int32(3)), postgres()
		}, ""},
		"scaling on PostgreSQL": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Signer.Autoscaling, t.Spec.Index.Postgres = &v1alpha1.AutoscalingSpec{MaxReplicas: 3}, postgres()
		}, ""},
		"postgres port": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Index.Postgres = postgres()
			t.Spec.Index.Postgres.Port = new(int32(70000))
		}, "less than or equal to 65535"},
		"callback without a path": {withCallback("https://upload.example.com"), "callback.url must be an http(s) URL with a path"},
		"callback with a query":   {withCallback("https://upload.example.com/a?b"), "callback.url must be an http(s) URL with a path"},
		"callback with a user":    {withCallback("https://u:p@upload.example.com/a"), "callback.url must be an http(s) URL with a path"},
		"callback":                {withCallback("https://upload.example.com/"), ""},
		"verification": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Verification = v1alpha1.VerificationSpec{Sniff: ptr.To(true), OnMismatch: v1alpha1.MismatchDelete, Tags: map[string]v1alpha1.TagValue{"checked by": "a/b=c"}, PublicRead: ptr.To(true)}
		}, ""},
		"verification without reading": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Verification, t.Spec.Access.AllowRead = v1alpha1.VerificationSpec{Sniff: ptr.To(true)}, new(bool)
		}, "leave access.allowRead on"},
		"verification without deleting": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Verification, t.Spec.Access.AllowDelete = v1alpha1.VerificationSpec{OnMismatch: v1alpha1.MismatchDelete}, new(bool)
		}, "leave access.allowDelete on"},
		"tracing": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Signer.Tracing = &v1alpha1.TracingSpec{Endpoint: "http://otel-collector.observability.svc:4318"}
		}, ""},
		"tracing without a scheme": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Signer.Tracing = &v1alpha1.TracingSpec{Endpoint: "collector:4318"}
		}, "signer.tracing.endpoint must be an http(s) URL"},
		"tracing with a password": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Signer.Tracing = &v1alpha1.TracingSpec{Endpoint: "http://u:p@collector:4318"}
		}, "signer.tracing.endpoint must be an http(s) URL"},
		"media check": {withMediaCheck(func(*v1alpha1.UploadTenant) {}), ""},
		"media check without WeChat": {withMediaCheck(func(t *v1alpha1.UploadTenant) {
			t.Spec.Auth = v1alpha1.AuthSpec{Forward: &v1alpha1.ForwardAuth{URL: "http://api.family.svc/whoami"}}
		}), "verification.mediaCheck needs auth.wechat"},
		"media check of unionids":     {withMediaCheck(func(t *v1alpha1.UploadTenant) { t.Spec.Auth.WeChat.UserFrom = v1alpha1.WeChatUnionID }), "verification.mediaCheck needs auth.wechat"},
		"media check without reading": {withMediaCheck(func(t *v1alpha1.UploadTenant) { t.Spec.Access.AllowRead = new(bool) }), "leave access.allowRead on"},
		"media check behind referers": {withMediaCheck(func(t *v1alpha1.UploadTenant) {
			t.Spec.Bucket.Referer = &v1alpha1.RefererSpec{Allowed: []string{"https://a/*"}, AllowEmpty: new(bool)}
		}), "leave bucket.referer.allowEmpty on"},
		"media check without Secret":   {withMediaCheck(func(t *v1alpha1.UploadTenant) { t.Spec.Verification.MediaCheck.PushSecretRef.Name = "" }), "pushSecretRef.name"},
		"media check of another scene": {withMediaCheck(func(t *v1alpha1.UploadTenant) { t.Spec.Verification.MediaCheck.Scene = "Diary" }), "Unsupported value"},
		"empty tag": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Verification = v1alpha1.VerificationSpec{Tags: map[string]v1alpha1.TagValue{"": "x"}}
		}, "every key of verification.tags"},
		"strange tag": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Verification = v1alpha1.VerificationSpec{Tags: map[string]v1alpha1.TagValue{"a": "\n"}}
		}, "verification.tags"},
		"events not a URL": {func(t *v1alpha1.UploadTenant) {
			t.Spec.Events = &v1alpha1.EventsSpec{URL: "ftp://x", SecretRef: v1alpha1.SecretKeyReference{Name: "s"}}
		}, "events.url must be an http(s) URL"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := tenant()
			tc.change(o)
			check(t, verdict(t, o), tc.want)
		})
	}
}

func postgres() *v1alpha1.PostgresSpec {
	return &v1alpha1.PostgresSpec{SecretRef: v1alpha1.SecretKeyReference{Name: "album-db"}}
}

func withOrigin(origin string) func(*v1alpha1.UploadTenant) {
	return func(t *v1alpha1.UploadTenant) {
		t.Spec.Bucket.CORS = &v1alpha1.CORSSpec{AllowedOrigins: []string{origin}}
	}
}

func withCallback(url string) func(*v1alpha1.UploadTenant) {
	return func(t *v1alpha1.UploadTenant) { t.Spec.Callback = &v1alpha1.CallbackSpec{URL: url} }
}

func TestUploadTenantImmutability(t *testing.T) {
	stored := tenant()
	if err := api.Create(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*v1alpha1.UploadTenant)
		want   string
	}{
		"bucket name":   {func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Name = "another" }, "bucket.name is immutable"},
		"bucket prefix": {func(t *v1alpha1.UploadTenant) { t.Spec.Bucket.Prefix = "other/" }, "bucket.prefix is immutable"},
		"account":       {func(t *v1alpha1.UploadTenant) { t.Spec.AccountRef.Name = "other" }, "accountRef is immutable"},
		"anything else": {func(t *v1alpha1.UploadTenant) { t.Spec.Limits.Extensions = []string{"jpg"} }, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := stored.DeepCopy()
			tc.change(o)
			got := ""
			if err := api.Update(t.Context(), o, client.DryRunAll); err != nil {
				got = err.Error()
			}
			check(t, got, tc.want)
		})
	}
}

func TestCloudAccountValidation(t *testing.T) {
	tests := map[string]struct {
		change func(*v1alpha1.CloudAccount)
		want   string
	}{
		"the smallest account": {change: func(*v1alpha1.CloudAccount) {}},
		"a full one": {change: func(a *v1alpha1.CloudAccount) {
			a.Spec.Credentials = v1alpha1.AccountCredentials{OIDC: &v1alpha1.OIDCCredentials{RoleARN: "acs:ram::1234567890123456:role/uploadtenant-manager"}}
			a.Spec.Endpoints = v1alpha1.AccountEndpoints{OSS: "http://10.0.0.1:9000", RAM: "https://ram.aliyuncs.com", STS: "http://emulator.cloud.svc:9001", Upload: "http://127.0.0.1:9000"}
			a.Spec.CallbackKeys = []string{"https://gosspublic.alicdn.com/", "http://emulator:9000/_emulator/"}
		}},
		"account id":     {func(a *v1alpha1.CloudAccount) { a.Spec.AccountID = "my-account" }, "accountID must be the numeric id"},
		"region of OSS":  {func(a *v1alpha1.CloudAccount) { a.Spec.Region = "oss-cn-hangzhou" }, "region must be a general region id"},
		"no credentials": {func(a *v1alpha1.CloudAccount) { a.Spec.Credentials.Environment = nil }, "set exactly one of credentials.oidc"},
		"two credentials": {func(a *v1alpha1.CloudAccount) {
			a.Spec.Credentials.SecretRef = &v1alpha1.LocalSecretReference{Name: "s"}
		}, "set exactly one of credentials.oidc"},
		"role ARN": {func(a *v1alpha1.CloudAccount) {
			a.Spec.Credentials = v1alpha1.AccountCredentials{OIDC: &v1alpha1.OIDCCredentials{RoleARN: "manager"}}
		}, "credentials.oidc.roleARN must be the ARN"},
		"provider ARN":        {func(a *v1alpha1.CloudAccount) { a.Spec.OIDC.ProviderARN = "ack-rrsa" }, "oidc.providerARN must be the ARN"},
		"issuer over http":    {func(a *v1alpha1.CloudAccount) { a.Spec.OIDC.Issuer = "http://issuer" }, "oidc.issuer must be an https URL"},
		"endpoint with path":  {func(a *v1alpha1.CloudAccount) { a.Spec.Endpoints.OSS = "https://oss/x" }, "endpoints.oss must be an http(s) base URL"},
		"endpoint of ram":     {func(a *v1alpha1.CloudAccount) { a.Spec.Endpoints.RAM = "ram.aliyuncs.com" }, "endpoints.ram must be an http(s) base URL"},
		"endpoint of sts":     {func(a *v1alpha1.CloudAccount) { a.Spec.Endpoints.STS = "sts.aliyuncs.com" }, "endpoints.sts must be an http(s) base URL"},
		"endpoint of uploads": {func(a *v1alpha1.CloudAccount) { a.Spec.Endpoints.Upload = "https://u@h" }, "endpoints.upload must be an http(s) base URL"},
		"callback key prefix": {func(a *v1alpha1.CloudAccount) { a.Spec.CallbackKeys = []string{"https://gosspublic.alicdn.com"} }, "every callbackKeys entry must be"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := account()
			tc.change(o)
			check(t, verdict(t, o), tc.want)
		})
	}
}

func TestCloudAccountImmutability(t *testing.T) {
	stored := account()
	if err := api.Create(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*v1alpha1.CloudAccount)
		want   string
	}{
		"account id":    {func(a *v1alpha1.CloudAccount) { a.Spec.AccountID = "123456" }, "accountID is immutable"},
		"region":        {func(a *v1alpha1.CloudAccount) { a.Spec.Region = "cn-beijing" }, "region is immutable"},
		"anything else": {func(a *v1alpha1.CloudAccount) { a.Spec.Endpoints.OSS = "https://oss-cn-hangzhou-internal.aliyuncs.com" }, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := stored.DeepCopy()
			tc.change(o)
			got := ""
			if err := api.Update(t.Context(), o, client.DryRunAll); err != nil {
				got = err.Error()
			}
			check(t, got, tc.want)
		})
	}
}

// TestDefaultsAreThoseOfTheCRD keeps Default, which serves files that never saw an API server, alike.
func TestDefaultsAreThoseOfTheCRD(t *testing.T) {
	full := tenant()
	full.Spec.Bucket.CORS = &v1alpha1.CORSSpec{AllowedOrigins: []string{"*"}}
	full.Spec.Auth.JWT = &v1alpha1.JWTAuth{SecretRef: &v1alpha1.SecretKeyReference{Name: "s"}}
	full.Spec.Events = &v1alpha1.EventsSpec{URL: "https://api.example.com/", SecretRef: v1alpha1.SecretKeyReference{Name: "s"}}
	full.Spec.Verification = v1alpha1.VerificationSpec{Sniff: ptr.To(true)}
	for name, o := range map[string]*v1alpha1.UploadTenant{"smallest": tenant(), "full": full} {
		o.Name = "default-" + name
		byCode := o.DeepCopy()
		byCode.Default()
		if err := api.Create(t.Context(), o, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(o.Spec, byCode.Spec); diff != "" {
			t.Errorf("%s tenant (-CRD +code):\n%s", name, diff)
		}
	}
	a := account()
	a.Name = "defaults"
	byCode := a.DeepCopy()
	byCode.Default()
	if err := api.Create(t.Context(), a, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Spec, byCode.Spec); diff != "" {
		t.Errorf("account (-CRD +code):\n%s", diff)
	}
}

// withMediaCheck is a tenant that asks WeChat, changed.
func withMediaCheck(change func(*v1alpha1.UploadTenant)) func(*v1alpha1.UploadTenant) {
	return func(t *v1alpha1.UploadTenant) {
		t.Spec.Auth = *withWeChat(func(*v1alpha1.WeChatAuth) {})
		t.Spec.Verification.MediaCheck = &v1alpha1.MediaCheckSpec{PushSecretRef: v1alpha1.LocalSecretReference{Name: "album-push"}}
		change(t)
	}
}
