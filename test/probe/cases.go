package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// probeCase is one question. Its outcome is short, holds nothing that differs from run to run, and is what two
// accounts are compared by.
type probeCase struct {
	name     string
	question string
	run      func(ctx context.Context, t *target) (string, error)
}

// said turns a call into an outcome.
func said(a answer, err error) (string, error) { return a.String(), err }

func allCases() []probeCase {
	return append(append(formCases(), bucketCases()...), append(callbackCases(), identityCases()...)...)
}

func formCases() []probeCase {
	post := func(name, question string, f form) probeCase {
		return probeCase{name, question, func(ctx context.Context, t *target) (string, error) {
			f := f
			f.cred = t.admin
			if f.key == "" {
				f.key = t.prefix + name
			}
			return said(t.post(ctx, f))
		}}
	}
	old := func(name, question string, age time.Duration) probeCase {
		return probeCase{name, question, func(ctx context.Context, t *target) (string, error) {
			return said(t.post(ctx, form{cred: t.admin, key: t.prefix + name, at: time.Now().Add(-age)}))
		}}
	}
	return []probeCase{
		post("post-plain", "Does a V4 form upload to the default endpoint work (CNAME rule of 2025-03-20)?", form{}),
		old("post-date-20m-old", "Is a form whose x-oss-date is 20 minutes old refused though its policy lives an hour?", 20*time.Minute),
		old("post-date-20m-ahead", "Is a form whose x-oss-date is 20 minutes ahead refused?", -20*time.Minute),
		old("post-date-2h-old", "Is a form whose policy has expired refused?", 2*time.Hour),
		post("post-bare-conditions", "Must the policy list x-oss-signature-version, x-oss-credential and x-oss-date?", form{bare: true}),
		post("post-unlisted-meta", "Is a field that the policy does not mention refused?", form{fields: []field{{"x-oss-meta-a", "1"}}}),
		post("post-absent-condition", "Is a condition on a field that is not sent refused?", form{conditions: []any{[]string{"eq", "$x-oss-meta-a", "1"}}}),
		post("post-field-after-file", "Is a field behind the file fatal?", form{after: []field{{"x-oss-meta-late", "1"}}}),
		post("post-submit-after-file", "Is a lone submit button behind the file tolerated?", form{after: []field{{"submit", "Upload"}}}),
		post("post-leading-slash", "What does a key with a leading slash give?", form{key: "/post-leading-slash"}),
		post("post-status-201", "What does success_action_status 201 give?", form{fields: []field{{"success_action_status", "201"}}, listed: true}),
		{"post-tagging", "Does the form field x-oss-tagging set tags?", func(ctx context.Context, t *target) (string, error) {
			key := t.prefix + "post-tagging"
			a, err := t.post(ctx, form{cred: t.admin, key: key, fields: []field{{"x-oss-tagging", "probe=1"}}, listed: true})
			if err != nil || a.Status >= 300 {
				return said(a, err)
			}
			tags, err := t.oss(ctx, t.admin, "GET", key, "tagging", nil, nil)
			return fmt.Sprintf("%s, tag stored: %t", a, strings.Contains(string(tags.Body), "<Key>probe</Key>")), err
		}},
		{"post-acl-needs-putobjectacl", "Does x-oss-object-acl in a form need oss:PutObjectAcl besides oss:PutObject?", func(ctx context.Context, t *target) (string, error) {
			c, err := t.narrowCredential(ctx)
			if err != nil {
				return "", err
			}
			return said(t.post(ctx, form{cred: c, key: t.prefix + "post-acl", fields: []field{{"x-oss-object-acl", "private"}}, listed: true}))
		}},
		{"post-outside-policy", "Is a key outside the role's policy refused, and with which EC?", func(ctx context.Context, t *target) (string, error) {
			c, err := t.narrowCredential(ctx)
			if err != nil {
				return "", err
			}
			return said(t.post(ctx, form{cred: c, key: "outside-" + t.prefix + "x"}))
		}},
	}
}

func bucketCases() []probeCase {
	rules := func(n int) []byte {
		var b strings.Builder
		b.WriteString("<CORSConfiguration>")
		for i := range n {
			fmt.Fprintf(&b, "<CORSRule><AllowedOrigin>https://o%d.example.com</AllowedOrigin><AllowedMethod>POST</AllowedMethod></CORSRule>", i)
		}
		return []byte(b.String() + "</CORSConfiguration>")
	}
	cors := func(n int) probeCase {
		return probeCase{fmt.Sprintf("cors-%d-rules", n), "How many CORS rules may a bucket have, 10 or 20?", func(ctx context.Context, t *target) (string, error) {
			body := rules(n)
			return said(t.oss(ctx, t.admin, "PUT", "", "cors", map[string]string{"content-md5": md5Text(body), "content-type": "application/xml"}, body))
		}}
	}
	return []probeCase{
		cors(10), cors(11), cors(20), cors(21),
		{"bpa-put-object-acl", "What does PutObjectAcl public-read give while public access is blocked?", func(ctx context.Context, t *target) (string, error) {
			key := t.prefix + "bpa"
			if a, err := t.oss(ctx, t.admin, "PUT", key, "", nil, []byte("x")); err != nil || a.Status != 200 {
				return "setup: " + a.String(), err
			}
			return said(t.oss(ctx, t.admin, "PUT", key, "acl", map[string]string{"x-oss-object-acl": "public-read"}, nil))
		}},
		{"bpa-post-object-acl", "What does a form with x-oss-object-acl public-read give while public access is blocked?", func(ctx context.Context, t *target) (string, error) {
			return said(t.post(ctx, form{cred: t.admin, key: t.prefix + "bpa-post", fields: []field{{"x-oss-object-acl", "public-read"}}, listed: true}))
		}},
	}
}

func identityCases() []probeCase {
	rpc := func(name, question string, c func(*target) credential, action string, params map[string]string) probeCase {
		return probeCase{name, question, func(ctx context.Context, t *target) (string, error) {
			return said(t.rpc(ctx, c(t), versionRAM, action, params))
		}}
	}
	admin := func(t *target) credential { return t.admin }
	return []probeCase{
		rpc("rpc-unknown-key", "Code and status of an AccessKey id that does not exist", func(*target) credential { return credential{ID: "LTAI5tNoSuchKey000000000", Secret: "x"} }, "ListRoles", nil),
		rpc("rpc-wrong-secret", "Code and status of a wrong signature", func(t *target) credential { return credential{ID: t.admin.ID, Secret: "wrong"} }, "ListRoles", nil),
		rpc("rpc-old-timestamp", "Code and status of a timestamp one hour old", admin, "ListRoles", map[string]string{"Timestamp": time.Now().UTC().Add(-time.Hour).Format("2006-01-02T15:04:05Z")}),
		rpc("rpc-odd-timestamp", "Code and status of a malformed timestamp", admin, "ListRoles", map[string]string{"Timestamp": "yesterday"}),
		rpc("rpc-odd-method", "Code and status of an unknown SignatureMethod", admin, "ListRoles", map[string]string{"SignatureMethod": "HMAC-MD5"}),
		rpc("rpc-unknown-action", "Code and status of an unknown action", admin, "NoSuchAction", nil),
		rpc("rpc-missing-parameter", "Code and status of a missing parameter", admin, "GetRole", nil),
		rpc("ram-no-role", "Code and status of a role that does not exist", admin, "GetRole", map[string]string{"RoleName": "ut-probe-no-such-role"}),
		rpc("ram-odd-role-name", "Code and status of a role name with an underscore", admin, "CreateRole", map[string]string{"RoleName": "ut_probe", "AssumeRolePolicyDocument": "{}"}),
		rpc("ram-malformed-trust", "Code and status of a malformed trust policy", admin, "CreateRole", map[string]string{"RoleName": "ut-probe-malformed", "AssumeRolePolicyDocument": "{}"}),
		{"rpc-nonce-twice", "Code and status of a nonce that was used before", func(ctx context.Context, t *target) (string, error) {
			nonce := map[string]string{"SignatureNonce": randomText(32)}
			if a, err := t.ram(ctx, "ListRoles", nonce); err != nil || a.Status != 200 {
				return "setup: " + a.String(), err
			}
			return said(t.ram(ctx, "ListRoles", nonce))
		}},
		{"sts-unknown-token", "Code and status of a token that STS did not make", func(ctx context.Context, t *target) (string, error) {
			c, err := t.narrowCredential(ctx)
			if err != nil {
				return "", err
			}
			c.Token = "CAISbogus"
			return said(t.rpc(ctx, c, versionSTS, "GetCallerIdentity", nil))
		}},
		{"sts-no-permission", "Code and status of a call that no policy allows", func(ctx context.Context, t *target) (string, error) {
			c, err := t.narrowCredential(ctx)
			if err != nil {
				return "", err
			}
			return said(t.rpc(ctx, c, versionRAM, "ListRoles", nil))
		}},
		{"ram-scoped-create", "May a policy limit ram:CreateRole to roles whose names begin with a prefix?", func(ctx context.Context, t *target) (string, error) {
			c, err := t.narrowCredential(ctx)
			if err != nil {
				return "", err
			}
			return said(t.rpc(ctx, c, versionRAM, "CreateRole", map[string]string{"RoleName": t.prefix + "scoped", "AssumeRolePolicyDocument": t.trust()}))
		}},
		{"ram-scoped-create-outside", "Is a role outside that prefix refused?", func(ctx context.Context, t *target) (string, error) {
			c, err := t.narrowCredential(ctx)
			if err != nil {
				return "", err
			}
			return said(t.rpc(ctx, c, versionRAM, "CreateRole", map[string]string{"RoleName": "x-" + t.prefix, "AssumeRolePolicyDocument": t.trust()}))
		}},
		{"sts-chained-2h", "May a session of a role assume another role for longer than an hour?", chainedSession},
		{"ram-delete-conflict", "Code and status of deleting a role with a policy attached", func(ctx context.Context, t *target) (string, error) {
			if _, err := t.narrowCredential(ctx); err != nil {
				return "", err
			}
			return said(t.ram(ctx, "DeleteRole", map[string]string{"RoleName": t.prefix + "narrow"}))
		}},
	}
}

// chainedSession assumes a role that lives two hours from the session of another.
func chainedSession(ctx context.Context, t *target) (string, error) {
	c, err := t.narrowCredential(ctx)
	if err != nil {
		return "", err
	}
	name := t.prefix + "chained"
	if _, err := t.ram(ctx, "CreateRole", map[string]string{"RoleName": name, "AssumeRolePolicyDocument": t.trust(), "MaxSessionDuration": "7200"}); err != nil {
		return "", err
	}
	var last answer
	err = eventually(ctx, func() (bool, error) {
		var err error
		last, err = t.rpc(ctx, c, versionSTS, "AssumeRole", map[string]string{
			"RoleArn": t.roleARN(name), "RoleSessionName": "chained", "DurationSeconds": "7200"})
		return last.Status != 404, err
	})
	return last.String(), err
}

func (t *target) roleARN(name string) string { return "acs:ram::" + t.account + ":role/" + name }

func (t *target) trust() string {
	return `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::` + t.account + `:root"]}}]}`
}

// narrowCredential is a session of a role that may put objects below the probe's prefix and assume roles, and
// nothing else. The role is made at the first call.
func (t *target) narrowCredential(ctx context.Context) (credential, error) {
	name := t.prefix + "narrow"
	document, err := json.Marshal(map[string]any{"Version": "1", "Statement": []any{
		map[string]any{"Effect": "Allow", "Action": []string{"oss:PutObject"}, "Resource": []string{"acs:oss:*:*:" + t.bucket + "/" + t.prefix + "*"}},
		map[string]any{"Effect": "Allow", "Action": []string{"sts:AssumeRole", "ram:CreateRole", "ram:GetRole"},
			"Resource": []string{"acs:ram:*:*:role/" + t.prefix + "*"}},
	}})
	if err != nil {
		return credential{}, err
	}
	for _, call := range []struct {
		action string
		params map[string]string
	}{
		{"CreateRole", map[string]string{"RoleName": name, "AssumeRolePolicyDocument": t.trust()}},
		{"CreatePolicy", map[string]string{"PolicyName": name, "PolicyDocument": string(document)}},
		{"AttachPolicyToRole", map[string]string{"RoleName": name, "PolicyType": "Custom", "PolicyName": name}},
	} {
		a, err := t.ram(ctx, call.action, call.params)
		if err != nil {
			return credential{}, err
		}
		if a.Status != 200 && a.Status != 409 {
			return credential{}, fmt.Errorf("%s answered %s", call.action, a)
		}
	}
	var out struct {
		Credentials struct{ AccessKeyId, AccessKeySecret, SecurityToken string }
	}
	err = eventually(ctx, func() (bool, error) {
		a, err := t.rpc(ctx, t.admin, versionSTS, "AssumeRole", map[string]string{"RoleArn": t.roleARN(name), "RoleSessionName": "probe"})
		if err != nil || a.Status == 404 {
			return false, err
		}
		if a.Status != 200 {
			return false, fmt.Errorf("AssumeRole answered %s", a)
		}
		return true, json.Unmarshal(a.Body, &out)
	})
	c := out.Credentials
	return credential{c.AccessKeyId, c.AccessKeySecret, c.SecurityToken}, err
}

// eventually repeats a call until it is done: changes of RAM take seconds to become visible.
func eventually(ctx context.Context, done func() (bool, error)) error {
	for delay := 200 * time.Millisecond; ; delay *= 2 {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if delay > 20*time.Second {
			return fmt.Errorf("a change of RAM did not become visible")
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
