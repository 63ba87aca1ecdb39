package iam_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ims"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// issuer is an OIDC provider with one key.
type issuer struct {
	url  string
	key  *rsa.PrivateKey
	kid  string
	seen int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, kid: "k1"}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	answer := func(v func() any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			i.seen++
			_ = json.NewEncoder(w).Encode(v())
		}
	}
	mux.HandleFunc("/.well-known/openid-configuration", answer(func() any {
		return map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"}
	}))
	mux.HandleFunc("/keys", answer(func() any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: i.kid, Algorithm: "RS256", Use: "sig"}}}
	}))
	return i
}

func (i *issuer) token(t *testing.T, c jwt.Claims) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: i.key, KeyID: i.kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(signer).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAssumeRoleWithOIDC(t *testing.T) {
	const sub = "system:serviceaccount:family:album-signer"
	now := time.Now()
	other := newIssuer(t)
	valid := func(i *issuer) jwt.Claims {
		return jwt.Claims{Issuer: i.url, Subject: sub, Audience: jwt.Audience{"sts.aliyuncs.com"},
			Expiry: jwt.NewNumericDate(now.Add(time.Hour)), IssuedAt: jwt.NewNumericDate(now)}
	}
	hs256 := func() string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte("0123456789abcdef0123456789abcdef")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := jwt.Signed(s).Claims(jwt.Claims{Subject: "x"}).Serialize()
		return raw
	}()
	tests := map[string]struct {
		token  func(i *issuer) string
		change func(*sts.AssumeRoleWithOIDCRequest)
		want   string
	}{
		"granted": {},
		"token of another subject": {want: "401 AuthenticationFail.NoPermission", token: func(i *issuer) string {
			c := valid(i)
			c.Subject = "system:serviceaccount:family:other"
			return i.token(t, c)
		}},
		"token for another audience": {want: "401 AuthenticationFail.OIDCToken.AudienceNotMatch", token: func(i *issuer) string {
			c := valid(i)
			c.Audience = jwt.Audience{"kubernetes"}
			return i.token(t, c)
		}},
		"registered audience that the role does not trust": {want: "401 AuthenticationFail.NoPermission", token: func(i *issuer) string {
			c := valid(i)
			c.Audience = jwt.Audience{"second"}
			return i.token(t, c)
		}},
		"expired token": {want: "401 AuthenticationFail.OIDCToken.Expired", token: func(i *issuer) string {
			c := valid(i)
			c.Expiry = jwt.NewNumericDate(now.Add(-time.Second))
			return i.token(t, c)
		}},
		"token issued too long ago": {want: "401 AuthenticationFail.OIDCToken.Expired", token: func(i *issuer) string {
			c := valid(i)
			c.IssuedAt = jwt.NewNumericDate(now.Add(-13 * time.Hour))
			return i.token(t, c)
		}},
		"token without expiry": {want: "401 AuthenticationFail.OIDCToken.Invalid", token: func(i *issuer) string {
			c := valid(i)
			c.Expiry = nil
			return i.token(t, c)
		}},
		"token not valid yet": {want: "401 AuthenticationFail.OIDCToken.Invalid", token: func(i *issuer) string {
			c := valid(i)
			c.NotBefore = jwt.NewNumericDate(now.Add(time.Hour))
			return i.token(t, c)
		}},
		"signed by another key": {want: "401 AuthenticationFail.OIDCToken.InvalidSignature", token: func(i *issuer) string {
			forged := *other
			return forged.token(t, valid(i))
		}},
		"token of another issuer": {want: "401 AuthenticationFail.NoPermission", token: func(*issuer) string { return other.token(t, valid(other)) }},
		"symmetric signature":     {want: "401 AuthenticationFail.OIDCToken.Invalid", token: func(*issuer) string { return hs256 }},
		"two parts":               {want: "401 AuthenticationFail.OIDCToken.Invalid", token: func(*issuer) string { return "a.b" }},
		"no token":                {want: "401 AuthenticationFail.OIDCToken.Invalid", token: func(*issuer) string { return "" }},
		"unknown provider": {want: "401 AuthenticationFail.NoPermission", change: func(r *sts.AssumeRoleWithOIDCRequest) {
			r.OIDCProviderArn += "x"
		}},
		"unknown role": {want: "404 EntityNotExist.Role", change: func(r *sts.AssumeRoleWithOIDCRequest) { r.RoleArn += "x" }},
		"too long": {want: "400 InvalidParameter.DurationSeconds", change: func(r *sts.AssumeRoleWithOIDCRequest) {
			r.DurationSeconds = requests.NewInteger(3601)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, i := start(t), newIssuer(t)
			arn := f.provider("cluster", i.url, "sts.aliyuncs.com,second")
			_, err := f.createRole("album", federatedTrust(arn, i.url, sub))
			f.must(err)
			req := sts.CreateAssumeRoleWithOIDCRequest()
			req.OIDCProviderArn, req.RoleArn, req.RoleSessionName = arn, "acs:ram::"+account+":role/album", "signer"
			req.OIDCToken = i.token(t, valid(i))
			if tt.token != nil {
				req.OIDCToken = tt.token(i)
			}
			if tt.change != nil {
				tt.change(req)
			}
			resp, err := f.sts.AssumeRoleWithOIDC(req)
			if got := code(err); got != tt.want {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			if tt.want != "" {
				return
			}
			f.principalOf(resp.Credentials)
			if resp.OIDCTokenInfo.Subject != sub || resp.OIDCTokenInfo.Issuer != i.url || resp.OIDCTokenInfo.ClientIds != "sts.aliyuncs.com" {
				t.Errorf("OIDCTokenInfo is %+v", resp.OIDCTokenInfo)
			}
		})
	}
}

func (f *fixture) provider(name, issuer, clientIDs string) string {
	f.t.Helper()
	req := ims.CreateCreateOIDCProviderRequest()
	req.OIDCProviderName, req.IssuerUrl, req.ClientIds = name, issuer, clientIDs
	resp, err := f.ims.CreateOIDCProvider(req)
	f.must(err)
	return resp.OIDCProvider.Arn
}

func federatedTrust(provider, issuer, sub string) string {
	return `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Federated":["` + provider +
		`"]},"Condition":{"StringEquals":{"oidc:iss":["` + issuer + `"],"oidc:aud":["sts.aliyuncs.com"],"oidc:sub":["` + sub + `"]}}}]}`
}

func TestRoleTrustsOneProviderOnly(t *testing.T) {
	f, trusted, other := start(t), newIssuer(t), newIssuer(t)
	arn := f.provider("trusted", trusted.url, "sts.aliyuncs.com")
	otherARN := f.provider("other", other.url, "sts.aliyuncs.com")
	// Without a condition on oidc:iss only the Principal tells the two providers apart.
	_, err := f.createRole("album", `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Federated":["`+arn+
		`"]},"Condition":{"StringEquals":{"oidc:sub":"s"}}}]}`)
	f.must(err)
	req := sts.CreateAssumeRoleWithOIDCRequest()
	req.OIDCProviderArn, req.RoleArn, req.RoleSessionName = otherARN, "acs:ram::"+account+":role/album", "signer"
	req.OIDCToken = other.token(t, jwt.Claims{Issuer: other.url, Subject: "s", Audience: jwt.Audience{"sts.aliyuncs.com"},
		Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))})
	_, err = f.sts.AssumeRoleWithOIDC(req)
	if got := code(err); got != "401 AuthenticationFail.NoPermission" {
		t.Errorf("a token of another provider: %q", got)
	}
}

func TestDiscoveryDocumentMustBeOfTheIssuer(t *testing.T) {
	f, genuine := start(t), newIssuer(t)
	// A host that shows somebody else's discovery document does not become that issuer.
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": genuine.url, "jwks_uri": genuine.url + "/keys"})
	}))
	t.Cleanup(mirror.Close)
	arn := f.provider("mirror", mirror.URL, "sts.aliyuncs.com")
	_, err := f.createRole("album", federatedTrust(arn, mirror.URL, "s"))
	f.must(err)
	req := sts.CreateAssumeRoleWithOIDCRequest()
	req.OIDCProviderArn, req.RoleArn, req.RoleSessionName = arn, "acs:ram::"+account+":role/album", "signer"
	req.OIDCToken = genuine.token(t, jwt.Claims{Issuer: mirror.URL, Subject: "s", Audience: jwt.Audience{"sts.aliyuncs.com"},
		Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))})
	_, err = f.sts.AssumeRoleWithOIDC(req)
	if got := code(err); got != "401 AuthenticationFail.OIDCToken.HttpsUrlInvalid" {
		t.Errorf("got %q", got)
	}
}

func TestIssuerMayRotateItsKeys(t *testing.T) {
	f, i := start(t), newIssuer(t)
	arn := f.provider("cluster", i.url, "sts.aliyuncs.com")
	_, err := f.createRole("album", federatedTrust(arn, i.url, "s"))
	f.must(err)
	assume := func() error {
		req := sts.CreateAssumeRoleWithOIDCRequest()
		req.OIDCProviderArn, req.RoleArn, req.RoleSessionName = arn, "acs:ram::"+account+":role/album", "signer"
		req.OIDCToken = i.token(t, jwt.Claims{Issuer: i.url, Subject: "s", Audience: jwt.Audience{"sts.aliyuncs.com"},
			Expiry: jwt.NewNumericDate(f.clock.now().Add(time.Hour))})
		_, err := f.sts.AssumeRoleWithOIDC(req)
		return err
	}
	f.must(assume())
	f.must(assume())
	if i.seen != 2 {
		t.Errorf("the issuer was asked %d times, want once for its discovery and once for its keys", i.seen)
	}
	i.key, _ = rsa.GenerateKey(rand.Reader, 2048)
	i.kid = "k2"
	f.clock.offset = 3 * time.Second
	f.must(assume())
}

func TestOIDCProviderRules(t *testing.T) {
	tests := map[string]struct {
		change func(*ims.CreateOIDCProviderRequest)
		want   string
	}{
		"https":            {change: func(*ims.CreateOIDCProviderRequest) {}},
		"http":             {change: func(r *ims.CreateOIDCProviderRequest) { r.IssuerUrl = "http://issuer.example.com" }, want: "400 InvalidParameter.IssuerUrl"},
		"http on loopback": {change: func(r *ims.CreateOIDCProviderRequest) { r.IssuerUrl = "http://127.0.0.1:1" }},
		"query":            {change: func(r *ims.CreateOIDCProviderRequest) { r.IssuerUrl += "?a" }, want: "400 InvalidParameter.IssuerUrl"},
		"no issuer":        {change: func(r *ims.CreateOIDCProviderRequest) { r.IssuerUrl = "" }, want: "400 MissingIssuerUrl"},
		"name ends badly":  {change: func(r *ims.CreateOIDCProviderRequest) { r.OIDCProviderName = "a-" }, want: "400 InvalidParameter.OIDCProviderName.InvalidChars"},
		"odd client":       {change: func(r *ims.CreateOIDCProviderRequest) { r.ClientIds = "a b" }, want: "400 InvalidParameter.ClientIds"},
		"issuance limit":   {change: func(r *ims.CreateOIDCProviderRequest) { r.IssuanceLimitTime = requests.NewInteger(169) }, want: "400 InvalidParameter.IssuanceLimitTime"},
		"same issuer":      {change: func(r *ims.CreateOIDCProviderRequest) { r.IssuerUrl = "https://taken.example.com" }, want: "409 EntityAlreadyExists.OIDCProvider.IssuerUrl"},
		"same name":        {change: func(r *ims.CreateOIDCProviderRequest) { r.OIDCProviderName = "taken" }, want: "409 EntityAlreadyExists.OIDCProvider"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.provider("taken", "https://taken.example.com", "sts.aliyuncs.com")
			req := ims.CreateCreateOIDCProviderRequest()
			req.OIDCProviderName, req.IssuerUrl, req.ClientIds = "cluster", "https://issuer.example.com/id", "sts.aliyuncs.com"
			req.Fingerprints = "902ef2deeb3c5b13ea4c3d5193629309e231ae55"
			tt.change(req)
			_, err := f.ims.CreateOIDCProvider(req)
			if got := code(err); got != tt.want {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			if tt.want != "" {
				return
			}
			get := ims.CreateGetOIDCProviderRequest()
			get.OIDCProviderName = "cluster"
			got, err := f.ims.GetOIDCProvider(get)
			f.must(err)
			if got.OIDCProvider.IssuerUrl != req.IssuerUrl || got.OIDCProvider.ClientIds != "sts.aliyuncs.com" || got.OIDCProvider.IssuanceLimitTime != 12 {
				t.Errorf("GetOIDCProvider answered %+v", got.OIDCProvider)
			}
			list, err := f.ims.ListOIDCProviders(ims.CreateListOIDCProvidersRequest())
			f.must(err)
			if n := len(list.OIDCProviders.OIDCProvider); n != 2 {
				t.Errorf("ListOIDCProviders answered %d, want 2", n)
			}
			update := ims.CreateUpdateOIDCProviderRequest()
			update.OIDCProviderName, update.ClientIds = "cluster", "other"
			changed, err := f.ims.UpdateOIDCProvider(update)
			f.must(err)
			if changed.OIDCProvider.ClientIds != "other" {
				t.Errorf("UpdateOIDCProvider answered %+v", changed.OIDCProvider)
			}
			del := ims.CreateDeleteOIDCProviderRequest()
			del.OIDCProviderName = "cluster"
			_, err = f.ims.DeleteOIDCProvider(del)
			f.must(err)
			_, err = f.ims.GetOIDCProvider(get)
			if got := code(err); got != "404 EntityNotExist.OIDCProvider" {
				t.Errorf("GetOIDCProvider after delete: %s", got)
			}
		})
	}
}
