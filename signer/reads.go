package signer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/problem"
)

// maxURLs of one batch.
const maxURLs = 100

// URLRequest asks for a presigned download.
type URLRequest struct {
	ExpiresIn int64  `json:"expiresIn,omitempty" doc:"seconds, 300 when left out"`
	Process   string `json:"process,omitempty" doc:"image style; must be one that the tenant allows" example:"style/thumb"`
	Download  bool   `json:"download,omitempty" doc:"make browsers save the file under its original name"`
}

// URLResponse is a presigned download.
type URLResponse struct {
	ID        string           `json:"id,omitempty"`
	URL       string           `json:"url,omitempty"`
	ExpiresIn int64            `json:"expiresIn,omitempty"`
	Error     *problem.Problem `json:"error,omitempty" doc:"in a batch: why there is no URL for this id"`
}

// URLsRequest asks for a batch of presigned downloads.
type URLsRequest struct {
	IDs       []string `json:"ids"`
	ExpiresIn int64    `json:"expiresIn,omitempty"`
	Process   string   `json:"process,omitempty"`
	Download  bool     `json:"download,omitempty"`
}

// URLsResponse holds one answer per id, in the order of the request.
type URLsResponse struct {
	Items []URLResponse `json:"items"`
}

// own returns the caller's upload or a 404: whose a foreign id is, nobody learns.
func (s *Server) own(ctx context.Context, user, id string) (index.Upload, error) {
	upload, err := s.store.Get(ctx, user, id)
	if errors.Is(err, index.ErrNotFound) || errors.Is(err, index.ErrDeleted) {
		return upload, problem.New(http.StatusNotFound, "not_found", "you have no upload with this id")
	}
	return upload, err
}

// handleURL is POST /v1/uploads/{id}/url.
func (s *Server) handleURL(c *call) error {
	var req URLRequest
	if err := c.decodeOptional(&req); err != nil {
		return err
	}
	answer, err := s.presign(c, c.r.PathValue("id"), req)
	if err != nil {
		return err
	}
	return c.json(answer)
}

// handleURLs is POST /v1/uploads/urls.
func (s *Server) handleURLs(c *call) error {
	var req URLsRequest
	if err := c.decode(maxSmallBody, &req); err != nil {
		return err
	}
	if len(req.IDs) == 0 || len(req.IDs) > maxURLs {
		return problem.New(http.StatusBadRequest, "invalid_ids", fmt.Sprintf("name 1 to %d ids", maxURLs))
	}
	list := URLsResponse{Items: make([]URLResponse, 0, len(req.IDs))}
	for _, id := range req.IDs {
		answer, err := s.presign(c, id, URLRequest{req.ExpiresIn, req.Process, req.Download})
		var p *problem.Problem
		if errors.As(err, &p) {
			shown := *p
			shown.RequestID = c.requestID
			answer, err = &URLResponse{ID: clip(id), Error: &shown}, nil
		}
		if err != nil {
			return err
		}
		list.Items = append(list.Items, *answer)
	}
	return c.json(list)
}

func (s *Server) presign(c *call, id string, req URLRequest) (*URLResponse, error) {
	longest := c.live.Reads.MaxExpiresIn
	if longest == 0 {
		longest = 3600
	}
	if req.ExpiresIn == 0 {
		req.ExpiresIn = min(300, longest)
	}
	if req.ExpiresIn < 1 || req.ExpiresIn > longest {
		return nil, problem.New(http.StatusBadRequest, "invalid_expiry", fmt.Sprintf("expiresIn must be between 1 and %d seconds", longest))
	}
	if req.Process != "" && !slices.Contains(c.live.Reads.Processes, req.Process) {
		return nil, problem.New(http.StatusBadRequest, "process_not_allowed", "this image process is not among those that the tenant allows")
	}
	upload, err := s.own(c.r.Context(), c.user, id)
	if err != nil {
		return nil, err
	}
	switch upload.Status {
	case index.StatusCompleted:
	case index.StatusVerifying:
		return nil, problem.New(http.StatusConflict, "not_verified", "the upload is still being verified; try again in a moment")
	default:
		return nil, problem.New(http.StatusConflict, "not_available", "the upload was rejected, so it cannot be read")
	}
	query := map[string]string{}
	if req.Process != "" {
		query["x-oss-process"] = req.Process
	}
	// A page of the bucket's origin must never run what a user uploaded.
	if req.Download || policy.Scriptable(upload.ContentType) {
		query["response-content-disposition"] = contentDisposition(&upload)
	}
	signed, expires, err := s.bucket.Presign(http.MethodGet, s.cfg.Bucket.UploadURL, upload.Key, query, time.Duration(req.ExpiresIn)*time.Second)
	if err != nil {
		s.log.Error("signing a URL failed", "requestID", c.requestID, "error", err)
		return nil, problem.New(http.StatusServiceUnavailable, "credentials_unavailable", "the signer has no valid cloud credentials now; try again later")
	}
	return &URLResponse{ID: upload.ID, URL: signed, ExpiresIn: int64(expires.Sub(s.clock()).Round(time.Second) / time.Second)}, nil
}

// contentDisposition names the file as RFC 6266 describes: an ASCII form for old clients and the real one
// percent-encoded. The name was checked at the grant; nothing of it can end the header.
func contentDisposition(u *index.Upload) string {
	name := u.Name
	if name == "" {
		name = u.Key[strings.LastIndexByte(u.Key, '/')+1:]
	}
	ascii := strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f || strings.ContainsRune(`"\%;/`, r) {
			return '_'
		}
		return r
	}, name)
	return `attachment; filename="` + ascii + `"; filename*=UTF-8''` + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
}

// handleDelete is DELETE /v1/uploads/{id}. The record goes first, with its event; when the object store
// cannot be reached, the sweeper removes the object later.
func (s *Server) handleDelete(c *call) error {
	var event func(index.Upload) (*index.Event, error)
	if s.deliverer != nil {
		event = func(u index.Upload) (*index.Event, error) { return s.event("upload.deleted", &u, s.clock()) }
	}
	upload, err := s.store.Delete(c.r.Context(), c.user, c.r.PathValue("id"), event)
	switch {
	case errors.Is(err, index.ErrNotFound), errors.Is(err, index.ErrDeleted):
		return problem.New(http.StatusNotFound, "not_found", "you have no upload with this id")
	case err != nil:
		return err
	}
	if s.deliverer != nil {
		s.deliverer.Wake()
	}
	if err := s.bucket.Delete(context.WithoutCancel(c.r.Context()), upload.Key); err != nil {
		s.log.Warn("deleting an object failed; the sweeper tries again", "upload", upload.ID, "error", err)
	}
	s.log.Info("upload deleted", "upload", upload.ID)
	c.status = http.StatusNoContent
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// event returns a message about upload. The id of upload.completed is the upload's; other events of the
// same upload add their kind, so that a receiver that remembers ids takes each once.
func (s *Server) event(kind string, upload *index.Upload, at time.Time) (*index.Event, error) {
	payload, err := json.Marshal(Event{Type: kind, Timestamp: at.UTC().Truncate(time.Millisecond),
		Data: EventData{Tenant: s.cfg.Tenant, Bucket: s.cfg.Bucket.Name, User: upload.User, Record: recordOf(upload)}})
	if err != nil {
		return nil, fmt.Errorf("encode the event: %w", err)
	}
	id := upload.ID
	if kind != "upload.completed" {
		id += "." + strings.TrimPrefix(kind, "upload.")
	}
	return &index.Event{ID: id, UploadID: upload.ID, Type: kind, Payload: payload}, nil
}

// HashesRequest asks which files the caller has stored.
type HashesRequest struct {
	MD5 []string `json:"md5" doc:"MD5 hashes in hex, at most 100"`
}

// HashesResponse holds the caller's files among the hashes.
type HashesResponse struct {
	Items []Record `json:"items"`
}

// handleHashes is POST /v1/hashes/check. Only the caller's own files count, so nobody learns what others have.
func (s *Server) handleHashes(c *call) error {
	var req HashesRequest
	if err := c.decode(maxSmallBody, &req); err != nil {
		return err
	}
	if len(req.MD5) > maxURLs {
		return problem.New(http.StatusBadRequest, "too_many_hashes", fmt.Sprintf("at most %d hashes fit into one request", maxURLs))
	}
	for i, h := range req.MD5 {
		f := FileRequest{MD5: h}
		if v := checkHash(&f); v != nil || h == "" {
			return problem.New(http.StatusBadRequest, "invalid_md5", "md5 must hold hashes of 32 hexadecimal digits")
		}
		req.MD5[i] = f.MD5
	}
	found, err := s.store.OwnHashes(c.r.Context(), c.user, req.MD5)
	if err != nil {
		return err
	}
	list := HashesResponse{Items: make([]Record, 0, len(found))}
	for i := range found {
		list.Items = append(list.Items, recordOf(&found[i]))
	}
	return c.json(list)
}
