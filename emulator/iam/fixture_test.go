package iam_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ims"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"

	"github.com/uploadtenant/uploadtenant/emulator/iam"
	"github.com/uploadtenant/uploadtenant/test/await"
)

const (
	account   = "1234567890123456"
	adminKey  = "LTAI5tAdminKey0000000001"
	adminSK   = "AdminSecret00000000000000000001"
	rootKey   = "LTAI5tRootKey00000000001"
	rootSK    = "RootSecret000000000000000000001"
	trustAll  = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::` + account + `:root"]}}]}`
	allowPuts = `{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:PutObject","oss:GetObject"],"Resource":["acs:oss:*:*:bucket/album/*"]}]}`
)

// clock is a time that tests move.
type clock struct{ offset time.Duration }

func (c *clock) now() time.Time { return time.Now().Add(c.offset) }

// fixture is a running service and the official clients that talk to it.
type fixture struct {
	t     *testing.T
	svc   *iam.Service
	host  string
	clock *clock
	ram   *ram.Client
	sts   *sts.Client
	ims   *ims.Client
}

func start(t *testing.T, change ...func(*iam.Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: &clock{}}
	opts := iam.Options{
		AccountID: account, AccessKeyID: adminKey, AccessKeySecret: adminSK,
		RootAccessKeyID: rootKey, RootAccessKeySecret: rootSK, Clock: f.clock.now,
	}
	for _, c := range change {
		c(&opts)
	}
	svc, err := iam.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = svc.Close() })
	server := httptest.NewServer(svc.Handler())
	t.Cleanup(server.Close)
	f.svc, f.host = svc, strings.TrimPrefix(server.URL, "http://")
	f.ram, f.sts, f.ims = f.clients(adminKey, adminSK, "")
	return f
}

func (f *fixture) clients(key, secret, token string) (*ram.Client, *sts.Client, *ims.Client) {
	f.t.Helper()
	config := func() *sdk.Config {
		return sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false).WithTimeout(await.Patience)
	}
	cred := credentials.NewStsTokenCredential(key, secret, token)
	r, err := ram.NewClientWithOptions("cn-hangzhou", config(), cred)
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := sts.NewClientWithOptions("cn-hangzhou", config(), cred)
	if err != nil {
		f.t.Fatal(err)
	}
	i, err := ims.NewClientWithOptions("cn-hangzhou", config(), cred)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Domain, s.Domain, i.Domain = f.host, f.host, f.host
	return r, s, i
}

// code returns "status code" of an SDK error, empty for success.
func code(err error) string {
	if err == nil {
		return ""
	}
	var server *sdkerrors.ServerError
	if errors.As(err, &server) {
		return fmt.Sprintf("%d %s", server.HttpStatus(), server.ErrorCode())
	}
	return err.Error()
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) createRole(name, trust string) (*ram.CreateRoleResponse, error) {
	req := ram.CreateCreateRoleRequest()
	req.RoleName, req.AssumeRolePolicyDocument = name, trust
	return f.ram.CreateRole(req)
}

func (f *fixture) createPolicy(name, document string) (*ram.CreatePolicyResponse, error) {
	req := ram.CreateCreatePolicyRequest()
	req.PolicyName, req.PolicyDocument = name, document
	return f.ram.CreatePolicy(req)
}

func (f *fixture) attach(role, kind, policy string) error {
	req := ram.CreateAttachPolicyToRoleRequest()
	req.RoleName, req.PolicyType, req.PolicyName = role, kind, policy
	_, err := f.ram.AttachPolicyToRole(req)
	return err
}

func (f *fixture) assume(client *sts.Client, role string, change ...func(*sts.AssumeRoleRequest)) (*sts.AssumeRoleResponse, error) {
	req := sts.CreateAssumeRoleRequest()
	req.RoleArn, req.RoleSessionName = "acs:ram::"+account+":role/"+role, "alice"
	for _, c := range change {
		c(req)
	}
	return client.AssumeRole(req)
}
