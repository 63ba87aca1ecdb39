package iam_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"

	"github.com/uploadtenant/uploadtenant/emulator/iam"
)

// principalOf returns the principal that holds the credentials of an AssumeRole answer.
func (f *fixture) principalOf(c sts.Credentials) iam.Principal {
	f.t.Helper()
	cred, ok := f.svc.Credential(c.AccessKeyId)
	if !ok || cred.Secret != c.AccessKeySecret || cred.SecurityToken != c.SecurityToken {
		f.t.Fatalf("Credential(%s) does not know what STS handed out", c.AccessKeyId)
	}
	return cred.Principal
}

func (f *fixture) allowed(p iam.Principal, action, resource string) bool {
	return f.svc.Authorize(iam.Request{Principal: p, Action: action, Resource: "acs:oss:*:" + account + ":" + resource}).Allowed
}

func TestAssumedRoleMayDoWhatItsPolicyAllowsUntilItExpires(t *testing.T) {
	f := start(t)
	_, err := f.createRole("r", trustAll)
	f.must(err)
	_, err = f.createPolicy("p", allowPuts)
	f.must(err)
	f.must(f.attach("r", "Custom", "p"))
	resp, err := f.assume(f.sts, "r")
	f.must(err)
	if resp.AssumedRoleUser.Arn != "acs:ram::"+account+":role/r/alice" || !strings.HasPrefix(resp.Credentials.AccessKeyId, "STS.") ||
		!strings.HasSuffix(resp.AssumedRoleUser.AssumedRoleId, ":alice") {
		t.Errorf("AssumeRole answered %+v", resp.AssumedRoleUser)
	}
	p := f.principalOf(resp.Credentials)
	if !f.allowed(p, "oss:PutObject", "bucket/album/a.jpg") {
		t.Error("the role may not do what its policy allows")
	}
	for _, other := range []struct{ action, resource string }{
		{"oss:PutObject", "bucket/other/a.jpg"}, {"oss:DeleteObject", "bucket/album/a.jpg"}, {"oss:PutObject", "bucket2/album/a.jpg"},
		{"oss:PutObject", "x:bucket/album/a.jpg"},
	} {
		if f.allowed(p, other.action, other.resource) {
			t.Errorf("the role may %s on %s", other.action, other.resource)
		}
	}

	_, assumed, _ := f.clients(resp.Credentials.AccessKeyId, resp.Credentials.AccessKeySecret, resp.Credentials.SecurityToken)
	who, err := assumed.GetCallerIdentity(sts.CreateGetCallerIdentityRequest())
	f.must(err)
	if who.IdentityType != "AssumedRoleUser" || who.Arn != "acs:ram::"+account+":assumed-role/r/alice" || who.AccountId != account {
		t.Errorf("GetCallerIdentity answered %+v", who)
	}
	f.clock.offset = time.Hour + time.Second
	if f.allowed(p, "oss:PutObject", "bucket/album/a.jpg") {
		t.Error("the role may act after its session expired")
	}
	// The SDK signs with the real time, which the moved clock refuses first; so authenticate by hand.
	cred, _ := f.svc.Credential(resp.Credentials.AccessKeyId)
	if cred.Expires.After(f.clock.now()) {
		t.Errorf("the credential lasts until %s", cred.Expires)
	}
}

func TestDeletedRoleEndsItsSessions(t *testing.T) {
	f := start(t)
	create := func() {
		_, err := f.createRole("r", trustAll)
		f.must(err)
		f.must(f.attach("r", "System", "AliyunOSSFullAccess"))
	}
	create()
	resp, err := f.assume(f.sts, "r")
	f.must(err)
	p := f.principalOf(resp.Credentials)
	allowed := func() bool { return f.allowed(p, "oss:PutObject", "bucket/a") }
	if !allowed() {
		t.Fatal("the session may do nothing")
	}
	detach := ram.CreateDetachPolicyFromRoleRequest()
	detach.RoleName, detach.PolicyType, detach.PolicyName = "r", "System", "AliyunOSSFullAccess"
	_, err = f.ram.DetachPolicyFromRole(detach)
	f.must(err)
	if allowed() {
		t.Error("the session outlived the attachment")
	}
	del := ram.CreateDeleteRoleRequest()
	del.RoleName = "r"
	_, err = f.ram.DeleteRole(del)
	f.must(err)
	create()
	if allowed() {
		t.Error("a new role of the same name revived the session of the old one")
	}
}

func TestTokenMustBelongToItsKey(t *testing.T) {
	f := start(t)
	_, err := f.createRole("r", trustAll)
	f.must(err)
	a, err := f.assume(f.sts, "r")
	f.must(err)
	b, err := f.assume(f.sts, "r")
	f.must(err)
	for name, tt := range map[string]struct{ key, secret, token, want string }{
		"its own":          {a.Credentials.AccessKeyId, a.Credentials.AccessKeySecret, a.Credentials.SecurityToken, ""},
		"another one's":    {a.Credentials.AccessKeyId, a.Credentials.AccessKeySecret, b.Credentials.SecurityToken, "400 InvalidSecurityToken.MismatchWithAccessKey"},
		"none":             {a.Credentials.AccessKeyId, a.Credentials.AccessKeySecret, "", "400 MissingSecurityToken"},
		"with a fixed key": {adminKey, adminSK, a.Credentials.SecurityToken, "400 InvalidSecurityToken.MismatchWithAccessKey"},
		"unknown key":      {"STS.Nobody", "x", a.Credentials.SecurityToken, "404 InvalidAccessKeyId.NotFound"},
	} {
		t.Run(name, func(t *testing.T) {
			_, client, _ := f.clients(tt.key, tt.secret, tt.token)
			_, err := client.GetCallerIdentity(sts.CreateGetCallerIdentityRequest())
			if got := code(err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRefusalsOfAssumeRole(t *testing.T) {
	const external = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::` + account + `:root"]},"Condition":{"StringEquals":{"sts:ExternalId":"door"}}}]}`
	const onlyBob = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::` + account + `:user/bob"]}}]}`
	set := func(change func(*sts.AssumeRoleRequest)) func(*sts.AssumeRoleRequest) { return change }
	tests := map[string]struct {
		trust  string
		change func(*sts.AssumeRoleRequest)
		as     string
		want   string
	}{
		"granted":            {trust: trustAll},
		"unknown role":       {trust: trustAll, change: set(func(r *sts.AssumeRoleRequest) { r.RoleArn += "x" }), want: "404 EntityNotExist.Role"},
		"other account":      {trust: trustAll, change: set(func(r *sts.AssumeRoleRequest) { r.RoleArn = "acs:ram::1:role/r" }), want: "404 EntityNotExist.Role"},
		"no ARN":             {trust: trustAll, change: set(func(r *sts.AssumeRoleRequest) { r.RoleArn = "r" }), want: "400 InvalidParameter.RoleArn"},
		"no session name":    {trust: trustAll, change: set(func(r *sts.AssumeRoleRequest) { r.RoleSessionName = "" }), want: "400 MissingRoleSessionName"},
		"short session name": {trust: trustAll, change: set(func(r *sts.AssumeRoleRequest) { r.RoleSessionName = "a" }), want: "400 InvalidParameter.RoleSessionName"},
		"odd session name":   {trust: trustAll, change: set(func(r *sts.AssumeRoleRequest) { r.RoleSessionName = "a b" }), want: "400 InvalidParameter.RoleSessionName"},
		"too short":          {trust: trustAll, change: set(func(r *sts.AssumeRoleRequest) { r.DurationSeconds = requests.NewInteger(899) }), want: "400 InvalidParameter.DurationSeconds"},
		"longer than role":   {trust: trustAll, change: set(func(r *sts.AssumeRoleRequest) { r.DurationSeconds = requests.NewInteger(3601) }), want: "400 InvalidParameter.DurationSeconds"},
		"long policy":        {trust: trustAll, change: set(func(r *sts.AssumeRoleRequest) { r.Policy = strings.Repeat(" ", 2048) + "{}" }), want: "400 InvalidParameter.PolicySize"},
		"malformed policy":   {trust: trustAll, change: set(func(r *sts.AssumeRoleRequest) { r.Policy = "{}" }), want: "400 InvalidParameter.PolicyGrammar"},
		"not trusted":        {trust: onlyBob, want: "403 NoPermission"},
		"external id absent": {trust: external, want: "403 NoPermission"},
		"external id wrong":  {trust: external, change: set(func(r *sts.AssumeRoleRequest) { r.ExternalId = "wall" }), want: "403 NoPermission"},
		"external id right":  {trust: external, change: set(func(r *sts.AssumeRoleRequest) { r.ExternalId = "door" })},
		"root":               {trust: trustAll, as: "root", want: "403 NoPermission"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			_, err := f.createRole("r", tt.trust)
			f.must(err)
			client := f.sts
			if tt.as == "root" {
				_, client, _ = f.clients(rootKey, rootSK, "")
			}
			change := tt.change
			if change == nil {
				change = func(*sts.AssumeRoleRequest) {}
			}
			_, err = f.assume(client, "r", change)
			if got := code(err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUserNeedsPermissionForEveryCall(t *testing.T) {
	f := start(t)
	_, err := f.createRole("ut-r", trustAll)
	f.must(err)
	create := ram.CreateCreateUserRequest()
	create.UserName = "bob"
	_, err = f.ram.CreateUser(create)
	f.must(err)
	keyReq := ram.CreateCreateAccessKeyRequest()
	keyReq.UserName = "bob"
	key, err := f.ram.CreateAccessKey(keyReq)
	f.must(err)
	bobRAM, bobSTS, _ := f.clients(key.AccessKey.AccessKeyId, key.AccessKey.AccessKeySecret, "")
	get := func(name string) string {
		req := ram.CreateGetRoleRequest()
		req.RoleName = name
		_, err := bobRAM.GetRole(req)
		return code(err)
	}
	if got := get("ut-r"); got != "403 NoPermission" {
		t.Errorf("GetRole without a policy: %s", got)
	}
	if _, err := f.assume(bobSTS, "ut-r"); code(err) != "403 NoPermission" {
		t.Errorf("AssumeRole without a policy: %s", code(err))
	}
	_, err = f.createPolicy("bob", `{"Version":"1","Statement":[{"Effect":"Allow","Action":["ram:*Role","sts:AssumeRole"],"Resource":"acs:ram:*:*:role/ut-*"}]}`)
	f.must(err)
	attach := ram.CreateAttachPolicyToUserRequest()
	attach.UserName, attach.PolicyType, attach.PolicyName = "bob", "Custom", "bob"
	_, err = f.ram.AttachPolicyToUser(attach)
	f.must(err)
	if got := get("ut-r"); got != "" {
		t.Errorf("GetRole with a policy: %s", got)
	}
	if got := get("other"); got != "403 NoPermission" {
		t.Errorf("GetRole outside the policy: %s", got)
	}
	if _, err := f.assume(bobSTS, "ut-r"); err != nil {
		t.Errorf("AssumeRole with a policy: %v", err)
	}
	off := ram.CreateUpdateAccessKeyRequest()
	off.UserName, off.UserAccessKeyId, off.Status = "bob", key.AccessKey.AccessKeyId, "Inactive"
	_, err = f.ram.UpdateAccessKey(off)
	f.must(err)
	if got := get("ut-r"); got != "400 InvalidAccessKeyId.Inactive" {
		t.Errorf("GetRole with a key that is off: %s", got)
	}
}
