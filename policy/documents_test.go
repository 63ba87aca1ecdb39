package policy_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/uploadtenant/uploadtenant/policy"
)

func TestEquivalent(t *testing.T) {
	tests := map[string]struct {
		a, b string
		want bool
	}{
		"order and single values": {
			`{"Version":"1","Statement":[{"Effect":"Allow","Action":["b","a"],"Resource":"r"}]}`,
			`{"Statement":{"Action":["a","b"],"Effect":"Allow","Resource":["r"]},"Version":"1"}`, true,
		},
		"statements in another order": {`{"Statement":[{"Effect":"Allow"},{"Effect":"Deny"}]}`, `{"Statement":[{"Effect":"Deny"},{"Effect":"Allow"}]}`, true},
		"a repeated statement":        {`{"Statement":[{"Effect":"Allow"},{"Effect":"Allow"}]}`, `{"Statement":{"Effect":"Allow"}}`, true},
		"another action":              {`{"Statement":[{"Action":"a"}]}`, `{"Statement":[{"Action":"b"}]}`, false},
		"one action more":             {`{"Statement":[{"Action":["a","b"]}]}`, `{"Statement":[{"Action":"a"}]}`, false},
		"a condition more":            {`{"Statement":[{"Action":"a","Condition":{}}]}`, `{"Statement":[{"Action":"a"}]}`, false},
		"no JSON":                     {`{`, `{`, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := policy.Equivalent(tc.a, tc.b); got != tc.want {
				t.Errorf("Equivalent = %t, want %t", got, tc.want)
			}
		})
	}
}

func FuzzEquivalent(f *testing.F) {
	f.Add(`{"Statement":[{"Action":["a","b"]}]}`)
	f.Add(`{"a":[[],[[1]],null,{"b":[]}]}`)
	f.Fuzz(func(t *testing.T, document string) {
		if policy.Equivalent(document, document) != policy.Equivalent(document, " "+document) {
			t.Error("whitespace changes the meaning")
		}
	})
}

func TestTrustDocumentNamesOneServiceAccount(t *testing.T) {
	got := policy.TrustDocument("acs:ram::1:oidc-provider/p", "https://issuer", "family", "album-signer").JSON()
	want := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Federated":["acs:ram::1:oidc-provider/p"]},
		"Condition":{"StringEquals":{"oidc:aud":"sts.aliyuncs.com","oidc:iss":"https://issuer","oidc:sub":"system:serviceaccount:family:album-signer"}}}]}`
	if !policy.Equivalent(got, want) {
		t.Errorf("trust document = %s", got)
	}
}

func TestResourceName(t *testing.T) {
	valid := regexp.MustCompile(`^ut-[A-Za-z0-9-]+-[0-9a-f]{8}$`)
	label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		a := policy.Owner{Cluster: label.Draw(t, "cluster"), Namespace: label.Draw(t, "namespace"), Name: label.Draw(t, "name")}
		name := a.ResourceName()
		if len(name) > 64 || !valid.MatchString(name) {
			t.Fatalf("name %q of %d characters", name, len(name))
		}
		if parsed, ok := policy.ParseMarker(a.Marker()); !ok || parsed != a {
			t.Fatalf("marker %q parses to %+v", a.Marker(), parsed)
		}
		b := policy.Owner{Cluster: label.Draw(t, "cluster 2"), Namespace: label.Draw(t, "namespace 2"), Name: label.Draw(t, "name 2")}
		if a != b && name == b.ResourceName() {
			t.Fatalf("%+v and %+v share %q", a, b, name)
		}
	})
	// Where the hyphen stands must matter.
	if (policy.Owner{Namespace: "a-b", Name: "c"}).ResourceName() == (policy.Owner{Namespace: "a", Name: "b-c"}).ResourceName() {
		t.Error("a-b/c and a/b-c share a name")
	}
}

func TestParseMarkerRefusesOtherText(t *testing.T) {
	for _, text := range []string{"", "made by hand", "uploadtenant cluster=x", "uploadtenant cluster=x tenant=y", "uploadtenant cluster=x tenant=/y"} {
		if owner, ok := policy.ParseMarker(text); ok {
			t.Errorf("ParseMarker(%q) = %+v", text, owner)
		}
	}
}

func TestPrefixesOverlap(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b string
		want bool
	}{
		"same": {"a/", "a/", true}, "within": {"a/", "a/b/", true}, "around": {"a/b/", "a/", true},
		"beside": {"a/", "b/", false}, "alike": {"album/", "album2/", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := policy.PrefixesOverlap(tc.a, tc.b); got != tc.want {
				t.Errorf("PrefixesOverlap(%q, %q) = %t, want %t", tc.a, tc.b, got, tc.want)
			}
		})
	}
}

func TestMergeCORS(t *testing.T) {
	foreign := policy.CORSRule{AllowedOrigins: []string{"https://console.example.com"}, AllowedMethods: []string{"GET"}, AllowedHeaders: []string{"*"}}
	mine, err := policy.MergeCORS(nil, []policy.CORSRequest{{AllowedOrigins: []string{"https://b"}, MaxAgeSeconds: 600}, {AllowedOrigins: []string{"https://a", "https://b"}, MaxAgeSeconds: 60}})
	if err != nil || len(mine) != 1 {
		t.Fatalf("rules = %+v, err = %v", mine, err)
	}
	if diff := cmp.Diff([]string{"https://a", "https://b"}, mine[0].AllowedOrigins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
	if mine[0].MaxAgeSeconds != 60 {
		t.Errorf("max age = %d, want the shortest", mine[0].MaxAgeSeconds)
	}
	if diff := cmp.Diff([]string{"ETag", "Location", "x-oss-request-id"}, mine[0].ExposeHeaders); diff != "" {
		t.Errorf("exposed headers (-want +got):\n%s", diff)
	}

	full := make([]policy.CORSRule, policy.MaxCORSRules)
	for i := range full {
		full[i] = policy.CORSRule{AllowedOrigins: []string{fmt.Sprint("https://", i)}}
	}
	tests := map[string]struct {
		existing []policy.CORSRule
		requests []policy.CORSRequest
		want     []policy.CORSRule
		wantErr  error
	}{
		"foreign rules stay and come first": {
			existing: append([]policy.CORSRule{foreign}, mine...), requests: []policy.CORSRequest{{AllowedOrigins: []string{"https://a", "https://b"}, MaxAgeSeconds: 60}},
			want: []policy.CORSRule{foreign, mine[0]},
		},
		"nobody asks":         {existing: append([]policy.CORSRule{foreign}, mine...), want: []policy.CORSRule{foreign}},
		"an empty wish":       {requests: []policy.CORSRequest{{}}, want: []policy.CORSRule{}},
		"no room":             {existing: full, requests: []policy.CORSRequest{{AllowedOrigins: []string{"*"}}}, wantErr: policy.ErrCORSFull},
		"full and none asked": {existing: full, want: full},
		"room for ours": {
			existing: append(full[:9:9], mine...), requests: []policy.CORSRequest{{AllowedOrigins: []string{"https://a", "https://b"}, MaxAgeSeconds: 60}},
			want: append(full[:9:9], mine...),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := policy.MergeCORS(tc.existing, tc.requests)
			if !errors.Is(err, tc.wantErr) {
				t.Fatalf("err = %v, want %v", err, tc.wantErr)
			}
			if err == nil && !policy.SameCORS(got, tc.want) {
				t.Errorf("rules = %+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestMergeCORSSettles is the law of a merge that runs again and again.
func TestMergeCORSSettles(t *testing.T) {
	origins := rapid.SliceOfN(rapid.StringMatching(`https://[a-e]`), 0, 4)
	request := rapid.Custom(func(t *rapid.T) policy.CORSRequest {
		return policy.CORSRequest{AllowedOrigins: origins.Draw(t, "origins"), MaxAgeSeconds: rapid.IntRange(0, 600).Draw(t, "age")}
	})
	rule := rapid.Custom(func(t *rapid.T) policy.CORSRule {
		return policy.CORSRule{AllowedOrigins: origins.Draw(t, "foreign"), AllowedMethods: []string{"GET"}}
	})
	rapid.Check(t, func(t *rapid.T) {
		existing := rapid.SliceOfN(rule, 0, 10).Draw(t, "existing")
		requests := rapid.SliceOfN(request, 0, 5).Draw(t, "requests")
		once, err := policy.MergeCORS(existing, requests)
		if err != nil {
			return
		}
		twice, err := policy.MergeCORS(once, requests)
		if err != nil || !policy.SameCORS(once, twice) {
			t.Fatalf("merged again: %+v, err %v, want %+v", twice, err, once)
		}
		undone, err := policy.MergeCORS(once, nil)
		if err != nil || !policy.SameCORS(undone, existing) {
			t.Fatalf("undone: %+v, err %v, want %+v", undone, err, existing)
		}
	})
}

func TestMarkerFitsRAM(t *testing.T) {
	long := policy.Owner{Cluster: strings.Repeat("c", 64), Namespace: strings.Repeat("n", 63), Name: strings.Repeat("a", 52)}
	if got := len(long.Marker()); got > 1024 {
		t.Errorf("marker has %d characters, and RAM takes 1024", got)
	}
}

func TestMergeLifecycle(t *testing.T) {
	mine, other := policy.Owner{Cluster: "c", Namespace: "family", Name: "album"}, policy.Owner{Cluster: "c", Namespace: "family", Name: "video"}
	foreign := policy.LifecycleRule{ID: "by-hand", Prefix: "logs/", Enabled: true, ExpireDays: 30}
	rules := policy.LifecycleRules(mine, policy.Lifecycle{Prefix: "album/", AbortMultipartDays: 7})
	theirs := policy.LifecycleRules(other, policy.Lifecycle{Prefix: "video/", AbortMultipartDays: 7})
	existing := append([]policy.LifecycleRule{foreign}, theirs...)

	merged, err := policy.MergeLifecycle(existing, mine, rules)
	if err != nil || !policy.SameLifecycle(merged, append(existing, rules...)) {
		t.Errorf("merged = %+v, err = %v", merged, err)
	}
	again, err := policy.MergeLifecycle(merged, mine, rules)
	if err != nil || !policy.SameLifecycle(again, merged) {
		t.Errorf("merged again = %+v, err = %v", again, err)
	}
	undone, err := policy.MergeLifecycle(merged, mine, nil)
	if err != nil || !policy.SameLifecycle(undone, existing) {
		t.Errorf("undone = %+v, err = %v", undone, err)
	}
	full := make([]policy.LifecycleRule, policy.MaxLifecycleRules)
	for i := range full {
		full[i].ID = fmt.Sprint("foreign-", i)
	}
	if _, err := policy.MergeLifecycle(full, mine, rules); !errors.Is(err, policy.ErrLifecycleFull) {
		t.Errorf("err = %v", err)
	}
	if _, err := policy.MergeLifecycle(full, mine, nil); err != nil {
		t.Errorf("a full bucket cannot be left: %v", err)
	}
	if policy.SameLifecycle(rules, theirs) {
		t.Error("rules of two tenants are the same")
	}
}
