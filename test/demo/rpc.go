package demo

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // the signature version 1.0 of the RPC protocol is HMAC-SHA1
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// cloudKey is an AccessKey of the platform team.
type cloudKey struct{ id, secret string }

// apiError is what RAM answers instead of a result.
type apiError struct {
	Code, Message string
	Status        int `json:"-"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%s: %s (HTTP %d)", e.Code, e.Message, e.Status)
}

// API versions of the services that the demo calls.
const (
	ramVersion = "2015-05-01"
	imsVersion = "2019-08-15"
)

// maxAnswer bounds what is read of any answer.
const maxAnswer = 1 << 20

// ram calls one action of RAM or IMS as the platform team and reads the answer into result, unless it is nil.
// The request is signed as the RPC protocol of Alibaba Cloud demands, signature version 1.0, by this program
// itself: `aliyun ram …` does the same.
func (d *Demo) ram(ctx context.Context, version, action string, params map[string]string, result any) error {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	all := map[string]string{
		"Action": action, "Version": version, "Format": "JSON",
		"AccessKeyId": d.cloud.id, "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
		"SignatureNonce": fmt.Sprintf("%x", nonce), "Timestamp": d.opts.Now().UTC().Format(time.RFC3339),
	}
	maps.Copy(all, params)
	all["Signature"] = signature(all, d.cloud.secret)
	form := url.Values{}
	for k, v := range all {
		form.Set(k, v)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cloudAPI, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := d.net.HTTP().Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", action, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("call %s: %w", action, err)
	}
	if resp.StatusCode != http.StatusOK {
		problem := &apiError{Status: resp.StatusCode}
		if json.Unmarshal(body, problem) != nil || problem.Code == "" {
			return fmt.Errorf("call %s: HTTP %d: %.200s", action, resp.StatusCode, body)
		}
		return problem
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(body, result); err != nil {
		return fmt.Errorf("read the answer of %s: %w", action, err)
	}
	return nil
}

// signature signs the parameters of a POST request.
func signature(params map[string]string, secret string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		pairs = append(pairs, percent(name)+"="+percent(params[name]))
	}
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte("POST&%2F&" + percent(strings.Join(pairs, "&"))))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// percent is the encoding of RFC 3986, with space as %20.
func percent(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
