package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator"
)

const bucketName = "bench"

// form is a signed form whose file is made of one repeated block, so that its size costs no memory here.
type form struct {
	contentType string
	head, tail  []byte
	size        int64
}

// newForm signs a form as a signer would: size, key and the fields of the signature are pinned.
func newForm(key string, size int64) form {
	now := time.Now().UTC()
	day, date := now.Format("20060102"), now.Format("20060102T150405Z")
	credential := emulator.DefaultAccessKeyID + "/" + day + "/" + emulator.DefaultRegion + "/oss/aliyun_v4_request"
	fields := [][2]string{
		{"key", key}, {"x-oss-signature-version", "OSS4-HMAC-SHA256"}, {"x-oss-credential", credential}, {"x-oss-date", date},
		{"x-oss-content-type", "application/octet-stream"},
	}
	conditions := []any{map[string]string{"bucket": bucketName}, []any{"content-length-range", size, size}}
	for _, f := range fields {
		conditions = append(conditions, map[string]string{f[0]: f[1]})
	}
	raw, err := json.Marshal(map[string]any{"expiration": now.Add(time.Hour).Format("2006-01-02T15:04:05.000Z"), "conditions": conditions})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	policy := base64.StdEncoding.EncodeToString(raw)
	signing := []byte("aliyun_v4" + emulator.DefaultAccessKeySecret)
	for _, part := range []string{day, emulator.DefaultRegion, "oss", "aliyun_v4_request", policy} {
		mac := hmac.New(sha256.New, signing)
		io.WriteString(mac, part) //nolint:errcheck // a hash does not fail
		signing = mac.Sum(nil)
	}
	fields = append(fields, [2]string{"policy", policy}, [2]string{"x-oss-signature", hex.EncodeToString(signing)})
	return multipartForm(fields, size)
}

func multipartForm(fields [][2]string, size int64) form {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		_ = w.WriteField(f[0], f[1]) // a bytes.Buffer does not fail
	}
	_, _ = w.CreateFormFile("file", "bench.bin")
	head := bytes.Clone(b.Bytes())
	b.Reset()
	_ = w.Close()
	return form{contentType: w.FormDataContentType(), head: head, tail: bytes.Clone(b.Bytes()), size: size}
}

// block is what files are made of: nothing that a boundary search could skip quickly because it is all zeros.
var block = bytes.Repeat([]byte("0123456789abcdef\r\n--fedcba987654"), 2048)

// content reads size bytes of repeated blocks.
type content struct{ left int64 }

func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), c.left)], block)
	c.left -= int64(n)
	return n, nil
}

func upload(ctx context.Context, client *http.Client, base string, f form) error {
	body := io.MultiReader(bytes.NewReader(f.head), &content{f.size}, bytes.NewReader(f.tail))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/"+bucketName, body)
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(f.head)) + f.size + int64(len(f.tail))
	req.Header.Set("Content-Type", f.contentType)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("status %d: %s", resp.StatusCode, answer)
	}
	return nil
}
