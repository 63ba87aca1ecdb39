package demo

import (
	"context"
	"crypto/sha1" // RAM names certificates by their SHA-1 fingerprint
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
)

// Names that the platform team gives in RAM.
const (
	providerName = "demo-cluster"
	managerRole  = "uploadtenant-manager"
	providerARN  = "acs:ram::" + AccountID + ":oidc-provider/" + providerName
	managerARN   = "acs:ram::" + AccountID + ":role/" + managerRole
)

// prepareAccount does what docs/guides/install.md tells a platform team to do once per account: register the
// cluster's issuer, and make the manager's role with the rights of manager-ram-policy.json.
func (d *Demo) prepareAccount(ctx context.Context) error {
	var err error
	if d.issuer, err = d.findIssuer(ctx); err != nil {
		return err
	}
	if err := d.registerProvider(ctx); err != nil {
		return err
	}
	fill := strings.NewReplacer("${PROVIDER_ARN}", providerARN, "${ISSUER}", d.issuer,
		"${NAMESPACE}", OperatorNamespace, "${SERVICE_ACCOUNT}", Release)
	trust, err := manifests.ReadFile("manifests/manager-trust.json")
	if err != nil {
		return err
	}
	rights, err := os.ReadFile(filepath.Join(d.opts.Root, "docs", "guides", "manager-ram-policy.json"))
	if err != nil {
		return err
	}
	if err := d.ensureRole(ctx, fill.Replace(string(trust))); err != nil {
		return err
	}
	if err := d.ensurePolicy(ctx, string(rights)); err != nil {
		return err
	}
	err = d.ram(ctx, ramVersion, "AttachPolicyToRole", map[string]string{"PolicyType": "Custom", "PolicyName": managerRole, "RoleName": managerRole}, nil)
	if err != nil && !exists(err) {
		return err
	}
	d.say("role %s: may touch roles and policies named ut-* and the settings of buckets, no object", managerARN)
	return nil
}

// findIssuer reads who signs the cluster's service account tokens.
func (d *Demo) findIssuer(ctx context.Context) (string, error) {
	raw, err := d.net.client.Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("read the issuer of the cluster's service account tokens: %w", err)
	}
	var document struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(raw, &document); err != nil || document.Issuer == "" {
		return "", errors.New("the cluster does not say who issues its service account tokens (/.well-known/openid-configuration)")
	}
	return document.Issuer, nil
}

func (d *Demo) registerProvider(ctx context.Context) error {
	create := func() error {
		return d.ram(ctx, imsVersion, "CreateOIDCProvider", map[string]string{
			"OIDCProviderName": providerName, "IssuerUrl": d.issuer, "ClientIds": "sts.aliyuncs.com",
			"Fingerprints": fingerprint(d.config), "Description": "service accounts of the demo's cluster",
		}, nil)
	}
	err := create()
	if exists(err) {
		var have struct{ OIDCProvider struct{ IssuerUrl string } }
		if err := d.ram(ctx, imsVersion, "GetOIDCProvider", map[string]string{"OIDCProviderName": providerName}, &have); err != nil {
			return err
		}
		if have.OIDCProvider.IssuerUrl == d.issuer {
			d.say("OIDC provider %s is registered", providerARN)
			return nil
		}
		if err := d.ram(ctx, imsVersion, "DeleteOIDCProvider", map[string]string{"OIDCProviderName": providerName}, nil); err != nil {
			return err
		}
		err = create()
	}
	if err != nil {
		return err
	}
	d.say("OIDC provider %s registered for the issuer %s", providerARN, d.issuer)
	return nil
}

// fingerprint of the certificate authority that the issuer's server is trusted by.
func fingerprint(config *rest.Config) string {
	block, _ := pem.Decode(config.CAData)
	if block == nil {
		// RAM wants one; for issuers with a publicly trusted certificate it is not looked at.
		return strings.Repeat("0", 40)
	}
	sum := sha1.Sum(block.Bytes)
	return hex.EncodeToString(sum[:])
}

func (d *Demo) ensureRole(ctx context.Context, trust string) error {
	err := d.ram(ctx, ramVersion, "CreateRole", map[string]string{
		"RoleName": managerRole, "AssumeRolePolicyDocument": trust, "Description": "manager of uploadtenant",
	}, nil)
	if exists(err) {
		err = d.ram(ctx, ramVersion, "UpdateRole", map[string]string{"RoleName": managerRole, "NewAssumeRolePolicyDocument": trust}, nil)
	}
	return err
}

func (d *Demo) ensurePolicy(ctx context.Context, rights string) error {
	err := d.ram(ctx, ramVersion, "CreatePolicy", map[string]string{
		"PolicyName": managerRole, "PolicyDocument": rights, "Description": "rights of the manager of uploadtenant",
	}, nil)
	if !exists(err) {
		return err
	}
	var have struct {
		DefaultPolicyVersion struct{ PolicyDocument string }
	}
	if err := d.ram(ctx, ramVersion, "GetPolicy", map[string]string{"PolicyType": "Custom", "PolicyName": managerRole}, &have); err != nil {
		return err
	}
	if have.DefaultPolicyVersion.PolicyDocument == rights {
		return nil
	}
	return d.ram(ctx, ramVersion, "CreatePolicyVersion", map[string]string{
		"PolicyName": managerRole, "PolicyDocument": rights, "SetAsDefault": "true",
		"RotateStrategy": "DeleteOldestNonDefaultVersionWhenLimitExceeded",
	}, nil)
}

// exists tells whether err says that the thing to create, or to attach, is already there.
func exists(err error) bool {
	var e *apiError
	return errors.As(err, &e) && e.Status == http.StatusConflict && strings.HasPrefix(e.Code, "EntityAlreadyExist")
}
