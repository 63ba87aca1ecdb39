package aliyun

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/signer/sts"
)

// credential is an access key, with a token when it is temporary.
type credential struct {
	id, secret, token string
}

// credentialSource hands out the credential to use now.
type credentialSource interface {
	credential(ctx context.Context) (credential, error)
}

// static is a credential that does not change.
type static credential

func (s static) credential(context.Context) (credential, error) { return credential(s), nil }

// credentials resolves how the manager authenticates to an account.
func (o *Opener) credentials(account cloud.Account) (credentialSource, error) {
	switch c := account.Credentials; {
	case c.OIDC != nil:
		return o.assumed(account, *c.OIDC)
	case c.Static != nil:
		if c.Static.AccessKeyID == "" || c.Static.AccessKeySecret == "" {
			return nil, cloud.Errorf(cloud.Denied, "credentials", "the access key id or the access key secret is empty")
		}
		return static{c.Static.AccessKeyID, c.Static.AccessKeySecret, c.Static.SecurityToken}, nil
	case c.Environment:
		return o.environment(account)
	default:
		return nil, cloud.Errorf(cloud.Invalid, "credentials", "the account names no credentials")
	}
}

// environment reads an access key, else the RRSA variables that ack-pod-identity-webhook sets.
func (o *Opener) environment(account cloud.Account) (credentialSource, error) {
	env := o.opts.Getenv
	if id, secret := env("ALIBABA_CLOUD_ACCESS_KEY_ID"), env("ALIBABA_CLOUD_ACCESS_KEY_SECRET"); id != "" && secret != "" {
		return static{id, secret, env("ALIBABA_CLOUD_SECURITY_TOKEN")}, nil
	}
	oidc := cloud.OIDCCredentials{
		RoleARN:     env("ALIBABA_CLOUD_ROLE_ARN"),
		ProviderARN: env("ALIBABA_CLOUD_OIDC_PROVIDER_ARN"),
		TokenFile:   env("ALIBABA_CLOUD_OIDC_TOKEN_FILE"),
	}
	if oidc.RoleARN == "" || oidc.ProviderARN == "" || oidc.TokenFile == "" {
		return nil, cloud.Errorf(cloud.Denied, "credentials",
			"the manager's environment has neither ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET nor the RRSA variables ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and ALIBABA_CLOUD_OIDC_TOKEN_FILE")
	}
	return o.assumed(account, oidc)
}

// sessionDuration is what every role allows; a longer one needs a setting on the role.
const sessionDuration = time.Hour

// renewBefore its end a session is replaced, so that no call starts with one that ends meanwhile. It
// leaves ten minutes to ride out an STS that is down.
const renewBefore = 10 * time.Minute

// assumedRole keeps one STS session and replaces it before it ends.
type assumedRole struct {
	client *sts.Client
	clock  func() time.Time

	mu      sync.Mutex
	current sts.Credential
}

func (o *Opener) assumed(account cloud.Account, c cloud.OIDCCredentials) (*assumedRole, error) {
	client, err := sts.New(sts.Config{
		Endpoint:        stsEndpoint(account),
		RoleARN:         c.RoleARN,
		OIDCProviderARN: c.ProviderARN,
		TokenFile:       c.TokenFile,
		SessionName:     "uploadtenant-manager",
		SessionDuration: sessionDuration,
		HTTPClient: &http.Client{
			Transport:     o.opts.Transport,
			Timeout:       o.opts.CallTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	})
	if err != nil {
		return nil, &cloud.Error{Class: cloud.Invalid, Operation: "credentials", Detail: err.Error(), Err: err}
	}
	return &assumedRole{client: client, clock: o.opts.Clock}, nil
}

// credential returns the session. While STS is down the old one serves until it ends.
func (a *assumedRole) credential(ctx context.Context) (credential, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	if now.After(a.current.Expires.Add(-renewBefore)) {
		fresh, err := a.client.AssumeRole(ctx)
		switch {
		case err == nil:
			a.current = fresh
		case !now.Before(a.current.Expires):
			return credential{}, classifySTS("sts:AssumeRoleWithOIDC", err)
		}
	}
	return credential{a.current.AccessKeyID, a.current.AccessKeySecret, a.current.SecurityToken}, nil
}
