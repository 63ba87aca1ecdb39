// Package sts is a small client for the one STS call that needs no AccessKey: AssumeRoleWithOIDC. It
// speaks http as well as https, so that it works against VPC endpoints and the emulator alike, and it
// depends on the standard library only.
package sts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// apiVersion of STS, see https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-overview.
const apiVersion = "2015-04-01"

// maxAnswer bounds what is read of an answer; a security token is a few KiB and has no documented limit.
const maxAnswer = 1 << 20

// Credential is a temporary identity of a RAM role.
type Credential struct {
	AccessKeyID     string
	AccessKeySecret string
	SecurityToken   string
	// Expires is when STS ends the session.
	Expires time.Time
}

// String hides the secret parts, so that a credential cannot reach a log by accident.
func (c Credential) String() string {
	return fmt.Sprintf("sts credential until %s", c.Expires.UTC().Format(time.RFC3339))
}

// GoString hides the secret parts of %#v too.
func (c Credential) GoString() string { return c.String() }

// Config says which role to assume and with which token.
type Config struct {
	// Endpoint is a base URL, for example https://sts.cn-hangzhou.aliyuncs.com.
	Endpoint        string
	RoleARN         string
	OIDCProviderARN string
	// TokenFile holds the OIDC token; it is read for every call, because the kubelet rotates it.
	TokenFile string
	// SessionName is 2 to 64 characters of letters, digits and . @ - _; others are replaced.
	SessionName string
	// SessionDuration between 15 minutes and the role's own limit; zero means one hour.
	SessionDuration time.Duration
	// Policy narrows the session when it is not empty, at most 2048 characters.
	Policy string
	// Clock stamps the requests; it defaults to time.Now.
	Clock func() time.Time
	// HTTPClient defaults to one with a 10 second timeout that follows no redirect.
	HTTPClient *http.Client
}

// Client calls AssumeRoleWithOIDC.
type Client struct {
	cfg  Config
	http *http.Client
	base *url.URL
}

// New checks cfg and returns a client. It makes no call.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.Endpoint)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("sts endpoint %q must be a base URL such as https://sts.cn-hangzhou.aliyuncs.com", cfg.Endpoint)
	}
	for name, value := range map[string]string{"role ARN": cfg.RoleARN, "OIDC provider ARN": cfg.OIDCProviderARN, "token file": cfg.TokenFile} {
		if value == "" {
			return nil, fmt.Errorf("sts needs the %s", name)
		}
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.SessionDuration == 0 {
		cfg.SessionDuration = time.Hour
	}
	if cfg.SessionDuration < 15*time.Minute || cfg.SessionDuration > 12*time.Hour {
		return nil, fmt.Errorf("sts session duration %s must be between 15m and 12h", cfg.SessionDuration)
	}
	cfg.SessionName = sessionName(cfg.SessionName)
	client := cfg.HTTPClient
	if client == nil {
		client = &http.Client{
			Timeout: 10 * time.Second,
			// A redirect would carry the OIDC token to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Client{cfg: cfg, http: client, base: base}, nil
}

// sessionName maps name to what STS accepts: 2 to 64 of [A-Za-z0-9.@_-].
func sessionName(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(".@_-", r):
			return r
		}
		return '-'
	}, name)
	if len(clean) > 64 {
		clean = clean[:64]
	}
	if len(clean) < 2 {
		clean = "uploadtenant"
	}
	return clean
}

// Error is a refusal by STS. Code is stable and documented; RequestID is for logs only.
type Error struct {
	Status    int
	Code      string
	Message   string
	RequestID string
}

// Error names the code and what STS said, without the request id, so that the text is stable.
func (e *Error) Error() string {
	return fmt.Sprintf("sts AssumeRoleWithOIDC refused with status %d: %s: %s", e.Status, e.Code, e.Message)
}

// Temporary tells whether the same call may succeed later without anybody changing anything.
func (e *Error) Temporary() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || strings.HasPrefix(e.Code, "Throttling")
}

// Code returns the STS error code in err's chain, or "".
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// AssumeRole exchanges the token in the token file for a credential. The error is an *Error when STS
// answered. The token never appears in an error: it travels in the body, not in the URL.
func (c *Client) AssumeRole(ctx context.Context) (Credential, error) {
	token, err := readToken(c.cfg.TokenFile)
	if err != nil {
		return Credential{}, err
	}
	query := url.Values{"Action": {"AssumeRoleWithOIDC"}, "Version": {apiVersion}, "Format": {"JSON"},
		"Timestamp": {c.cfg.Clock().UTC().Format("2006-01-02T15:04:05Z")}}
	form := url.Values{
		"RoleArn":         {c.cfg.RoleARN},
		"OIDCProviderArn": {c.cfg.OIDCProviderARN},
		"OIDCToken":       {token},
		"RoleSessionName": {c.cfg.SessionName},
		"DurationSeconds": {strconv.FormatInt(int64(c.cfg.SessionDuration/time.Second), 10)},
	}
	if c.cfg.Policy != "" {
		form.Set("Policy", c.cfg.Policy)
	}
	target := *c.base
	target.Path, target.RawQuery = "/", query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return Credential{}, fmt.Errorf("build sts request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return Credential{}, fmt.Errorf("reach sts: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Credential{}, fmt.Errorf("read sts answer: %w", err)
	}
	return parseAnswer(resp.StatusCode, body)
}

// parseAnswer reads the JSON answer of an RPC-style API.
func parseAnswer(status int, body []byte) (Credential, error) {
	var answer struct {
		RequestID   string `json:"RequestId"`
		Code        string
		Message     string
		Credentials struct {
			AccessKeyID     string `json:"AccessKeyId"`
			AccessKeySecret string
			SecurityToken   string
			Expiration      string
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Credential{}, &Error{Status: status, Code: "UnreadableAnswer", Message: "the answer is not JSON; check that the endpoint is STS"}
	}
	if status < 200 || status > 299 {
		return Credential{}, &Error{Status: status, Code: answer.Code, Message: answer.Message, RequestID: answer.RequestID}
	}
	cred := answer.Credentials
	expires, err := time.Parse(time.RFC3339, cred.Expiration)
	if err != nil || cred.AccessKeyID == "" || cred.AccessKeySecret == "" || cred.SecurityToken == "" {
		return Credential{}, &Error{Status: status, Code: "IncompleteAnswer", Message: "the answer holds no complete credential", RequestID: answer.RequestID}
	}
	return Credential{AccessKeyID: cred.AccessKeyID, AccessKeySecret: cred.AccessKeySecret, SecurityToken: cred.SecurityToken, Expires: expires.UTC()}, nil
}

// readToken returns the trimmed content of file. STS accepts 4 to 20000 characters.
func readToken(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the OIDC token: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if len(token) < 4 || len(token) > 20000 {
		return "", fmt.Errorf("the OIDC token in %s has %d characters, sts takes 4 to 20000", file, len(token))
	}
	return token, nil
}
