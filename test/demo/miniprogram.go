package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5" // the hash that OSS reports
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"
)

// user is who uploads.
const user = "xiaoming"

// Problem is an RFC 9457 document.
type Problem struct {
	Title, Detail, Code string
	Status              int
}

// Verdict is the signer's answer for one file.
type Verdict struct {
	Status, ID, Key, Method, URL, FileField, Ticket string

	Fields map[string]string
	Error  *Problem
}

// File is one file that a client asks a grant for.
type File struct {
	Name        string         `json:"name"`
	Size        int            `json:"size"`
	ContentType string         `json:"contentType,omitempty"`
	MD5         string         `json:"md5,omitempty"`
	Metadata    map[string]any `json:"metadata,omitempty"`
}

// token is what the application gives its signed-in user.
func (d *Demo) token(name string) string {
	encode := base64.RawURLEncoding.EncodeToString
	now := d.opts.Now().Unix()
	claims := fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, name, now, now+3600)
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(claims))
	mac := hmac.New(sha256.New, d.secrets.jwt)
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// Signer calls the signer as a user and reads the answer into result. Any status but want is an error.
func (d *Demo) Signer(ctx context.Context, method, path string, body any, want int, result any) error {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, SignerURL+path, payload)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.token(user))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	status, answer, err := d.send(req)
	if err != nil {
		return err
	}
	if status != want {
		return fmt.Errorf("%s %s answered %d, want %d: %.500s", method, path, status, want, answer)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return fmt.Errorf("read the answer of %s %s: %w", method, path, err)
	}
	return nil
}

func (d *Demo) send(req *http.Request) (int, []byte, error) {
	resp, err := d.net.HTTP().Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, err
}

// Grants asks for one verdict per file.
func (d *Demo) Grants(ctx context.Context, files ...File) ([]Verdict, error) {
	var answer struct{ Uploads []Verdict }
	err := d.Signer(ctx, http.MethodPost, "/v1/uploads", map[string]any{"files": files}, http.StatusOK, &answer)
	if err == nil && len(answer.Uploads) != len(files) {
		err = fmt.Errorf("POST /v1/uploads gave %d verdicts for %d files", len(answer.Uploads), len(files))
	}
	return answer.Uploads, err
}

// PostFile sends a form to OSS as wx.uploadFile does: all fields, then the file.
func (d *Demo) PostFile(ctx context.Context, v Verdict, name, contentType string, content []byte) (int, []byte, error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for _, field := range slices.Sorted(maps.Keys(v.Fields)) {
		if err := w.WriteField(field, v.Fields[field]); err != nil {
			return 0, nil, err
		}
	}
	header := map[string][]string{
		"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename=%q`, v.FileField, name)},
		"Content-Type":        {contentType},
	}
	part, err := w.CreatePart(header)
	if err != nil {
		return 0, nil, err
	}
	if _, err := part.Write(content); err != nil {
		return 0, nil, err
	}
	if err := w.Close(); err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, v.Method, v.URL, &form)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return d.send(req)
}

// upload takes a photo and a drawing and uploads both.
func (d *Demo) upload(ctx context.Context) error {
	seed := uint64(d.opts.Now().UnixNano())
	photo, err := Photo(seed)
	if err != nil {
		return err
	}
	sticker, err := Sticker(seed)
	if err != nil {
		return err
	}
	files := []struct {
		name, kind string
		content    []byte
	}{{"sunset.jpg", "image/jpeg", photo}, {"sticker.png", "image/png", sticker}}
	var ask []File
	for _, f := range files {
		ask = append(ask, File{Name: f.name, Size: len(f.content), ContentType: f.kind, Metadata: map[string]any{"album": "holidays"}})
	}
	d.say("POST %s/v1/uploads as user %s: one request, one grant per file", SignerURL, user)
	verdicts, err := d.Grants(ctx, ask...)
	if err != nil {
		return err
	}
	d.uploads = nil
	for i, v := range verdicts {
		f := files[i]
		if v.Status != "upload" {
			return fmt.Errorf("the signer answered %q for %s: %+v", v.Status, f.name, v.Error)
		}
		began := d.opts.Now()
		how, err := d.finish(ctx, v, f.name, f.kind, f.content)
		if err != nil {
			return err
		}
		took := d.opts.Now().Sub(began).Round(time.Millisecond)
		sum := md5.Sum(f.content)
		d.uploads = append(d.uploads, Upload{ID: v.ID, Key: v.Key, Name: f.name, ContentType: f.kind, Size: len(f.content), MD5: hex.EncodeToString(sum[:])})
		d.say("%-11s %7d bytes -> %s/%s\n%11s %s, in %v", f.name, len(f.content), v.URL, v.Key, "", how, took)
	}
	return nil
}

// finish posts one file and does what a client should do with the answer: 200 means that OSS called the
// signer back; 203 that the file is stored and the callback failed, so the client presents its ticket.
func (d *Demo) finish(ctx context.Context, v Verdict, name, kind string, content []byte) (string, error) {
	status, body, err := d.PostFile(ctx, v, name, kind, content)
	switch {
	case err != nil:
		return "", err
	case status == http.StatusOK:
		return "200: OSS called the signer back, which verified and recorded it", nil
	case status == http.StatusNonAuthoritativeInfo:
		err := d.Signer(ctx, http.MethodPost, "/v1/uploads/complete", map[string]any{"ticket": v.Ticket}, http.StatusOK, nil)
		return "203: stored, but OSS could not reach the signer; recorded by POST /v1/uploads/complete with the ticket", err
	}
	return "", fmt.Errorf("OSS answered %d for %s: %.500s", status, name, body)
}

// refusals shows what does not get in, and in which words.
func (d *Demo) refusals(ctx context.Context) error {
	verdicts, err := d.Grants(ctx,
		File{Name: "film.mp4", Size: 30 << 20, ContentType: "video/mp4"},
		File{Name: "setup.exe", Size: 1000, ContentType: "application/x-msdownload"},
		File{Name: "small.jpg", Size: 1000, ContentType: "image/jpeg"},
	)
	if err != nil {
		return err
	}
	for i, name := range []string{"film.mp4 of 30 MiB", "setup.exe"} {
		v := verdicts[i]
		if v.Status != "rejected" || v.Error == nil {
			return fmt.Errorf("the signer answered %q for %s, want rejected", v.Status, name)
		}
		d.say("the signer refuses %s: %d %s: %s", name, v.Error.Status, v.Error.Code, v.Error.Detail)
	}
	if verdicts[2].Status != "upload" {
		return fmt.Errorf("the signer answered %q for small.jpg, want upload", verdicts[2].Status)
	}
	status, body, err := d.PostFile(ctx, verdicts[2], "small.jpg", "image/jpeg", make([]byte, 5000))
	if err != nil {
		return err
	}
	if status < 400 {
		return fmt.Errorf("OSS took 5000 bytes on a grant for 1000: %d", status)
	}
	d.say("OSS refuses 5000 bytes on a grant for 1000: %d %s", status, xmlMessage(body))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, SignerURL+"/v1/uploads", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer not-a-token")
	status, body, err = d.send(req)
	if err != nil {
		return err
	}
	if status != http.StatusUnauthorized {
		return fmt.Errorf("a forged token got %d, want 401", status)
	}
	var p Problem
	if err := json.Unmarshal(body, &p); err != nil {
		return fmt.Errorf("the refusal is no problem document: %w", err)
	}
	d.say("the signer refuses a forged token: %d %s: %s", status, p.Code, p.Detail)
	return nil
}

// xmlMessage takes code and message out of an error document of OSS.
func xmlMessage(body []byte) string {
	text := string(body)
	between := func(tag string) string {
		_, rest, _ := strings.Cut(text, "<"+tag+">")
		value, _, _ := strings.Cut(rest, "</"+tag+">")
		return value
	}
	return between("Code") + ": " + between("Message")
}
