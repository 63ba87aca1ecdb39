package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"time"
)

// field is one part of a form. Order matters.
type field struct{ name, value string }

// form is a form upload of version 4, to be bent by the cases.
type form struct {
	cred   credential
	at     time.Time
	key    string
	fields []field
	// conditions are added to the standard ones, or replace them when bare is set.
	conditions []any
	bare       bool
	// after are parts that follow the file.
	after []field
	// listed adds an eq condition for every field.
	listed bool
}

// post signs and sends a form with a small text file.
func (t *target) post(ctx context.Context, f form) (answer, error) {
	if f.at.IsZero() {
		f.at = time.Now()
	}
	at := f.at.UTC()
	day := at.Format("20060102")
	own := []field{
		{"x-oss-signature-version", "OSS4-HMAC-SHA256"},
		{"x-oss-credential", f.cred.ID + "/" + day + "/" + t.region + "/oss/aliyun_v4_request"},
		{"x-oss-date", at.Format(stamp)},
	}
	if f.cred.Token != "" {
		own = append(own, field{"x-oss-security-token", f.cred.Token})
	}
	conditions := []any{map[string]string{"bucket": t.bucket}}
	if !f.bare {
		for _, o := range own {
			conditions = append(conditions, map[string]string{o.name: o.value})
		}
	}
	if f.listed {
		for _, o := range f.fields {
			conditions = append(conditions, []string{"eq", "$" + o.name, o.value})
		}
	}
	policy, err := json.Marshal(map[string]any{
		"expiration": at.Add(time.Hour).Format("2006-01-02T15:04:05.000Z"), "conditions": append(conditions, f.conditions...)})
	if err != nil {
		return answer{}, err
	}
	encoded := base64.StdEncoding.EncodeToString(policy)
	own = append(own, field{"policy", encoded}, field{"x-oss-signature", hex.EncodeToString(mac256(t.signingKey(f.cred, day), encoded))})

	body, contentType, err := multipartBody(append(append([]field{{"key", f.key}}, own...), f.fields...), f.after)
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url("", ""), body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", contentType)
	return t.do(req)
}

// multipartBody writes fields, a small file and what is to follow it.
func multipartBody(fields, after []field) (*bytes.Buffer, string, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, o := range fields {
		if err := w.WriteField(o.name, o.value); err != nil {
			return nil, "", err
		}
	}
	part, err := w.CreateFormFile("file", "probe.txt")
	if err != nil {
		return nil, "", err
	}
	if _, err := part.Write([]byte("probe")); err != nil {
		return nil, "", err
	}
	for _, o := range after {
		if err := w.WriteField(o.name, o.value); err != nil {
			return nil, "", err
		}
	}
	return &body, w.FormDataContentType(), w.Close()
}
