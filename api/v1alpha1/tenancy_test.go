package v1alpha1_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/test/await"
)

// TestTenancyAdmissionPolicy installs the shipped policy and asks the API server about tenants.
func TestTenancyAdmissionPolicy(t *testing.T) {
	raw, err := os.ReadFile("../../config/admission/tenancy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range bytes.SplitSeq(raw, []byte("\n---\n")) {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			t.Fatal(err)
		}
		if err := api.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = api.Delete(t.Context(), object) })
	}
	strict := account()
	strict.Name = "strict"
	strict.Spec.Tenancy = &v1alpha1.TenancySpec{
		Namespaces:  []string{"team-*", "default"},
		BucketNames: []string{"{namespace}-*", "shared"},
		Prefix:      "{namespace}/",
	}
	closed := account()
	closed.Name = "closed"
	closed.Spec.Tenancy = &v1alpha1.TenancySpec{Namespaces: []string{"kube-public"}}
	for _, a := range []*v1alpha1.CloudAccount{strict, closed} {
		if err := api.Create(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	on := func(account, bucket, prefix string) *v1alpha1.UploadTenant {
		o := tenant()
		o.Name = "tenancy"
		o.Spec.AccountRef.Name, o.Spec.Bucket.Name, o.Spec.Bucket.Prefix = account, bucket, prefix
		return o
	}
	// The API server takes a moment to compile a new policy.
	await.True(t, "the policy refuses something", func() bool { return verdict(t, on("closed", "shared", "x/")) != "" })
	tests := map[string]struct {
		tenant *v1alpha1.UploadTenant
		want   string
	}{
		"as the rules want":        {on("strict", "default-album", "default/album/"), ""},
		"a bucket named in full":   {on("strict", "shared", "default/"), ""},
		"another account":          {on("somewhere-else", "any-bucket", "any/"), ""},
		"a namespace not allowed":  {on("closed", "shared", "x/"), "does not allow namespace default"},
		"a bucket not allowed":     {on("strict", "other-album", "default/"), "does not allow bucket.name other-album"},
		"another tenant's prefix":  {on("strict", "shared", "team-b/"), "wants bucket.prefix to start with default/"},
		"a prefix that only looks": {on("strict", "shared", "defaults/"), "wants bucket.prefix to start with default/"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := verdict(t, tc.tenant)
			check(t, got, tc.want)
			if tc.want != "" && !strings.Contains(got, "CloudAccount") {
				t.Errorf("verdict %q does not name the account", got)
			}
		})
	}
}
