package iam_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
	"pgregory.net/rapid"

	"github.com/uploadtenant/uploadtenant/emulator/iam"
)

func TestBucketPolicy(t *testing.T) {
	f := start(t)
	_, err := f.createRole("r", trustAll)
	f.must(err)
	resp, err := f.assume(f.sts, "r")
	f.must(err)
	session, root, admin := f.principalOf(resp.Credentials), f.principal(rootKey), f.principal(adminKey)
	policy := func(effect, principal, rest string) string {
		return `{"Version":"1","Statement":[{"Effect":"` + effect + `","Action":"oss:GetObject","Principal":` + principal +
			`,"Resource":"acs:oss:*:` + account + `:bucket/*"` + rest + `}]}`
	}
	const plain = `,"Condition":{"Bool":{"acs:SecureTransport":"false"}}`
	tests := map[string]struct {
		principal iam.Principal
		policy    string
		want      iam.Decision
	}{
		"none, anonymous":                    {iam.Principal{}, "", iam.Decision{}},
		"none, session without policies":     {session, "", iam.Decision{}},
		"none, root":                         {root, "", iam.Decision{Allowed: true}},
		"allow everybody, anonymous":         {iam.Principal{}, policy("Allow", `["*"]`, ""), iam.Decision{Allowed: true}},
		"allow the session by its role":      {session, policy("Allow", `["arn:sts::`+account+`:assumed-role/r/*"]`, ""), iam.Decision{Allowed: true}},
		"allow another role":                 {session, policy("Allow", `["arn:sts::`+account+`:assumed-role/other/*"]`, ""), iam.Decision{}},
		"allow a user, anonymous":            {iam.Principal{}, policy("Allow", `["`+admin.ID+`"]`, ""), iam.Decision{}},
		"deny a user":                        {admin, policy("Deny", `["`+admin.ID+`"]`, ""), iam.Decision{ExplicitDeny: true}},
		"deny another user":                  {admin, policy("Deny", `["299999999999999999"]`, ""), iam.Decision{Allowed: true}},
		"deny everybody, user":               {admin, policy("Deny", `["*"]`, ""), iam.Decision{ExplicitDeny: true}},
		"deny everybody, owner":              {root, policy("Deny", `["*"]`, ""), iam.Decision{Allowed: true}},
		"deny everybody who, owner":          {root, policy("Deny", `["*"]`, plain), iam.Decision{ExplicitDeny: true}},
		"malformed: as if there were none":   {iam.Principal{}, `{}`, iam.Decision{}},
		"deny of another key, admin allowed": {admin, policy("Deny", `["*"]`, `,"Condition":{"Bool":{"acs:SecureTransport":"true"}}`), iam.Decision{Allowed: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := f.svc.Authorize(iam.Request{Principal: tt.principal, Action: "oss:GetObject", Resource: "acs:oss:*:" + account + ":bucket/a",
				Context: map[string][]string{"acs:SecureTransport": {"false"}}, ResourcePolicy: []byte(tt.policy)})
			if got.Allowed != tt.want.Allowed || got.ExplicitDeny != tt.want.ExplicitDeny {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestSessionPolicyNeverWidens: whatever the session policy says, the session may do nothing that the role may not.
func TestSessionPolicyNeverWidens(t *testing.T) {
	f := start(t)
	_, err := f.createRole("r", trustAll)
	f.must(err)
	_, err = f.createPolicy("p", allowPuts)
	f.must(err)
	f.must(f.attach("r", "Custom", "p"))
	resp, err := f.assume(f.sts, "r")
	f.must(err)
	whole := f.principalOf(resp.Credentials)
	rapid.Check(t, func(rt *rapid.T) {
		statement := map[string]any{
			"Effect":   rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(rt, "effect"),
			"Action":   rapid.SampledFrom([]string{"*", "oss:*", "oss:Put*", "oss:DeleteObject"}).Draw(rt, "action"),
			"Resource": rapid.SampledFrom([]string{"*", "acs:oss:*:*:bucket/album/a*", "acs:oss:*:*:other/*"}).Draw(rt, "resource"),
		}
		policy, err := json.Marshal(map[string]any{"Version": "1", "Statement": []any{statement}})
		if err != nil {
			rt.Fatal(err)
		}
		resp, err := f.assume(f.sts, "r", func(r *sts.AssumeRoleRequest) { r.Policy = string(policy) })
		if err != nil {
			rt.Fatal(err)
		}
		narrow := f.principalOf(resp.Credentials)
		for _, action := range []string{"oss:PutObject", "oss:GetObject", "oss:DeleteObject", "ram:CreateRole"} {
			for _, resource := range []string{"bucket/album/a", "bucket/album/b", "bucket/x", "other/a"} {
				got, max := f.allowed(narrow, action, resource), f.allowed(whole, action, resource)
				if got && !max {
					rt.Fatalf("%s lets the session %s on %s", policy, action, resource)
				}
				if got && statement["Effect"] == "Deny" {
					rt.Fatalf("%s allows %s on %s", policy, action, resource)
				}
			}
		}
	})
}

// TestConcurrentUse lets callers read, write and be judged at once; the race detector watches.
func TestConcurrentUse(t *testing.T) {
	f := start(t)
	_, err := f.createRole("shared", trustAll)
	f.must(err)
	f.must(f.attach("shared", "System", "AliyunOSSFullAccess"))
	var group sync.WaitGroup
	for worker := range 8 {
		own := *f // a client of the SDK must not be shared: it sets its timeout anew with every call
		own.ram, own.sts, own.ims = f.clients(adminKey, adminSK, "")
		group.Go(func() {
			f := &own
			for i := range 10 {
				name := fmt.Sprintf("w%d-%d", worker, i)
				if _, err := f.createRole(name, trustAll); err != nil {
					t.Errorf("create %s: %v", name, err)
				}
				resp, err := f.assume(f.sts, "shared")
				if err != nil {
					t.Errorf("assume: %v", err)
					return
				}
				cred, _ := f.svc.Credential(resp.Credentials.AccessKeyId)
				if !f.allowed(cred.Principal, "oss:PutObject", "bucket/a") {
					t.Error("the session may do nothing")
				}
			}
		})
	}
	group.Wait()
	if n := len(f.svc.Overview().Roles); n != 81 {
		t.Errorf("%d roles, want 81", n)
	}
}
