package signer

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/oss"
	"github.com/uploadtenant/uploadtenant/signer/problem"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

const (
	// minPart and maxParts are limits of OSS: 100 KiB to 5 GiB per part, 10 000 parts.
	minPart, maxParts = 1 << 20, 10000
	// multipartTime is how long a multipart upload may take before its parts are dropped.
	multipartTime = 24 * time.Hour
	// partValidity of a presigned part; a client asks for more as it goes.
	partValidity = 15 * time.Minute
	// maxPartBatch of one request.
	maxPartBatch = 100
)

// MultipartResponse describes a multipart upload that was begun.
type MultipartResponse struct {
	ID        string `json:"id"`
	Key       string `json:"key"`
	PartSize  int64  `json:"partSize" doc:"bytes of every part but the last"`
	PartCount int    `json:"partCount"`
	ExpiresIn int64  `json:"expiresIn" doc:"seconds until the parts are dropped"`
}

// PartsRequest asks for presigned parts.
type PartsRequest struct {
	PartNumbers []int  `json:"partNumbers" doc:"numbers from 1 to partCount, at most 100"`
	ContentType string `json:"contentType,omitempty" doc:"Content-Type header that the PUTs will carry, because OSS signs it; leave it out when they carry none" example:"application/octet-stream"`
}

// PartURL is where to PUT one part.
type PartURL struct {
	PartNumber int    `json:"partNumber"`
	Method     string `json:"method"`
	URL        string `json:"url"`
	Size       int64  `json:"size" doc:"exact bytes of this part"`
}

// PartsResponse holds presigned parts, and the parts that have arrived already, for resuming.
type PartsResponse struct {
	Parts     []PartURL `json:"parts"`
	Uploaded  []int     `json:"uploaded" doc:"numbers of parts that OSS has"`
	ExpiresIn int64     `json:"expiresIn"`
}

// handleMultipart is POST /v1/multipart: one file in the form of POST /v1/uploads.
func (s *Server) handleMultipart(c *call) error {
	var f FileRequest
	if err := c.decode(maxFileBody, &f); err != nil {
		return err
	}
	accepted, violation := c.live.granter.limits.Check(policy.File{Name: f.Name, Size: f.Size, ContentType: f.ContentType})
	if violation == nil {
		violation = checkHash(&f)
	}
	if violation == nil {
		violation = checkMetadata(&f)
	}
	now := s.clock()
	if violation == nil {
		violation = s.usage.reserve(c.r.Context(), c.user, f.Size, now, now.Add(multipartTime))
	}
	if violation != nil {
		s.metrics.Verdicts.WithLabelValues("rejected", violation.Code).Inc()
		return problem.New(violationStatus(violation.Code), violation.Code, violation.Detail)
	}
	id, expires := ticket.NewID(now), now.Add(multipartTime)
	key := c.live.granter.template.Build(policy.KeyValues{Prefix: s.cfg.Bucket.Prefix, User: c.user, ID: id, Ext: accepted.Ext, Time: now})
	// The MD5 of a multipart object is not known to OSS, so the announced one cannot be held against it.
	sealed := s.tickets.Seal(&ticket.Ticket{ID: id, User: c.user, Key: key, Name: f.Name, Type: accepted.ContentType, Size: f.Size,
		Issued: now.Unix(), Expires: expires.Unix(), Metadata: f.Metadata})
	uploadID, err := s.bucket.InitiateMultipart(c.r.Context(), oss.NewObject{Key: key, ContentType: accepted.ContentType, Ticket: sealed})
	if err != nil {
		return s.ossProblem(c, err)
	}
	partSize := max(int64(8<<20), minPart)
	for f.Size > partSize*maxParts {
		partSize *= 2
	}
	m := index.Multipart{ID: id, User: c.user, Key: key, UploadID: uploadID, Ticket: sealed, PartSize: partSize, Expires: expires}
	if err := s.store.AddMultipart(c.r.Context(), m); err != nil {
		return err
	}
	s.noteGrant(c, id, accepted.ContentType, f.Size)
	return c.json(MultipartResponse{ID: id, Key: key, PartSize: partSize, PartCount: partCount(f.Size, partSize), ExpiresIn: int64(multipartTime / time.Second)})
}

func partCount(size, partSize int64) int { return int(max((size+partSize-1)/partSize, 1)) }

// multipart returns the caller's multipart upload of the path with its ticket.
func (s *Server) multipart(c *call) (index.Multipart, *ticket.Ticket, error) {
	m, err := s.store.GetMultipart(c.r.Context(), c.user, c.r.PathValue("id"))
	if errors.Is(err, index.ErrNotFound) {
		return m, nil, problem.New(http.StatusNotFound, "not_found", "you have no multipart upload with this id; it may be complete, or its time was over")
	}
	if err != nil {
		return m, nil, err
	}
	t, err := s.tickets.Open(m.Ticket)
	if err != nil {
		return m, nil, fmt.Errorf("open the ticket of a multipart upload: %w", err)
	}
	return m, t, nil
}

// handleParts is POST /v1/multipart/{id}/parts.
func (s *Server) handleParts(c *call) error {
	var req PartsRequest
	if err := c.decode(maxSmallBody, &req); err != nil {
		return err
	}
	m, t, err := s.multipart(c)
	if err != nil {
		return err
	}
	count := partCount(t.Size, m.PartSize)
	if len(req.PartNumbers) > maxPartBatch {
		return problem.New(http.StatusBadRequest, "too_many_parts", fmt.Sprintf("ask for at most %d parts at a time", maxPartBatch))
	}
	if canonical, ok := policy.CanonicalType(req.ContentType); req.ContentType != "" && (!ok || canonical != req.ContentType) {
		return problem.New(http.StatusBadRequest, policy.CodeInvalidType, "contentType must be a lower-case type such as application/octet-stream, without parameters")
	}
	uploaded, err := s.bucket.ListParts(c.r.Context(), m.Key, m.UploadID)
	if err != nil {
		return s.ossProblem(c, err)
	}
	answer := PartsResponse{Parts: []PartURL{}, Uploaded: []int{}, ExpiresIn: int64(partValidity / time.Second)}
	for _, p := range uploaded {
		answer.Uploaded = append(answer.Uploaded, p.PartNumber)
	}
	for _, n := range req.PartNumbers {
		if n < 1 || n > count {
			return problem.New(http.StatusBadRequest, "invalid_part", fmt.Sprintf("part numbers are 1 to %d", count))
		}
		signed, _, err := s.bucket.PresignTyped(http.MethodPut, s.cfg.Bucket.UploadURL, m.Key, req.ContentType, map[string]string{"partNumber": strconv.Itoa(n), "uploadId": m.UploadID}, partValidity)
		if err != nil {
			return problem.New(http.StatusServiceUnavailable, "credentials_unavailable", "the signer has no valid cloud credentials now; try again later")
		}
		answer.Parts = append(answer.Parts, PartURL{n, http.MethodPut, signed, min(m.PartSize, t.Size-int64(n-1)*m.PartSize)})
	}
	return c.json(answer)
}

// handleMultipartComplete is POST /v1/multipart/{id}/complete. Presigned parts cannot bound sizes, so the
// limits are held against what arrived before it becomes an object.
func (s *Server) handleMultipartComplete(c *call) error {
	ctx := c.r.Context()
	if known, err := s.store.Get(ctx, c.user, c.r.PathValue("id")); err == nil {
		return c.json(recordOf(&known)) // repeated
	}
	m, t, err := s.multipart(c)
	if err != nil {
		return err
	}
	parts, err := s.bucket.ListParts(ctx, m.Key, m.UploadID)
	if err != nil && !oss.NotFound(err) {
		return s.ossProblem(c, err)
	}
	if err == nil {
		if p := checkParts(parts, t.Size, m.PartSize); p != nil {
			return p
		}
		if err := s.bucket.CompleteMultipart(ctx, m.Key, m.UploadID, parts); err != nil {
			return s.ossProblem(c, err)
		}
	} // else it was completed before, and the answer was lost
	upload, err := s.confirm(ctx, t)
	if oss.NotFound(err) {
		return problem.New(http.StatusGone, "expired", "the parts are gone; begin again")
	}
	if err != nil {
		return s.ossProblem(c, err)
	}
	upload.Source = index.SourceComplete
	recorded, err := s.record(ctx, t, upload)
	if err != nil {
		return err
	}
	if err := s.store.DropMultipart(ctx, m.ID); err != nil {
		return err
	}
	return c.json(recordOf(&recorded.Upload))
}

// checkParts holds the parts against the granted size.
func checkParts(parts []oss.Part, size, partSize int64) *problem.Problem {
	if count := partCount(size, partSize); len(parts) != count {
		return problem.New(http.StatusConflict, "parts_missing", fmt.Sprintf("%d of %d parts have arrived; upload the others first", len(parts), count))
	}
	var sum int64
	for i, p := range parts {
		if p.PartNumber != i+1 || p.Size != min(partSize, size-int64(i)*partSize) {
			return problem.New(http.StatusConflict, "part_size", fmt.Sprintf("part %d has %d bytes, not what was granted; upload it again", p.PartNumber, p.Size))
		}
		sum += p.Size
	}
	if sum != size {
		return problem.New(http.StatusConflict, "part_size", fmt.Sprintf("the parts have %d bytes, %d were granted", sum, size))
	}
	return nil
}

// handleMultipartAbort is DELETE /v1/multipart/{id}.
func (s *Server) handleMultipartAbort(c *call) error {
	m, t, err := s.multipart(c)
	if err != nil {
		return err
	}
	if err := s.bucket.AbortMultipart(c.r.Context(), m.Key, m.UploadID); err != nil && !oss.NotFound(err) {
		return s.ossProblem(c, err)
	}
	if err := s.store.DropMultipart(c.r.Context(), m.ID); err != nil {
		return err
	}
	s.usage.release(t.User, t.Size)
	c.status = http.StatusNoContent
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
