package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// credential is an AccessKey, with a token when it comes from STS.
type credential struct{ ID, Secret, Token string }

// target is an account to ask: the emulator or a real one. Every request is signed here, from the descriptions of
// the protocols, so that a mistake of an SDK cannot hide in both.
type target struct {
	name   string
	region string
	// ossURL is the endpoint. pathStyle puts the bucket into the path, for an endpoint that is an address.
	ossURL    string
	pathStyle bool
	ramURL    string
	stsURL    string
	admin     credential
	account   string
	client    *http.Client
	// callbackURL reaches the receiver; empty when nothing does.
	callbackURL string
	receiver    *receiver

	bucket string
	prefix string // of everything that the probe creates
}

// answer is a response, read whole.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// String is what two accounts are compared by: the status and, for a refusal, its Code and EC.
func (a answer) String() string {
	out := fmt.Sprint(a.Status)
	var e struct {
		Code string
		EC   string
	}
	if len(a.Body) > 0 && a.Body[0] == '{' {
		if json.Unmarshal(a.Body, &e) == nil && e.Code != "" {
			out += " " + e.Code
		}
	} else if xml.Unmarshal(a.Body, &e) == nil && e.Code != "" {
		out += " " + e.Code
	}
	if ec := a.Header.Get("x-oss-ec"); ec != "" {
		out += " " + ec
	} else if e.EC != "" {
		out += " " + e.EC
	}
	return out
}

func (t *target) url(key, query string) string {
	u, err := url.Parse(t.ossURL)
	if err != nil {
		return t.ossURL
	}
	path := "/" + key
	if t.pathStyle {
		path = "/" + t.bucket + path
	} else {
		u.Host = t.bucket + "." + u.Host
	}
	u.Path, u.RawQuery = path, query
	return u.String()
}

func (t *target) do(req *http.Request) (answer, error) {
	resp, err := t.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return answer{resp.StatusCode, resp.Header, body}, err
}

func mac256(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// signingKey derives the key of signature version 4.
func (t *target) signingKey(c credential, date string) []byte {
	k := mac256([]byte("aliyun_v4"+c.Secret), date)
	for _, part := range []string{t.region, "oss", "aliyun_v4_request"} {
		k = mac256(k, part)
	}
	return k
}

const stamp = "20060102T150405Z"

// oss makes a request to the bucket with an Authorization header of version 4. query is "name" or "name=value".
func (t *target) oss(ctx context.Context, c credential, method, key, query string, header map[string]string, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.url(key, query), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	now := time.Now().UTC()
	date, scope := now.Format(stamp), now.Format("20060102")+"/"+t.region+"/oss/aliyun_v4_request"
	signed := map[string]string{"x-oss-date": date, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
	if c.Token != "" {
		signed["x-oss-security-token"] = c.Token
	}
	maps.Copy(signed, header)
	var canonicalHeaders strings.Builder
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		req.Header.Set(name, signed[name])
		canonicalHeaders.WriteString(name + ":" + strings.TrimSpace(signed[name]) + "\n")
	}
	canonical := strings.Join([]string{method, "/" + t.bucket + "/" + strings.ReplaceAll(url.PathEscape(key), "%2F", "/"), query,
		canonicalHeaders.String(), "", "UNSIGNED-PAYLOAD"}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	toSign := "OSS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	req.Header.Set("Authorization", "OSS4-HMAC-SHA256 Credential="+c.ID+"/"+scope+",Signature="+
		hex.EncodeToString(mac256(t.signingKey(c, now.Format("20060102")), toSign)))
	return t.do(req)
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// rpc makes a call with a query signature. Parameters replace those of the signature, to send wrong ones.
func (t *target) rpc(ctx context.Context, c credential, version, action string, params map[string]string) (answer, error) {
	all := map[string]string{"Action": action, "Version": version, "Format": "JSON", "AccessKeyId": c.ID, "SignatureMethod": "HMAC-SHA1",
		"SignatureVersion": "1.0", "SignatureNonce": randomText(32), "Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05Z")}
	if c.Token != "" {
		all["SecurityToken"] = c.Token
	}
	maps.Copy(all, params)
	pairs := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pairs = append(pairs, escape(name)+"="+escape(all[name]))
	}
	query := strings.Join(pairs, "&")
	m := hmac.New(sha1.New, []byte(c.Secret+"&"))
	m.Write([]byte("POST&%2F&" + escape(query)))
	base := t.ramURL
	if version == versionSTS {
		base = t.stsURL
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/?"+query+"&Signature="+escape(base64.StdEncoding.EncodeToString(m.Sum(nil))), nil)
	if err != nil {
		return answer{}, err
	}
	return t.do(req)
}

const (
	versionRAM = "2015-05-01"
	versionSTS = "2015-04-01"
)

func (t *target) ram(ctx context.Context, action string, params map[string]string) (answer, error) {
	return t.rpc(ctx, t.admin, versionRAM, action, params)
}

func randomText(n int) string {
	raw := make([]byte, (n+1)/2)
	if _, err := rand.Read(raw); err != nil {
		panic(err) // never happens since Go 1.24
	}
	return hex.EncodeToString(raw)[:n]
}
