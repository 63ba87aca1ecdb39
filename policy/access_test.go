package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/uploadtenant/uploadtenant/policy"
)

func TestAccessDocument(t *testing.T) {
	tests := map[string]struct {
		access policy.Access
		want   string
	}{
		"write only": {
			access: policy.Access{Bucket: "family-album", Prefix: "album/"},
			want:   `{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:PutObject","oss:AbortMultipartUpload"],"Resource":"acs:oss:*:*:family-album/album/*"}]}`,
		},
		"verification": {
			access: policy.Access{Bucket: "family-album", Prefix: "album/", Tag: true, ReadTags: true, SetACL: true},
			want:   `{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:PutObject","oss:AbortMultipartUpload","oss:PutObjectTagging","oss:GetObjectTagging","oss:PutObjectAcl"],"Resource":"acs:oss:*:*:family-album/album/*"}]}`,
		},
		"everything": {
			access: policy.Access{Bucket: "family-album", Prefix: "album/", Read: true, Delete: true, RequireTLS: true},
			want: `{"Version":"1","Statement":[
				{"Effect":"Allow","Action":["oss:PutObject","oss:AbortMultipartUpload","oss:GetObject","oss:ListParts","oss:DeleteObject"],
				 "Resource":["acs:oss:*:*:family-album/album/*"],"Condition":{"Bool":{"acs:SecureTransport":"true"}}},
				{"Effect":"Allow","Action":"oss:ListObjects","Resource":"acs:oss:*:*:family-album",
				 "Condition":{"StringLike":{"oss:Prefix":"album/*"},"Bool":{"acs:SecureTransport":"true"}}}]}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := policy.AccessDocument(tc.access)
			if err != nil {
				t.Fatal(err)
			}
			if !policy.Equivalent(got.JSON(), tc.want) {
				t.Errorf("document = %s, want %s", got.JSON(), tc.want)
			}
		})
	}
}

func TestStatementsOutsideAreRefused(t *testing.T) {
	inside := policy.Statement{Effect: "Allow", Action: []string{"oss:GetObject"}, Resource: []string{"acs:oss:*:*:b/p/x/*"}}
	tests := map[string]struct {
		change      func(*policy.Statement)
		wantErr     bool
		wantOutside bool
	}{
		"inside":          {change: func(*policy.Statement) {}},
		"deny inside":     {change: func(s *policy.Statement) { s.Effect = "Deny" }},
		"other bucket":    {func(s *policy.Statement) { s.Resource = []string{"acs:oss:*:*:other/p/x"} }, true, true},
		"other prefix":    {func(s *policy.Statement) { s.Resource = []string{"acs:oss:*:*:b/q/x"} }, true, true},
		"sibling prefix":  {func(s *policy.Statement) { s.Resource = []string{"acs:oss:*:*:b/p"} }, true, true},
		"wildcard bucket": {func(s *policy.Statement) { s.Resource = []string{"acs:oss:*:*:*"} }, true, true},
		"whole bucket":    {func(s *policy.Statement) { s.Resource = []string{"acs:oss:*:*:b/*"} }, true, true},
		"one of two":      {func(s *policy.Statement) { s.Resource = append(s.Resource, "*") }, true, true},
		"bucket action":   {func(s *policy.Statement) { s.Action = []string{"oss:PutBucketAcl"} }, true, true},
		"wildcard action": {func(s *policy.Statement) { s.Action = []string{"oss:*"} }, true, true},
		"object ACL":      {func(s *policy.Statement) { s.Action = []string{"oss:PutObjectAcl"} }, true, true},
		"other service":   {func(s *policy.Statement) { s.Action = []string{"ram:CreateUser"} }, true, true},
		"effect":          {func(s *policy.Statement) { s.Effect = "allow" }, true, false},
		"principal":       {func(s *policy.Statement) { s.Principal = map[string][]string{"RAM": {"*"}} }, true, false},
		"no action":       {func(s *policy.Statement) { s.Action = nil }, true, false},
		"no resource":     {func(s *policy.Statement) { s.Resource = nil }, true, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := inside
			s.Resource = slices.Clone(inside.Resource)
			tc.change(&s)
			err := policy.CheckStatements("b", "p/", []policy.Statement{s})
			if (err != nil) != tc.wantErr || errors.Is(err, policy.ErrOutside) != tc.wantOutside {
				t.Errorf("err = %v, want error %t, outside %t", err, tc.wantErr, tc.wantOutside)
			}
		})
	}
}

// TestAccessNeverReachesOutside is the law of the policy: whatever the spec says, a document that comes out
// allows no key outside bucket/prefix and fits into RAM.
func TestAccessNeverReachesOutside(t *testing.T) {
	const bucket, prefix = "tenant-bucket", "apps/album/"
	words := []string{
		"acs:oss:*:*:" + bucket + "/" + prefix, "acs:oss:*:*:" + bucket, "acs:oss:*:*:", "*", "?", "/", "..", "${oss:x}",
		prefix, "other/", "a", "oss:", "GetObject", "PutObject", "PutBucketAcl", "ram:",
	}
	word := rapid.SampledFrom(words)
	text := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(word, 1, 4).Draw(t, "words"), "") })
	statement := rapid.Custom(func(t *rapid.T) policy.Statement {
		return policy.Statement{
			Effect:   rapid.SampledFrom([]string{"Allow", "Deny", "allow", ""}).Draw(t, "effect"),
			Action:   rapid.SliceOfN(rapid.OneOf(text, rapid.SampledFrom([]string{"oss:GetObject", "oss:PutObject", "oss:*"})), 0, 3).Draw(t, "actions"),
			Resource: rapid.SliceOfN(rapid.OneOf(text, rapid.Just("acs:oss:*:*:"+bucket+"/"+prefix+"*")), 0, 3).Draw(t, "resources"),
		}
	})
	outside := []string{
		"tenant-bucket", "tenant-bucket/", "tenant-bucket/apps/", "tenant-bucket/apps/albu", "tenant-bucket/apps/album",
		"tenant-bucket/other/a", "tenant-bucket2/apps/album/a", "other/apps/album/a", "tenant-bucket/apps/albumx/a",
	}
	rapid.Check(t, func(t *rapid.T) {
		document, err := policy.AccessDocument(policy.Access{
			Bucket: bucket, Prefix: prefix,
			Read: rapid.Bool().Draw(t, "read"), Delete: rapid.Bool().Draw(t, "delete"), RequireTLS: rapid.Bool().Draw(t, "tls"),
			Additional: rapid.SliceOfN(statement, 0, 40).Draw(t, "additional"),
		})
		if err != nil {
			return
		}
		if size := len(document.JSON()); size > policy.MaxDocument {
			t.Fatalf("the document has %d characters", size)
		}
		for _, s := range document.Statement {
			if s.Effect != "Allow" {
				continue
			}
			for _, resource := range s.Resource {
				for _, path := range outside {
					if !matches(resource, "acs:oss:oss-cn-hangzhou:1:"+path) {
						continue
					}
					if path == bucket && slices.Equal(s.Action, []string{"oss:ListObjects"}) && fmt.Sprint(s.Condition["StringLike"]["oss:Prefix"]) == "["+prefix+"*]" {
						continue // listing is authorised on the bucket and held to the prefix
					}
					t.Fatalf("%v may be used on %s through %s", s.Action, path, resource)
				}
			}
		}
	})
}

// matches is RAM's wildcard: * is any text, ? one character. It is written anew here, not shared.
func matches(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	switch pattern[0] {
	case '*':
		for i := 0; i <= len(text); i++ {
			if matches(pattern[1:], text[i:]) {
				return true
			}
		}
		return false
	case '?':
		return text != "" && matches(pattern[1:], text[1:])
	}
	return text != "" && text[0] == pattern[0] && matches(pattern[1:], text[1:])
}

func TestScopesThatCouldWidenAPatternAreRefused(t *testing.T) {
	for name, scope := range map[string][2]string{
		"wildcard bucket": {"b*", "p/"}, "empty bucket": {"", "p/"}, "bucket with path": {"b/x", "p/"},
		"wildcard prefix": {"b", "p*/"}, "prefix without end": {"b", "p"}, "empty prefix": {"b", ""},
		"absolute prefix": {"b", "/p/"}, "variable": {"b", "${acs:x}/"},
	} {
		t.Run(name, func(t *testing.T) {
			if doc, err := policy.AccessDocument(policy.Access{Bucket: scope[0], Prefix: scope[1]}); err == nil {
				t.Errorf("got %s, want an error", doc.JSON())
			}
		})
	}
}

func TestDocumentsOverTheLimitAreRefused(t *testing.T) {
	var many []policy.Statement
	for i := range 100 {
		many = append(many, policy.Statement{Effect: "Allow", Action: []string{"oss:GetObjectTagging"}, Resource: []string{fmt.Sprintf("acs:oss:*:*:b/p/%d", i)}})
	}
	_, err := policy.AccessDocument(policy.Access{Bucket: "b", Prefix: "p/", Additional: many})
	if err == nil || !strings.Contains(err.Error(), "additionalStatements") {
		t.Errorf("err = %v, want one that names the field", err)
	}
}
