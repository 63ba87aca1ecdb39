package iam

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/uploadtenant/uploadtenant/emulator/iam/policydoc"
	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

// algorithms are the asymmetric signatures that a token may carry. HS256 is refused by name (STS error codes).
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

func tokenError(code, message string) *rpc.Error {
	return &rpc.Error{Status: 401, Code: "AuthenticationFail." + code, Message: message}
}

// The refusals of AssumeRoleWithOIDC, word for word from the STS error codes page.
func errNotTrusted() *rpc.Error { return tokenError("NoPermission", "There is no permission") }
func errInvalidToken() *rpc.Error {
	return tokenError("OIDCToken.Invalid", "The Jwt content is invalid that cannot be recognized.")
}

// claims are the parts of a token that STS looks at.
type claims struct {
	jwt.Claims
}

func assumeRoleWithOIDC(c *call) (any, *rpc.Error) {
	if e := c.need("OIDCProviderArn", "RoleArn", "RoleSessionName"); e != nil {
		return nil, e
	}
	provider, e := c.providerByARN(c.params["OIDCProviderArn"])
	if e != nil {
		return nil, e
	}
	token, e := c.verifiedToken(provider, c.params["OIDCToken"])
	if e != nil {
		return nil, e
	}
	a, e := c.assumeParams()
	if e != nil {
		return nil, e
	}
	ctx := map[string][]string{
		"acs:CurrentTime": {c.now.UTC().Format(time.RFC3339)},
		"oidc:iss":        {token.Issuer}, "oidc:aud": token.Audience, "oidc:sub": {token.Subject},
	}
	trusted := c.svc.trustAllows(a.role, ctx, func(p policydoc.Principal) bool {
		return p.Type == "Federated" && p.Value == c.params["OIDCProviderArn"]
	})
	if !trusted {
		return nil, errNotTrusted()
	}
	creds, user, e := c.newSession(a)
	if e != nil {
		return nil, e
	}
	return struct {
		AssumedRoleUser assumedRoleUserView
		Credentials     credentialsView
		OIDCTokenInfo   tokenInfoView
	}{user, creds, viewToken(token)}, nil
}

type tokenInfoView struct{ Subject, Issuer, ClientIds, ExpirationTime, IssuanceTime, VerificationInfo string }

func viewToken(t *claims) tokenInfoView {
	v := tokenInfoView{Subject: t.Subject, Issuer: t.Issuer, ClientIds: strings.Join(t.Audience, ","), VerificationInfo: "Success"}
	if t.Expiry != nil {
		v.ExpirationTime = formatTime(t.Expiry.Time())
	}
	if t.IssuedAt != nil {
		v.IssuanceTime = formatTime(t.IssuedAt.Time())
	}
	return v
}

func (c *call) providerByARN(arn string) (*oidcProvider, *rpc.Error) {
	name, ok := strings.CutPrefix(arn, c.arn("oidc-provider/"))
	var p *oidcProvider
	if ok {
		c.svc.read(func(st *state) { p = st.providers[name] })
	}
	if p == nil {
		return nil, tokenError("NoPermission", "No such OIDC Provider registered.")
	}
	return p, nil
}

// verifiedToken checks a token against its provider: form, signature, issuer, audience and times.
func (c *call) verifiedToken(p *oidcProvider, raw string) (*claims, *rpc.Error) {
	if raw == "" {
		return nil, tokenError("OIDCToken.Invalid", "The OIDCToken can not empty.")
	}
	if len(raw) < minOIDCToken || len(raw) > maxOIDCToken {
		return nil, errInvalidToken()
	}
	if strings.Count(raw, ".") != 2 {
		return nil, tokenError("OIDCToken.Invalid", "The number of Jwt field should be divided into 3 parts with '.' .")
	}
	token, err := jwt.ParseSigned(raw, algorithms)
	if err != nil {
		if alg := headerAlgorithm(raw); alg != "" && !slices.Contains(algorithms, jose.SignatureAlgorithm(alg)) {
			return nil, tokenError("OIDCToken.Invalid", "The algorithm "+alg+" that be specified in Jwt header is unknown.")
		}
		return nil, errInvalidToken()
	}
	var out claims
	// The claims are read before the signature to answer a foreign issuer without asking it for keys.
	if err := token.UnsafeClaimsWithoutVerification(&out); err != nil {
		return nil, errInvalidToken()
	}
	if out.Issuer != p.IssuerURL {
		return nil, tokenError("NoPermission", "No such OIDC Provider registered.")
	}
	if e := c.verifySignature(p, token, &out); e != nil {
		return nil, e
	}
	return &out, c.checkClaims(p, &out)
}

func (c *call) verifySignature(p *oidcProvider, token *jwt.JSONWebToken, out *claims) *rpc.Error {
	kid := token.Headers[0].KeyID
	keys, err := c.svc.issuers.keys(c.ctx, p.IssuerURL, kid)
	if err != nil {
		c.svc.opts.Logger.Warn("read the keys of an issuer", "issuer", p.IssuerURL, "error", err)
		if errors.Is(err, errIssuerCertificate) {
			return tokenError("OIDCToken.HttpsUrlInvalid", "Invoke url failed due to certificate chain validation")
		}
		return tokenError("OIDCToken.HttpsUrlInvalid", "The keys of the issuer could not be read; the log of the emulator says why.")
	}
	for _, key := range keys {
		if (kid == "" || key.KeyID == kid) && token.Claims(key.Key, out) == nil {
			return nil
		}
	}
	return tokenError("OIDCToken.InvalidSignature", "OIDC token validate failed: invalid signature.")
}

func (c *call) checkClaims(p *oidcProvider, t *claims) *rpc.Error {
	if len(t.Audience) == 0 || !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(p.ClientIDs, a) }) {
		return tokenError("OIDCToken.AudienceNotMatch", "Invalid audience.")
	}
	if t.Expiry == nil || t.Subject == "" {
		return errInvalidToken()
	}
	expired := tokenError("OIDCToken.Expired", "This JsonWebToken is expired.")
	if !c.now.Before(t.Expiry.Time()) {
		return expired
	}
	// iat may lie in the future only by the drift of clocks; nbf likewise.
	const drift = time.Minute
	if t.NotBefore != nil && c.now.Add(drift).Before(t.NotBefore.Time()) {
		return errInvalidToken()
	}
	if t.IssuedAt != nil {
		if c.now.Add(drift).Before(t.IssuedAt.Time()) {
			return errInvalidToken()
		}
		if c.now.Sub(t.IssuedAt.Time()) > time.Duration(p.IssuanceLimit)*time.Hour {
			return expired
		}
	}
	return nil
}

func headerAlgorithm(raw string) string {
	first, _, _ := strings.Cut(raw, ".")
	decoded, err := decodeSegment(first)
	if err != nil {
		return ""
	}
	var header struct {
		Alg string `json:"alg"`
	}
	if json.Unmarshal(decoded, &header) != nil {
		return ""
	}
	return header.Alg
}
