package devmode

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/policy"
)

// registerProvider makes the issuer known to the emulated RAM, as a person does once per cluster in the
// console. It is IMS CreateOIDCProvider, Version 2019-08-15; a provider that exists already is fine.
func registerProvider(ctx context.Context, endpoint string, key accessKey, now time.Time) error {
	form := url.Values{
		"Action": {"CreateOIDCProvider"}, "Version": {"2019-08-15"}, "Format": {"JSON"},
		"OIDCProviderName": {providerName}, "IssuerUrl": {issuerURL}, "ClientIds": {policy.TokenAudience},
		"Description": {"service accounts of kubectl-uploads dev"},
		"AccessKeyId": {key.ID}, "SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"},
		"SignatureNonce": {rand.Text()}, "Timestamp": {now.UTC().Format("2006-01-02T15:04:05Z")},
	}
	form.Set("Signature", rpcSignature(form, key.Secret))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("register the OIDC provider: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct{ Code, Message string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("register the OIDC provider: read the answer: %w", err)
	}
	if resp.StatusCode == http.StatusOK || strings.HasPrefix(answer.Code, "EntityAlreadyExists") {
		return nil
	}
	return fmt.Errorf("register the OIDC provider: %s: %s", answer.Code, answer.Message)
}

// rpcSignature is the RPC signature of version 1.0
// (https://help.aliyun.com/zh/sdk/product-overview/rpc-mechanism).
func rpcSignature(form url.Values, secret string) string {
	// url.Values.Encode sorts by name; it differs from RFC 3986 in three characters.
	canonical := strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(form.Encode())
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte("POST&%2F&" + strings.ReplaceAll(url.QueryEscape(canonical), "+", "%20")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
