package accountfile

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr/testr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/test/kubeapi"
)

// api is the client of the API server that all tests of this package share.
var api client.Client

func TestMain(m *testing.M) {
	os.Exit(kubeapi.Main(m, func(_ context.Context, config *rest.Config) error {
		scheme := runtime.NewScheme()
		if err := v1alpha1.AddToScheme(scheme); err != nil {
			return err
		}
		var err error
		api, err = client.New(config, client.Options{Scheme: scheme})
		return err
	}))
}

const account = `apiVersion: oss.uploadtenant.io/v1alpha1
kind: CloudAccount
metadata: {name: default}
spec:
  accountID: "1234567890123456"
  region: cn-hangzhou
  credentials: {environment: {}}
  oidc: {providerARN: "acs:ram::1234567890123456:oidc-provider/c1", issuer: https://issuer.example.com}
`

func apply(t *testing.T, content string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "account.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return (&Applier{Client: api, File: file, Logger: testr.New(t)}).Start(t.Context())
}

func TestTheAccountFollowsTheFile(t *testing.T) {
	get := func() *v1alpha1.CloudAccount {
		t.Helper()
		got := &v1alpha1.CloudAccount{}
		if err := api.Get(t.Context(), client.ObjectKey{Name: "default"}, got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if err := apply(t, account+"  endpoints: {sts: https://sts-vpc.cn-hangzhou.aliyuncs.com}\n"); err != nil {
		t.Fatal(err)
	}
	created := get()
	if got := created.Spec.Endpoints.STS; got != "https://sts-vpc.cn-hangzhou.aliyuncs.com" {
		t.Errorf("endpoints.sts = %q", got)
	}
	if err := apply(t, account); err != nil {
		t.Fatal(err)
	}
	changed := get()
	if changed.UID != created.UID {
		t.Error("the account was replaced instead of changed")
	}
	if got := changed.Spec.Endpoints.STS; got != "" {
		t.Errorf("endpoints.sts = %q after it left the file", got)
	}
	before := changed.ResourceVersion
	if err := apply(t, account); err != nil {
		t.Fatal(err)
	}
	if got := get().ResourceVersion; got != before {
		t.Errorf("applying the same file again wrote the account: %s, then %s", before, got)
	}
}

func TestWrongFilesEndTheManager(t *testing.T) {
	tests := map[string]struct{ content, want string }{
		"not YAML":       {"a: [", "is not YAML"},
		"another kind":   {strings.Replace(account, "CloudAccount", "UploadTenant", 1), "expected one CloudAccount"},
		"no name":        {strings.Replace(account, "{name: default}", "{}", 1), "with a name"},
		"refused by CEL": {strings.Replace(strings.Replace(account, "default", "other", 1), "{environment: {}}", "{}", 1), "set exactly one of credentials.oidc"},
		"unknown field":  {strings.Replace(account, "region:", "regio: x\n  region:", 1), "regio"},
		"immutable":      {strings.Replace(account, "cn-hangzhou", "cn-beijing", 1), "region is immutable"},
	}
	if err := apply(t, account); err != nil {
		t.Fatal(err)
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := apply(t, tc.content)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one that says %q", err, tc.want)
			}
		})
	}
}
