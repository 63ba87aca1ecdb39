package signer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/problem"
)

// FileRequest is one file that a client wants to upload.
type FileRequest struct {
	Name        string          `json:"name" doc:"original file name, at most 255 bytes, without a path; may be empty" example:"a.jpg"`
	Size        int64           `json:"size" doc:"exact size in bytes; OSS refuses any other size" example:"12345"`
	ContentType string          `json:"contentType,omitempty" doc:"media type; taken from the extension when left out" example:"image/jpeg"`
	MD5         string          `json:"md5,omitempty" doc:"MD5 of the content in hex" pattern:"^[0-9a-fA-F]{32}$"`
	Metadata    json.RawMessage `json:"metadata,omitempty" doc:"JSON object of at most 2048 bytes that comes back with the record and the event"`
}

// UploadsRequest asks for a batch of grants.
type UploadsRequest struct {
	Files []FileRequest `json:"files" doc:"files in the order in which the verdicts are wanted"`
}

// Verdict answers for one file.
type Verdict struct {
	Status    string            `json:"status" enum:"upload,instant,challenge,rejected" doc:"what to do with the file"`
	ID        string            `json:"id,omitempty" doc:"upload id"`
	Key       string            `json:"key,omitempty" doc:"object key"`
	Method    string            `json:"method,omitempty" doc:"HTTP method of the upload: POST"`
	URL       string            `json:"url,omitempty" doc:"where to post the form"`
	Fields    map[string]string `json:"fields,omitempty" doc:"form fields; send all of them, unchanged, before the file"`
	FileField string            `json:"fileField,omitempty" doc:"name of the form field of the file, the last of the form"`
	Ticket    string            `json:"ticket,omitempty" doc:"opaque; send it to /v1/uploads/complete when OSS answers 203 or not at all"`
	ExpiresIn int64             `json:"expiresIn,omitempty" doc:"seconds until the whole upload must have arrived"`
	Nonce     string            `json:"nonce,omitempty" doc:"of a challenge"`
	Ranges    []Range           `json:"ranges,omitempty" doc:"of a challenge: parts of the file to hash after the nonce"`
	Error     *problem.Problem  `json:"error,omitempty" doc:"why the file was rejected"`
}

// UploadsResponse holds one verdict per file, in the order of the request.
type UploadsResponse struct {
	Uploads []Verdict `json:"uploads"`
}

// CompleteRequest names an upload by its ticket.
type CompleteRequest struct {
	Ticket string `json:"ticket" doc:"the ticket of the grant"`
}

// Image describes a stored image as OSS measured it.
type Image struct {
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Format string `json:"format"`
}

// Record is one recorded upload.
type Record struct {
	ID          string          `json:"id"`
	Key         string          `json:"key"`
	Name        string          `json:"name"`
	Size        int64           `json:"size"`
	ContentType string          `json:"contentType"`
	MD5         string          `json:"md5" doc:"MD5 in hex as OSS computed it; empty when OSS did not"`
	CRC64       string          `json:"crc64,omitempty" doc:"CRC-64/XZ in decimal as OSS computed it"`
	ETag        string          `json:"etag,omitempty"`
	Status      string          `json:"status" enum:"completed,verifying,rejected" doc:"verifying until the content was looked at, when the tenant asks for that"`
	Reason      string          `json:"reason,omitempty" doc:"why the upload was rejected: content_mismatch, object_missing, content_risky, content_review, check_unanswered or rejected_before"`
	CreatedAt   time.Time       `json:"createdAt"`
	Metadata    json.RawMessage `json:"metadata"`
	Image       *Image          `json:"image,omitempty"`
}

// UploadList is one page of records, newest first.
type UploadList struct {
	Items      []Record `json:"items"`
	NextCursor string   `json:"nextCursor" doc:"send it as cursor for the next page; empty on the last page"`
}

// Event is what the application receives.
type Event struct {
	Type      string    `json:"type" enum:"upload.completed,upload.rejected,upload.deleted"`
	Timestamp time.Time `json:"timestamp"`
	Data      EventData `json:"data"`
}

// EventData is the record with whose it is.
type EventData struct {
	Tenant string `json:"tenant" doc:"namespace/name of the UploadTenant"`
	Bucket string `json:"bucket"`
	User   string `json:"user"`
	Record
}

// recordOf shows an upload to clients.
func recordOf(u *index.Upload) Record {
	r := Record{ID: u.ID, Key: u.Key, Name: u.Name, Size: u.Size, ContentType: u.ContentType, MD5: u.MD5, CRC64: u.CRC64, ETag: u.ETag,
		Status: u.Status, Reason: u.Reason, CreatedAt: u.CreatedAt, Metadata: json.RawMessage(u.Metadata)}
	if len(r.Metadata) == 0 {
		r.Metadata = json.RawMessage("{}")
	}
	if u.ImageFormat != "" {
		r.Image = &Image{u.ImageWidth, u.ImageHeight, u.ImageFormat}
	}
	return r
}

// decodeStrict reads exactly one JSON value and refuses fields that it does not know.
func decodeStrict(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, end := d.Token(); errors.Is(end, io.EOF) {
			return nil
		}
		return problem.New(http.StatusBadRequest, "invalid_json", "the body must be one JSON object and nothing after it")
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return problem.New(http.StatusBadRequest, "invalid_field", "the field "+strconv.Quote(clip(kind.Field))+" must be a "+kind.Type.String()+", not a "+kind.Value)
	case errors.As(err, &syntax), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return problem.New(http.StatusBadRequest, "invalid_json", "the body is not valid JSON")
	}
	return problem.New(http.StatusBadRequest, "unknown_field", clip(err.Error()))
}

// clip keeps what a client sent short in an answer.
func clip(s string) string {
	if len(s) <= 120 {
		return s
	}
	cut := 120
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
