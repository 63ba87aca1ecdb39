package oss

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/policy"
)

// maxXML bounds what is read of a listing.
const maxXML = 8 << 20

// readXML decodes a successful answer and closes it.
func readXML(resp *http.Response, into any) error {
	defer resp.Body.Close()
	if err := xml.NewDecoder(io.LimitReader(resp.Body, maxXML)).Decode(into); err != nil {
		return fmt.Errorf("read oss answer: %w", err)
	}
	return nil
}

// Listed is one entry of a listing.
type Listed struct {
	Key          string
	Size         int64
	ETag         string
	LastModified time.Time
}

// List returns at most limit objects below prefix whose keys follow after, in order, and whether there are more.
func (c *Client) List(ctx context.Context, prefix, after string, limit int) (objects []Listed, more bool, err error) {
	resp, err := c.do(ctx, request{method: http.MethodGet, query: map[string]string{"list-type": "2", "prefix": prefix, "start-after": after,
		"max-keys": strconv.Itoa(limit), "encoding-type": "url"}})
	if err != nil {
		return nil, false, err
	}
	var page struct {
		IsTruncated bool
		Contents    []struct {
			Key, ETag    string
			Size         int64
			LastModified time.Time
		}
	}
	if err := readXML(resp, &page); err != nil {
		return nil, false, err
	}
	objects = make([]Listed, 0, len(page.Contents))
	for _, o := range page.Contents {
		key, err := url.QueryUnescape(o.Key)
		if err != nil {
			return nil, false, fmt.Errorf("read oss listing: %w", err)
		}
		objects = append(objects, Listed{key, o.Size, strings.Trim(o.ETag, `"`), o.LastModified})
	}
	return objects, page.IsTruncated, nil
}

// GetRange returns length bytes of the object from offset on; fewer when the object ends before.
func (c *Client) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)}}
	// Without "standard", OSS answers a range that it cannot satisfy with the whole object.
	header.Set("X-Oss-Range-Behavior", "standard")
	resp, err := c.do(ctx, request{method: http.MethodGet, key: key, header: header})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, length))
	if err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	return data, nil
}

// Delete removes the object; a missing object is no error, as OSS sees it.
func (c *Client) Delete(ctx context.Context, key string) error {
	return c.discard(ctx, request{method: http.MethodDelete, key: key})
}

// discard sends r and drops the answer.
func (c *Client) discard(ctx context.Context, r request) error {
	resp, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	resp.Body.Close()
	return nil
}

// NewObject describes an object that the signer writes itself.
type NewObject struct {
	Key         string
	ContentType string
	Ticket      string
}

func (n NewObject) header() http.Header {
	h := http.Header{}
	h.Set("Content-Type", n.ContentType)
	h.Set("X-Oss-Meta-Ticket", n.Ticket)
	h.Set("X-Oss-Object-Acl", "private")
	h.Set("X-Oss-Forbid-Overwrite", "true")
	return h
}

// Copy writes the content of source, if it still has etag, to a new object.
func (c *Client) Copy(ctx context.Context, source, etag string, target NewObject) error {
	h := target.header()
	h.Set("X-Oss-Copy-Source", "/"+c.bucket+"/"+Escape(source, true))
	h.Set("X-Oss-Copy-Source-If-Match", etag)
	h.Set("X-Oss-Metadata-Directive", "REPLACE")
	return c.discard(ctx, request{method: http.MethodPut, key: target.Key, header: h})
}

// SetTags replaces the tags of the object.
func (c *Client) SetTags(ctx context.Context, key string, tags map[string]string) error {
	type tag struct{ Key, Value string }
	var doc struct {
		XMLName xml.Name `xml:"Tagging"`
		Tags    []tag    `xml:"TagSet>Tag"`
	}
	for k, v := range tags {
		doc.Tags = append(doc.Tags, tag{k, v})
	}
	body, err := xml.Marshal(doc)
	if err != nil {
		return fmt.Errorf("encode tags: %w", err)
	}
	return c.discard(ctx, request{method: http.MethodPut, key: key, query: map[string]string{"tagging": ""}, body: string(body)})
}

// Tags returns the tags of the object.
func (c *Client) Tags(ctx context.Context, key string) (map[string]string, error) {
	resp, err := c.do(ctx, request{method: http.MethodGet, key: key, query: map[string]string{"tagging": ""}})
	if err != nil {
		return nil, err
	}
	var doc struct {
		Tags []struct{ Key, Value string } `xml:"TagSet>Tag"`
	}
	if err := readXML(resp, &doc); err != nil {
		return nil, err
	}
	tags := make(map[string]string, len(doc.Tags))
	for _, t := range doc.Tags {
		tags[t.Key] = t.Value
	}
	return tags, nil
}

// SetACL changes who may read the object without a signature: "private" or "public-read".
func (c *Client) SetACL(ctx context.Context, key, acl string) error {
	return c.discard(ctx, request{method: http.MethodPut, key: key, query: map[string]string{"acl": ""}, header: http.Header{"X-Oss-Object-Acl": {acl}}})
}

// Part is an uploaded part of a multipart upload.
type Part struct {
	XMLName    xml.Name `xml:"Part"`
	PartNumber int
	ETag       string
	Size       int64 `xml:",omitempty"`
}

// InitiateMultipart begins a multipart upload and returns its id.
func (c *Client) InitiateMultipart(ctx context.Context, target NewObject) (string, error) {
	resp, err := c.do(ctx, request{method: http.MethodPost, key: target.Key, query: map[string]string{"uploads": ""}, header: target.header()})
	if err != nil {
		return "", err
	}
	var answer struct{ UploadId string }
	if err := readXML(resp, &answer); err != nil {
		return "", err
	}
	return answer.UploadId, nil
}

// ListParts returns the parts that arrived, in order. OSS pages at 1000.
func (c *Client) ListParts(ctx context.Context, key, uploadID string) ([]Part, error) {
	var all []Part
	for marker := 0; ; {
		resp, err := c.do(ctx, request{method: http.MethodGet, key: key, query: map[string]string{"uploadId": uploadID, "part-number-marker": strconv.Itoa(marker), "max-parts": "1000"}})
		if err != nil {
			return nil, err
		}
		var page struct {
			IsTruncated          bool
			NextPartNumberMarker int
			Part                 []Part
		}
		if err := readXML(resp, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Part...)
		if !page.IsTruncated || page.NextPartNumberMarker <= marker {
			return all, nil
		}
		marker = page.NextPartNumberMarker
	}
}

// CompleteMultipart joins parts into the object.
func (c *Client) CompleteMultipart(ctx context.Context, key, uploadID string, parts []Part) error {
	var doc struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Parts   []Part
	}
	for _, p := range parts {
		doc.Parts = append(doc.Parts, Part{PartNumber: p.PartNumber, ETag: p.ETag})
	}
	body, err := xml.Marshal(doc)
	if err != nil {
		return fmt.Errorf("encode parts: %w", err)
	}
	h := http.Header{}
	h.Set("X-Oss-Forbid-Overwrite", "true")
	return c.discard(ctx, request{method: http.MethodPost, key: key, query: map[string]string{"uploadId": uploadID}, header: h, body: string(body)})
}

// AbortMultipart drops a multipart upload and its parts.
func (c *Client) AbortMultipart(ctx context.Context, key, uploadID string) error {
	return c.discard(ctx, request{method: http.MethodDelete, key: key, query: map[string]string{"uploadId": uploadID}})
}

// Presign returns a URL below base, which is the bucket as clients see it, that allows one method on key
// for validity. It never outlives the credential; expires tells until when it works. It makes no call.
func (c *Client) Presign(method, base, key string, query map[string]string, validity time.Duration) (signed string, expires time.Time, err error) {
	return c.PresignTyped(method, base, key, "", query, validity)
}

// PresignTyped is Presign for a request that carries a Content-Type header: OSS includes it in the signature
// whenever it is there, so it must be exactly contentType.
func (c *Client) PresignTyped(method, base, key, contentType string, query map[string]string, validity time.Duration) (signed string, expires time.Time, err error) {
	now := c.clock()
	d, err := c.signed(now)
	if err != nil {
		return "", time.Time{}, err
	}
	validity = min(validity, d.cred.Expires.Sub(now), 7*24*time.Hour).Truncate(time.Second)
	if validity < time.Second {
		return "", time.Time{}, fmt.Errorf("sign URL: the STS credential is about to expire")
	}
	all := map[string]string{
		"x-oss-signature-version": policy.SignatureV4, "x-oss-credential": d.Credential, "x-oss-date": policy.DateV4(now),
		"x-oss-expires": strconv.FormatInt(int64(validity/time.Second), 10),
	}
	if d.cred.SecurityToken != "" {
		all["x-oss-security-token"] = d.cred.SecurityToken
	}
	for k, v := range query {
		all[k] = v
	}
	canonical := canonicalQuery(all)
	_, scope, _ := strings.Cut(d.Credential, "/")
	headers := ""
	if contentType != "" {
		headers = canonicalHeaders(http.Header{"Content-Type": {contentType}})
	}
	text := stringToSign(method, "/"+Escape(c.bucket, true)+"/"+Escape(key, true), canonical, headers, policy.DateV4(now), scope)
	signature := d.AppendSignature(nil, text)
	return strings.TrimSuffix(base, "/") + "/" + Escape(key, true) + "?" + canonical + "&x-oss-signature=" + string(signature), now.Add(validity), nil
}
