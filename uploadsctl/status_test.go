package uploadsctl

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestGolden shows what a person sees. The tenants are in testdata/*.yaml.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tenants in testdata: %v", err)
	}
	var all []Tenant
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var object v1alpha1.UploadTenant
		if err := yaml.UnmarshalStrict(raw, &object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		tenant := Summarize(&object)
		all = append(all, tenant)
		tenant.Conditions, tenant.Plan = conditionsOf(&object), object.Status.Plan
		tenant.Events = []Event{{Time: metav1.NewTime(now.Add(-2 * time.Minute)), Type: "Normal", Reason: "AsDeclared", Message: "the tenant takes uploads", Count: 2}}
		t.Run(filepath.Base(file), func(t *testing.T) {
			var out bytes.Buffer
			(&Session{Out: &out, Now: func() time.Time { return now }}).printTenant(tenant)
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", out.String())
		})
	}
	for name, opts := range map[string]StatusOptions{"list": {}, "wide": {AllNamespaces: true, Output: Wide}} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			(&Session{Out: &out, Now: func() time.Time { return now }}).printTenants(all, opts)
			golden(t, "testdata/"+name+".golden", out.String())
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test ./uploadsctl -run TestGolden -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestEveryReasonHasARemedy keeps the remedies complete: a new reason of a tenant needs a word of advice.
func TestEveryReasonHasARemedy(t *testing.T) {
	accountOnly := map[string]bool{v1alpha1.ReasonOrphansFound: true}
	file, err := parser.ParseFile(token.NewFileSet(), "../api/v1alpha1/conditions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		reason, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		known[reason] = true
		if remedies[reason] == "" && !harmless[reason] && !accountOnly[reason] {
			t.Errorf("%s has no remedy", reason)
		}
		return true
	})
	if len(known) < 30 {
		t.Fatalf("only %d reasons were found", len(known))
	}
	for reason := range remedies {
		if !known[reason] {
			t.Errorf("there is a remedy for %s, which is no reason", reason)
		}
	}
}

func TestRemedyNamesTheTenant(t *testing.T) {
	for reason, want := range map[string]string{
		v1alpha1.ReasonPausedByTenant:    "`kubectl uploads resume album -n family`",
		v1alpha1.ReasonPausedByNamespace: "`kubectl annotate namespace family oss.uploadtenant.io/paused-`",
		v1alpha1.ReasonAsDeclared:        "",
	} {
		if got := remedy(reason, "family", "album"); got != want {
			t.Errorf("remedy of %s = %q, want %q", reason, got, want)
		}
	}
	if got := remedy(v1alpha1.ReasonTicketKeysInvalid, "family", "album"); !strings.Contains(got, "Secret album-signer-tickets") {
		t.Errorf("remedy = %q", got)
	}
}

func TestReadiness(t *testing.T) {
	ready := func(status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: "R", Message: "m"}
	}
	pause := func(reason string) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionPaused, Status: metav1.ConditionTrue, Reason: reason, Message: "p"}
	}
	tests := map[string]struct {
		generation, observed int64
		policy               v1alpha1.ManagementPolicy
		conditions           []metav1.Condition
		want                 metav1.ConditionStatus
		reason               string
	}{
		"nobody looked":                       {1, 0, "", nil, metav1.ConditionUnknown, ReasonNotObserved},
		"ready":                               {1, 1, "", []metav1.Condition{ready("True")}, metav1.ConditionTrue, "R"},
		"ready, but of an older spec":         {2, 1, "", []metav1.Condition{ready("True")}, metav1.ConditionUnknown, ReasonNotObserved},
		"not ready":                           {1, 1, "", []metav1.Condition{ready("False")}, metav1.ConditionFalse, "R"},
		"paused while ready goes on serving":  {2, 1, v1alpha1.ManagementPaused, []metav1.Condition{ready("True"), pause(v1alpha1.ReasonPausedByTenant)}, metav1.ConditionTrue, v1alpha1.ReasonPausedByTenant},
		"paused before anybody looked":        {1, 0, v1alpha1.ManagementPaused, []metav1.Condition{pause(v1alpha1.ReasonPausedByTenant)}, metav1.ConditionUnknown, v1alpha1.ReasonPausedByTenant},
		"resumed, and nobody has seen it yet": {3, 1, v1alpha1.ManagementFull, []metav1.Condition{ready("True"), pause(v1alpha1.ReasonPausedByTenant)}, metav1.ConditionUnknown, ReasonNotObserved},
		"paused by the namespace":             {2, 2, v1alpha1.ManagementFull, []metav1.Condition{ready("True"), pause(v1alpha1.ReasonPausedByNamespace)}, metav1.ConditionTrue, v1alpha1.ReasonPausedByNamespace},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := &v1alpha1.UploadTenant{ObjectMeta: metav1.ObjectMeta{Generation: tc.generation}}
			tenant.Spec.ManagementPolicy = tc.policy
			tenant.Status.ObservedGeneration, tenant.Status.Conditions = tc.observed, tc.conditions
			if status, reason, _ := readiness(tenant); status != tc.want || reason != tc.reason {
				t.Errorf("%s (%s), want %s (%s)", status, reason, tc.want, tc.reason)
			}
		})
	}
}

func TestPublicURL(t *testing.T) {
	tests := map[string]struct {
		callback, host string
		tls            string
		want           string
	}{
		"neither":                          {want: ""},
		"callback.url":                     {callback: "https://upload.example.com/family/album/callback", want: "https://upload.example.com"},
		"the exposed host is that one":     {callback: "http://upload.example.com/cb", host: "upload.example.com", want: "http://upload.example.com"},
		"another host is exposed":          {callback: "https://cb.example.com/cb", host: "upload.example.com", tls: "cert", want: "https://upload.example.com"},
		"an exposed host without TLS":      {host: "upload.example.com", want: "http://upload.example.com"},
		"an exposed host with certificate": {host: "upload.example.com", tls: "cert", want: "https://upload.example.com"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := &v1alpha1.UploadTenant{}
			if tc.callback != "" {
				tenant.Spec.Callback = &v1alpha1.CallbackSpec{URL: tc.callback}
			}
			if tc.host != "" {
				tenant.Spec.Signer.Exposure = &v1alpha1.ExposureSpec{Host: tc.host, Ingress: &v1alpha1.IngressSpec{TLSSecretName: tc.tls}}
			}
			if got := PublicURL(tenant); got != tc.want {
				t.Errorf("PublicURL = %q, want %q", got, tc.want)
			}
		})
	}
}
