package signer

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/devmode"
	api "github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/problem"
)

func hexMD5(content []byte) string {
	sum := md5.Sum(content)
	return hex.EncodeToString(sum[:])
}

// upload stores content for user and returns its record.
func (x *tenant) upload(user string, content []byte) api.Record {
	x.t.Helper()
	granted := x.grant(user, content)
	status, answer := x.post(granted.URL, form{granted.Fields, content})
	if status != http.StatusOK {
		x.t.Fatalf("status %d: %s", status, answer)
	}
	var r api.Record
	if err := json.Unmarshal(answer, &r); err != nil {
		x.t.Fatal(err)
	}
	return r
}

// askWithHash asks for one upload with the hash of content.
func (x *tenant) askWithHash(user string, content []byte) api.Verdict {
	x.t.Helper()
	return ask[api.UploadsResponse](x, user, http.MethodPost, "/v1/uploads", api.UploadsRequest{Files: []api.FileRequest{
		{Name: "b.txt", Size: int64(len(content)), ContentType: "text/plain", MD5: strings.ToUpper(hexMD5(content)), Metadata: json.RawMessage(`{"n":2}`)}}}).Uploads[0]
}

// refused expects a problem with code.
func (x *tenant) refused(user, method, path string, body any, status int, code string) {
	x.t.Helper()
	got, answer := x.request(user, method, path, body)
	var p problem.Problem
	if err := json.Unmarshal(answer, &p); err != nil || got != status || p.Code != code {
		x.t.Errorf("%s %s: status %d: %s, want %d %s", method, path, got, answer, status, code)
	}
}

func TestASecondUploadOfTheSameUserIsInstant(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	first := x.upload("alice", content(1))
	v := x.askWithHash("alice", content(1))
	if v.Status != "instant" || v.ID == first.ID || v.Key == first.Key {
		t.Fatalf("verdict %+v", v)
	}
	got := ask[api.Record](x, "alice", http.MethodGet, "/v1/uploads/"+v.ID, nil)
	if got.Name != "b.txt" || string(got.Metadata) != `{"n":2}` || got.MD5 != hexMD5(content(1)) || got.Key != v.Key {
		t.Errorf("record %+v", got)
	}
	if v := x.askWithHash("bob", content(1)); v.Status != "upload" {
		t.Errorf("bob gets %+v for alice's file", v)
	}
	if list := ask[api.HashesResponse](x, "alice", http.MethodPost, "/v1/hashes/check", api.HashesRequest{MD5: []string{hexMD5(content(1)), hexMD5(content(2))}}); len(list.Items) != 2 {
		t.Errorf("alice's files: %+v", list)
	}
	if list := ask[api.HashesResponse](x, "bob", http.MethodPost, "/v1/hashes/check", api.HashesRequest{MD5: []string{hexMD5(content(1))}}); len(list.Items) != 0 {
		t.Errorf("bob's files: %+v", list)
	}
}

// Who knows a hash but not the file gets nothing but a grant to upload it.
func TestSharedContentAsksForProof(t *testing.T) {
	x := startConfigured(t, func(c *config.Config) { c.Deduplication = config.DeduplicationTenant })
	secret := bytes.Repeat([]byte("a file of some length, "), 4000)
	x.upload("alice", secret)
	digest := func(v api.Verdict, content []byte) string {
		h := sha256.New()
		h.Write([]byte(v.Nonce))
		for _, r := range v.Ranges {
			h.Write(content[r.Offset : r.Offset+r.Length])
		}
		return hex.EncodeToString(h.Sum(nil))
	}
	challenged := func() api.Verdict {
		t.Helper()
		v := x.askWithHash("bob", secret)
		if v.Status != "challenge" || v.Nonce == "" || len(v.Ranges) == 0 || v.Key != "" || v.URL != "" {
			t.Fatalf("verdict %+v", v)
		}
		return v
	}
	prove := func(user string, v api.Verdict, digest string) api.Verdict {
		t.Helper()
		return ask[api.Verdict](x, user, http.MethodPost, "/v1/uploads/prove", api.ProveRequest{ID: v.ID, Digest: digest})
	}
	v := challenged()
	x.refused("carol", http.MethodPost, "/v1/uploads/prove", api.ProveRequest{ID: v.ID, Digest: digest(v, secret)}, http.StatusNotFound, "not_found")
	right := digest(v, secret)
	if got := prove("bob", v, right); got.Status != "instant" || !strings.Contains(got.Key, "/bob/") {
		t.Errorf("a right proof: %+v", got)
	}
	if got := prove("bob", v, right); got.Status != "upload" {
		t.Errorf("a repeated proof: %+v", got)
	}
	other := append([]byte("x"), secret[1:]...)
	for name, wrong := range map[string]func(api.Verdict) string{
		"empty": func(api.Verdict) string { return "" }, "nonce only": func(v api.Verdict) string { return digest(api.Verdict{Nonce: v.Nonce}, nil) },
		"proof of another challenge": func(api.Verdict) string { return right },
		"shifted content":            func(v api.Verdict) string { return digest(v, append([]byte("x"), other...)) },
	} {
		// The instant copy made bob an owner, who is not asked again; take it back.
		for _, r := range x.records("bob") {
			if status, answer := x.request("bob", http.MethodDelete, "/v1/uploads/"+r.ID, nil); status != http.StatusNoContent {
				t.Fatalf("status %d: %s", status, answer)
			}
		}
		v := challenged()
		if got := prove("bob", v, wrong(v)); got.Status != "upload" || got.Fields["policy"] == "" {
			t.Errorf("%s: %+v", name, got)
		}
		if got := prove("bob", v, digest(v, secret)); got.Status != "upload" {
			t.Errorf("%s, then a right one: %+v", name, got)
		}
	}
}

func TestReadingIsForOwnersOnly(t *testing.T) {
	x := startConfigured(t, func(c *config.Config) { c.Reads.Processes = []string{"style/thumb"} })
	r := x.upload("alice", content(1))
	path := "/v1/uploads/" + r.ID
	got := ask[api.URLResponse](x, "alice", http.MethodPost, path+"/url", api.URLRequest{Download: true})
	resp, err := http.Get(got.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Equal(body, content(1)) || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), `attachment; filename="a.txt"`) {
		t.Errorf("status %d, header %v: %s", resp.StatusCode, resp.Header, body)
	}
	if resp, err := http.Get(strings.Replace(got.URL, "x-oss-signature=", "x-oss-signature=0", 1)); err != nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a tampered URL: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if got := ask[api.URLResponse](x, "alice", http.MethodPost, path+"/url", nil); got.ExpiresIn != 300 {
		t.Errorf("without a body: %+v", got)
	}
	x.refused("alice", http.MethodPost, path+"/url", api.URLRequest{Process: "image/resize,w_9999"}, http.StatusBadRequest, "process_not_allowed")
	x.refused("alice", http.MethodPost, path+"/url", api.URLRequest{ExpiresIn: 99999}, http.StatusBadRequest, "invalid_expiry")
	x.refused("bob", http.MethodPost, path+"/url", nil, http.StatusNotFound, "not_found")
	x.refused("bob", http.MethodDelete, path, nil, http.StatusNotFound, "not_found")
	batch := ask[api.URLsResponse](x, "alice", http.MethodPost, "/v1/uploads/urls", api.URLsRequest{IDs: []string{"nothing", r.ID}, Process: "style/thumb"})
	if len(batch.Items) != 2 || batch.Items[0].Error == nil || !strings.Contains(batch.Items[1].URL, "x-oss-process=style%2Fthumb") {
		t.Errorf("batch %+v", batch)
	}
}

func TestDeletedUploadsStayDeleted(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	granted := x.grant("alice", content(1))
	if status, answer := x.post(granted.URL, form{granted.Fields, content(1)}); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	path := "/v1/uploads/" + granted.ID
	signed := ask[api.URLResponse](x, "alice", http.MethodPost, path+"/url", nil)
	if status, answer := x.request("alice", http.MethodDelete, path, nil); status != http.StatusNoContent || len(answer) != 0 {
		t.Fatalf("status %d: %s", status, answer)
	}
	x.refused("alice", http.MethodGet, path, nil, http.StatusNotFound, "not_found")
	x.refused("alice", http.MethodDelete, path, nil, http.StatusNotFound, "not_found")
	x.refused("alice", http.MethodPost, "/v1/uploads/complete", api.CompleteRequest{Ticket: granted.Ticket}, http.StatusGone, "deleted")
	if resp, err := http.Get(signed.URL); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("the object is still there: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if v := x.askWithHash("alice", content(1)); v.Status != "upload" {
		t.Errorf("deleted content is offered: %+v", v)
	}
}

func TestMultipart(t *testing.T) {
	x := startTenant(t, strings.Replace(tenantYAML, "max: 1Mi", "max: 100Mi", 1), "")
	big := bytes.Repeat([]byte("0123456789abcdef"), 600_000) // 9.6 MB: two parts
	m := ask[api.MultipartResponse](x, "alice", http.MethodPost, "/v1/multipart", api.FileRequest{Name: "big.txt", Size: int64(len(big)), ContentType: "text/plain"})
	path := "/v1/multipart/" + m.ID
	x.refused("bob", http.MethodPost, path+"/parts", api.PartsRequest{PartNumbers: []int{1}}, http.StatusNotFound, "not_found")
	x.refused("alice", http.MethodPost, path+"/parts", api.PartsRequest{PartNumbers: []int{m.PartCount + 1}}, http.StatusBadRequest, "invalid_part")
	x.refused("alice", http.MethodPost, path+"/parts", api.PartsRequest{PartNumbers: []int{1}, ContentType: "a/b\nx-oss-acl:public"}, http.StatusBadRequest, "invalid_content_type")
	contentType := "" // of the PUTs; mini-programs cannot do without one
	put := func(n int, body []byte) {
		t.Helper()
		parts := ask[api.PartsResponse](x, "alice", http.MethodPost, path+"/parts", api.PartsRequest{PartNumbers: []int{n}, ContentType: contentType})
		req, _ := http.NewRequest(parts.Parts[0].Method, parts.Parts[0].URL, bytes.NewReader(body))
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		if status, answer := x.send(req); status != http.StatusOK {
			t.Fatalf("part %d: status %d: %s", n, status, answer)
		}
	}
	put(1, big[:m.PartSize])
	x.refused("alice", http.MethodPost, path+"/complete", nil, http.StatusConflict, "parts_missing")
	contentType = "application/octet-stream"
	put(2, append(big[m.PartSize:], 'x'))
	x.refused("alice", http.MethodPost, path+"/complete", nil, http.StatusConflict, "part_size")
	put(2, big[m.PartSize:])
	if parts := ask[api.PartsResponse](x, "alice", http.MethodPost, path+"/parts", api.PartsRequest{}); len(parts.Uploaded) != 2 {
		t.Errorf("for resuming: %+v", parts)
	}
	for range 2 {
		got := ask[api.Record](x, "alice", http.MethodPost, path+"/complete", map[string]any{"parts": []any{}})
		if got.ID != m.ID || got.Size != int64(len(big)) || got.ContentType != "text/plain" {
			t.Errorf("record %+v", got)
		}
	}
	dropped := ask[api.MultipartResponse](x, "alice", http.MethodPost, "/v1/multipart", api.FileRequest{Name: "big.txt", Size: int64(len(big)), ContentType: "text/plain"})
	if status, answer := x.request("alice", http.MethodDelete, "/v1/multipart/"+dropped.ID, nil); status != http.StatusNoContent {
		t.Errorf("abort: status %d: %s", status, answer)
	}
	x.refused("alice", http.MethodPost, "/v1/multipart/"+dropped.ID+"/parts", api.PartsRequest{}, http.StatusNotFound, "not_found")
}

func TestPrefixGrantsAreOptIn(t *testing.T) {
	x := startTenant(t, tenantYAML, "")
	x.refused("alice", http.MethodGet, "/v1/policy", nil, http.StatusForbidden, "prefix_grants_off")
	x = startConfigured(t, func(c *config.Config) { c.Grant.AllowPrefix = true })
	x.refused("alice", http.MethodGet, "/v1/policy?dir=../bob", nil, http.StatusBadRequest, "invalid_dir")
	for _, signature := range []string{"V4", "V1"} {
		x = startConfigured(t, func(c *config.Config) { c.Grant.AllowPrefix, c.Grant.Signature = true, signature })
		g := ask[api.PrefixGrant](x, "alice", http.MethodGet, "/v1/policy?dir=2026/holiday", nil)
		tests := map[string]struct {
			key, contentType string
			want             int
		}{
			"below the folder": {g.Dir + "1.txt", "text/plain", http.StatusOK},
			"again":            {g.Dir + "1.txt", "text/plain", http.StatusConflict},
			"another name":     {g.Dir + "2.png", "image/png", http.StatusOK},
			"another user":     {strings.Replace(g.Dir, "alice", "bob", 1) + "1.txt", "text/plain", http.StatusForbidden},
			"another type":     {g.Dir + "3.html", "text/html", http.StatusForbidden},
		}
		for _, name := range []string{"below the folder", "again", "another name", "another user", "another type"} {
			test := tests[name]
			fields := map[string]string{"key": test.key, "x-oss-content-type": test.contentType}
			for k, v := range g.Fields {
				fields[k] = v
			}
			if status, answer := x.post(g.URL, form{fields, content(1)}); status != test.want {
				t.Errorf("%s %s: status %d: %s", signature, name, status, answer)
			}
		}
	}
}

// The flow of old accounts, with everything but the signature as usual.
func TestSignatureV1IsOptIn(t *testing.T) {
	x := startConfigured(t, func(c *config.Config) { c.Grant.Signature = "V1" })
	granted := x.grant("alice", content(1))
	if granted.Fields["OSSAccessKeyId"] == "" || granted.Fields["Signature"] == "" || granted.Fields["x-oss-signature"] != "" {
		t.Fatalf("fields %v", granted.Fields)
	}
	fields := maps.Clone(granted.Fields)
	fields["key"] += "x"
	if status, answer := x.post(granted.URL, form{fields, content(1)}); status != http.StatusForbidden {
		t.Errorf("another key: status %d: %s", status, answer)
	}
	if status, answer := x.post(granted.URL, form{granted.Fields, content(1)}); status != http.StatusOK {
		t.Errorf("status %d: %s", status, answer)
	}
	if got := x.records("alice"); len(got) != 1 {
		t.Errorf("records %+v", got)
	}
}

func TestDailyBytesAndRateAreBounded(t *testing.T) {
	// Neither a day nor a minute may pass meanwhile.
	now := time.Now()
	startConfigured := func(t *testing.T, configure func(*config.Config)) *tenant {
		t.Helper()
		return startOptions(t, tenantYAML, devmode.Options{Configure: configure, Clock: func() time.Time { return now }})
	}
	x := startConfigured(t, func(c *config.Config) { c.Limits.PerUser.BytesPerDay = int64(len(content(1)) * 2) })
	x.upload("alice", content(1))
	x.grant("alice", content(2)) // reserved
	v := ask[api.UploadsResponse](x, "alice", http.MethodPost, "/v1/uploads", api.UploadsRequest{Files: []api.FileRequest{{Name: "a.txt", Size: 1, ContentType: "text/plain"}}}).Uploads[0]
	if v.Status != "rejected" || v.Error.Code != "quota_exceeded" || v.Error.Status != http.StatusTooManyRequests {
		t.Errorf("verdict %+v", v)
	}
	x.upload("bob", content(1))

	x = startConfigured(t, func(c *config.Config) {
		c.Deduplication, c.Limits.PerUser.BytesPerDay = config.DeduplicationTenant, int64(len(content(1)))
	})
	x.upload("alice", content(1))
	challenge := x.askWithHash("bob", content(1))
	for i, want := range []string{"upload", "rejected", "rejected"} {
		if v := ask[api.Verdict](x, "bob", http.MethodPost, "/v1/uploads/prove", api.ProveRequest{ID: challenge.ID}); v.Status != want {
			t.Errorf("answer %d to one challenge: %+v, want %s", i, v, want)
		}
	}

	x = startConfigured(t, func(c *config.Config) { c.Limits.PerUser.RequestsPerMinute = 8 })
	for range 2 {
		x.records("alice")
	}
	x.refused("alice", http.MethodGet, "/v1/uploads", nil, http.StatusTooManyRequests, "rate_limited")
	x.records("bob")
}
