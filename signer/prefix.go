package signer

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/problem"
)

// PrefixGrant is one grant for many files.
type PrefixGrant struct {
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Dir       string            `json:"dir" doc:"every key must start with it; the client chooses the rest"`
	Fields    map[string]string `json:"fields" doc:"form fields; add key, x-oss-content-type and the file"`
	FileField string            `json:"fileField"`
	ExpiresIn int64             `json:"expiresIn"`
	Warning   string            `json:"warning"`
}

// prefixWarning tells what a prefix grant gives up.
const prefixWarning = "one grant for many files pins neither name, size nor type, and its uploads are not recorded; prefer POST /v1/uploads"

// handlePolicy is GET /v1/policy, the older flow: any key below the user's folder, any size and type within
// the limits. Uploads made with it carry no ticket, so nobody records them.
func (s *Server) handlePolicy(c *call) error {
	if !c.live.Grant.AllowPrefix {
		return problem.New(http.StatusForbidden, "prefix_grants_off", "this tenant gives no grants for a whole folder; use POST /v1/uploads")
	}
	dir, err := safeDir(c.r.URL.Query().Get("dir"))
	if err != nil {
		return err
	}
	now := s.clock()
	state, ends, err := c.live.granter.current(now)
	if err != nil {
		return s.noCredentials(c, err)
	}
	expires := c.live.granter.expiry(c.live.Limits.MaxSize, now, ends)
	base := s.cfg.Bucket.Prefix + policy.SafeUser(c.user) + "/" + dir
	fields := []policy.Field{{Name: "x-oss-object-acl", Value: "private"}, {Name: "x-oss-forbid-overwrite", Value: "true"}, {Name: "success_action_status", Value: "200"},
		{Name: "x-oss-security-token", Value: state.cred.SecurityToken}}
	if c.live.Grant.Signature == "V4" {
		fields = append(fields, policy.Field{Name: "x-oss-signature-version", Value: policy.SignatureV4},
			policy.Field{Name: "x-oss-credential", Value: state.signer.Credential}, policy.Field{Name: "x-oss-date", Value: policy.DateV4(now)})
	}
	post := policy.PostObject{Bucket: s.cfg.Bucket.Name, MinSize: c.live.Limits.MinSize, MaxSize: c.live.Limits.MaxSize, KeyPrefix: base,
		ContentTypes: c.live.Limits.ContentTypes, Fields: fields, Expires: expires}
	text := base64.StdEncoding.AppendEncode(nil, post.AppendPolicy(nil))
	grant := PrefixGrant{Method: http.MethodPost, URL: s.cfg.Bucket.UploadURL, Dir: base, Fields: map[string]string{"policy": string(text)}, FileField: "file",
		ExpiresIn: int64(expires.Sub(now) / time.Second), Warning: prefixWarning}
	for _, f := range fields {
		grant.Fields[f.Name] = f.Value
	}
	if c.live.Grant.Signature == "V4" {
		grant.Fields["x-oss-signature"] = string(state.signer.AppendSignature(nil, text))
	} else {
		grant.Fields["OSSAccessKeyId"], grant.Fields["Signature"] = state.cred.AccessKeyID, policy.SignV1(state.cred.AccessKeySecret, text)
	}
	answer, err := json.Marshal(grant)
	if err != nil {
		return err
	}
	c.body(answer)
	return nil
}

// safeDir returns dir with a slash at its end, or a problem.
func safeDir(dir string) (string, error) {
	dir = strings.TrimSuffix(dir, "/")
	if dir == "" {
		return "", nil
	}
	if len(dir) > 256 || policy.CheckKey(dir) != nil || strings.ContainsFunc(dir, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-./", r)
	}) {
		return "", problem.New(http.StatusBadRequest, "invalid_dir", "dir must be path segments of letters, digits, '_', '-' and '.', for example 2026/holiday")
	}
	return dir + "/", nil
}
