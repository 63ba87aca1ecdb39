package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/uploadtenant/uploadtenant/config/crd"
)

const tenant = `
apiVersion: oss.uploadtenant.io/v1alpha1
kind: UploadTenant
metadata: {name: album, namespace: family}
spec:
  bucket: {name: family-album, prefix: album/}
  limits:
    size: {max: 20Mi}
    contentTypes: [image/jpeg]
`

const account = `
---
apiVersion: oss.uploadtenant.io/v1alpha1
kind: CloudAccount
metadata: {name: default}
spec:
  accountID: "1234567890123456"
  region: cn-shanghai
  credentials: {environment: {}}
  oidc: {providerARN: "acs:ram::1234567890123456:oidc-provider/c1", issuer: https://issuer.example.com}
`

const secret = `
---
apiVersion: v1
kind: Secret
metadata: {name: album-events, namespace: family}
data: {secret: b2xk, other: eA==}
stringData: {secret: new}
`

func TestParseFillsDefaults(t *testing.T) {
	m, err := Parse(t.Context(), strings.NewReader(tenant))
	if err != nil {
		t.Fatal(err)
	}
	spec := m.Tenant.Spec
	if got, want := spec.KeyTemplate, "{prefix}{user}/{yyyy}/{mm}/{dd}/{id}.{ext}"; got != want {
		t.Errorf("keyTemplate = %q, want %q", got, want)
	}
	if spec.Limits.FilesPerRequest == nil || *spec.Limits.FilesPerRequest != 20 {
		t.Errorf("limits.filesPerRequest = %v, want 20", spec.Limits.FilesPerRequest)
	}
	if got := spec.Limits.Size.Max.Value(); got != 20<<20 {
		t.Errorf("limits.size.max = %d, want %d", got, 20<<20)
	}
	if spec.Limits.Size.Min == nil || spec.Limits.Size.Min.Value() != 1 {
		t.Errorf("limits.size.min = %v, want 1", spec.Limits.Size.Min)
	}
	if spec.AccountRef.Name != "default" {
		t.Errorf("accountRef.name = %q, want default", spec.AccountRef.Name)
	}
	if m.Account != nil {
		t.Errorf("account = %v, want none", m.Account.Name)
	}
}

func TestParseReadsAllDocuments(t *testing.T) {
	file := "# a leading comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: family}\n---\n" + tenant + account + secret
	m, err := Parse(t.Context(), strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if m.Account == nil || m.Account.Spec.Region != "cn-shanghai" {
		t.Errorf("account = %+v, want the one of the file", m.Account)
	}
	wantSecrets := map[string]map[string][]byte{"album-events": {"secret": []byte("new"), "other": []byte("x")}}
	if diff := cmp.Diff(wantSecrets, m.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Namespace family"}, m.Ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	edit := func(old, replacement string) string {
		if !strings.Contains(tenant, old) {
			t.Fatalf("the tenant has no %q", old)
		}
		return strings.Replace(tenant, old, replacement, 1)
	}
	tests := map[string]struct {
		file string
		want []string
	}{
		"nothing":         {file: "# only a comment\n", want: []string{"0 UploadTenants"}},
		"two tenants":     {file: tenant + "---" + tenant, want: []string{"2 UploadTenants"}},
		"broken YAML":     {file: "a: [", want: []string{"document 1", "not valid YAML"}},
		"duplicate key":   {file: tenant + "  keyTemplate: a\n  keyTemplate: b\n", want: []string{`key "keyTemplate" already set`}},
		"not an object":   {file: "- a\n", want: []string{"not a Kubernetes object"}},
		"no kind":         {file: "a: b\n", want: []string{"apiVersion and kind must be set"}},
		"other version":   {file: strings.Replace(tenant, "v1alpha1", "v9", 1), want: []string{`no kind "UploadTenant" in version "oss.uploadtenant.io/v9"`}},
		"unknown field":   {file: edit("prefix: album/", "prefix: album/, prefx: x"), want: []string{`strict decoding error: unknown field "spec.bucket.prefx"`}},
		"unknown in meta": {file: edit("namespace: family", "namespase: family"), want: []string{`unknown field "metadata.namespase"`}},
		"wrong type":      {file: edit("contentTypes: [image/jpeg]", "contentTypes: image/jpeg"), want: []string{`spec.limits.contentTypes: Invalid value: "string": spec.limits.contentTypes in body must be of type array: "string"`}},
		"missing field":   {file: edit("size: {max: 20Mi}", ""), want: []string{"spec.limits.size: Required value"}},
		"pattern":         {file: edit("family-album", "Family_Album"), want: []string{`UploadTenant.oss.uploadtenant.io "album" is invalid: spec.bucket.name: Invalid value: "Family_Album"`}},
		"rule":            {file: edit("20Mi", "6Gi"), want: []string{"limits.size.max must be between 1 and 5Gi: PostObject takes no larger object"}},
		"duplicate in set": {file: edit("[image/jpeg]", "[image/jpeg, image/jpeg]"),
			want: []string{`spec.limits.contentTypes[1]: Duplicate value: "image/jpeg"`}},
		"two mistakes at once": {file: edit("prefix: album/", "prefix: album") + "  keyTemplate: '{id}'\n",
			want: []string{"\n  * spec.bucket.prefix: Invalid value", "\n  * spec.keyTemplate: Invalid value"}},
		"auth without a method": {file: tenant + "  auth: {}\n", want: []string{"set auth.wechat, auth.jwt or auth.forward: a tenant without authentication is refused"}},
		"name too long":         {file: edit("name: album", "name: "+strings.Repeat("a", 53)), want: []string{"metadata.name must have at most 52 characters"}},
		"no metadata":           {file: edit("metadata: {name: album, namespace: family}", ""), want: []string{"metadata.name: Required value"}},
		"name":                  {file: edit("name: album", "name: Album"), want: []string{`metadata.name: Invalid value: "Album"`}},
		"account of another name": {file: tenant + strings.Replace(account, "name: default", "name: other", 1),
			want: []string{`spec.accountRef.name is "default", but the file has only CloudAccount other`}},
		"namespaced account": {file: tenant + strings.Replace(account, "name: default", "name: default, namespace: family", 1),
			want: []string{"metadata.namespace: Forbidden"}},
		"unknown field of a secret": {file: tenant + strings.Replace(secret, "stringData", "stringDate", 1), want: []string{`unknown field "stringDate"`}},
		"mistakes of two documents": {file: edit("album/", "album/, x: 1") + strings.Replace(account, "region", "regio", 1),
			want: []string{"document 1", "document 2", `unknown field "spec.regio"`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(t.Context(), strings.NewReader(tc.file))
			if err == nil {
				t.Fatal("Parse accepted it")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestParseReportsInvalidError(t *testing.T) {
	_, err := Parse(t.Context(), strings.NewReader(strings.Replace(tenant, "20Mi", "6Gi", 1)))
	var invalid *InvalidError
	if !errors.As(err, &invalid) || len(invalid.Errors) != 1 || invalid.Name != "album" {
		t.Errorf("error = %#v, want one InvalidError of album", err)
	}
}

func TestParseDropsStatus(t *testing.T) {
	m, err := Parse(t.Context(), strings.NewReader(tenant+"status: {observedGeneration: 3}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Tenant.Status.ObservedGeneration != 0 {
		t.Errorf("status = %+v, want none", m.Tenant.Status)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(tenant)
	f.Add(tenant + account + secret)
	f.Add("---\n---\n")
	f.Add("a: &a [*a]\n")
	schemas, err := loadSchemas(crd.FS, makeAuthOptional)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file string) {
		m, err := parse(t.Context(), schemas, strings.NewReader(file))
		if err == nil && m.Tenant == nil {
			t.Error("Parse returned neither a tenant nor an error")
		}
	})
}

func TestSamplesAreValid(t *testing.T) {
	tests := map[string][]string{
		"dev":      {"dev.yaml"},
		"a tenant": {"uploadtenant.yaml", "cloudaccount.yaml"},
		"emulator": {"uploadtenant.yaml", "cloudaccount-emulator.yaml"},

		"WeChat login":           {"auth-wechat.yaml"},
		"tokens of a provider":   {"auth-jwt.yaml"},
		"forward authentication": {"auth-forward.yaml"},
		"WeChat and tokens":      {"auth-wechat-and-jwt.yaml"},
		"media check":            {"media-check.yaml"},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			var all []string
			for _, file := range files {
				raw, err := os.ReadFile(filepath.Join("../../config/samples", file))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, string(raw))
			}
			if _, err := Parse(t.Context(), strings.NewReader(strings.Join(all, "\n---\n"))); err != nil {
				t.Error(err)
			}
		})
	}
}
