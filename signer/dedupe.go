package signer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/index"
	"github.com/uploadtenant/uploadtenant/signer/oss"
	"github.com/uploadtenant/uploadtenant/signer/problem"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

const (
	// challengeTime is how long a client may take to answer.
	challengeTime = time.Minute
	// challengeRanges of challengeLength bytes each: whoever lacks one part in a hundred of a large file is
	// found out with 4 %; whoever has only its hash, always.
	challengeRanges, challengeLength = 4, 4096
	// maxCopy is the largest object that CopyObject takes.
	// Source: https://help.aliyun.com/en/oss/developer-reference/copyobject
	maxCopy = 1 << 30
)

// Range is a part of a file.
type Range struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// ProveRequest answers a challenge.
type ProveRequest struct {
	ID     string `json:"id" doc:"id of the challenge"`
	Digest string `json:"digest" doc:"lower-case hex SHA-256 over the bytes of the nonce and then of each range, in order"`
}

// challenge is what the signer has to remember of one.
type challenge struct {
	File   FileRequest     `json:"file"`
	Ext    policy.Accepted `json:"accepted"`
	Source string          `json:"source"` // upload id
	Nonce  string          `json:"nonce"`
	Ranges []Range         `json:"ranges"`
}

// known looks for stored content with the announced hash: an upload of the same user, or, when the tenant
// shares content, of anybody. Hashes in the index come from OSS, so a client's word is only a question.
func (s *Server) known(c *call, user string, f *FileRequest, now time.Time) (own, foreign *index.Upload) {
	if f.MD5 == "" || c.live.Deduplication == config.DeduplicationOff || f.Size > maxCopy || f.Size == 0 || !s.probes.allow(user, now) {
		return nil, nil
	}
	if u := s.byHash(c.r.Context(), user, f); u != nil {
		return u, nil
	}
	if c.live.Deduplication != config.DeduplicationTenant {
		return nil, nil
	}
	return nil, s.byHash(c.r.Context(), "", f)
}

// byHash returns the newest upload of user, or of anybody for "", with the content that f announces, or nil.
func (s *Server) byHash(ctx context.Context, user string, f *FileRequest) (found *index.Upload) {
	err := s.health.ask(ctx, func(ctx context.Context) error {
		u, err := s.store.ByHash(ctx, user, f.MD5, f.Size)
		if err == nil {
			found = &u
		}
		return err
	})
	if err != nil && !errors.Is(err, index.ErrNotFound) && !errors.Is(err, errIndexAway) {
		s.log.Warn("known content cannot be looked up; the client uploads", "error", err)
	}
	return found
}

// instant gives user a copy of source under a key, id and ticket of its own, so that the bucket stays the
// ledger and nobody depends on another user's object. It is a copy inside the object store.
func (s *Server) instant(c *call, source *index.Upload, r *grantRequest, now time.Time) (*index.Upload, error) {
	ctx := c.r.Context()
	key := c.live.granter.template.Build(policy.KeyValues{Prefix: s.cfg.Bucket.Prefix, User: r.user, ID: r.id, Ext: r.accepted.Ext, Time: now})
	t := &ticket.Ticket{ID: r.id, User: r.user, Key: key, Name: r.name, Type: r.accepted.ContentType, MD5: r.md5, Size: r.size,
		Issued: now.Unix(), Expires: now.Add(time.Minute).Unix(), Metadata: r.metadata}
	if err := s.bucket.Copy(ctx, source.Key, source.ETag, oss.NewObject{Key: key, ContentType: t.Type, Ticket: s.tickets.Seal(t)}); err != nil {
		return nil, fmt.Errorf("copy known content: %w", err)
	}
	upload := uploadOf(t)
	upload.MD5, upload.CRC64, upload.ETag, upload.CreatedAt, upload.Source = source.MD5, source.CRC64, source.ETag, now, index.SourceInstant
	upload.ImageWidth, upload.ImageHeight, upload.ImageFormat = source.ImageWidth, source.ImageHeight, source.ImageFormat
	recorded, err := s.record(ctx, t, upload)
	if err != nil {
		return nil, err
	}
	return &recorded.Upload, nil
}

// deduplicate answers for a file that needs no upload, or returns nil when it needs one. A failure of any
// kind means a plain upload: deduplication saves time, it must not cost an upload.
func (s *Server) deduplicate(c *call, r *grantRequest, f *FileRequest, now time.Time) *Verdict {
	own, foreign := s.known(c, r.user, f, now)
	switch {
	case own != nil:
		upload, err := s.instant(c, own, r, now)
		if err != nil {
			s.log.Warn("instant upload failed; the client uploads", "upload", r.id, "error", err)
			return nil
		}
		s.metrics.Verdicts.WithLabelValues("instant", "").Inc()
		return &Verdict{Status: "instant", ID: upload.ID, Key: upload.Key}
	case foreign != nil:
		v, err := s.challenge(c.r.Context(), foreign, r, f, now)
		if err != nil {
			s.log.Warn("no challenge could be kept; the client uploads", "upload", r.id, "error", err)
			return nil
		}
		s.metrics.Verdicts.WithLabelValues("challenge", "").Inc()
		return v
	}
	return nil
}

// challenge asks for a proof that the client holds the content and not only its hash.
func (s *Server) challenge(ctx context.Context, source *index.Upload, r *grantRequest, f *FileRequest, now time.Time) (*Verdict, error) {
	ch := challenge{File: *f, Ext: r.accepted, Source: source.ID, Nonce: rand.Text()}
	for range challengeRanges {
		length := min(challengeLength, f.Size)
		offset, err := rand.Int(rand.Reader, big.NewInt(f.Size-length+1))
		if err != nil {
			return nil, err
		}
		ch.Ranges = append(ch.Ranges, Range{offset.Int64(), length})
	}
	body, err := json.Marshal(ch)
	if err != nil {
		return nil, fmt.Errorf("encode a challenge: %w", err)
	}
	if err := s.store.AddChallenge(ctx, r.id, r.user, body, now.Add(challengeTime)); err != nil {
		return nil, err
	}
	return &Verdict{Status: "challenge", ID: r.id, Nonce: ch.Nonce, Ranges: ch.Ranges}, nil
}

// handleProve is POST /v1/uploads/prove. A wrong, repeated or late answer gets a plain grant, exactly as
// if the content were not known.
func (s *Server) handleProve(c *call) error {
	var req ProveRequest
	if err := c.decode(maxSmallBody, &req); err != nil {
		return err
	}
	ctx, now := c.r.Context(), s.clock()
	body, fresh, err := s.store.TakeChallenge(ctx, c.user, req.ID)
	if errors.Is(err, index.ErrNotFound) {
		return problem.New(http.StatusNotFound, "not_found", "there is no such challenge; ask for the upload again")
	}
	if err != nil {
		return err
	}
	var ch challenge
	if err := json.Unmarshal(body, &ch); err != nil {
		return fmt.Errorf("decode a challenge: %w", err)
	}
	r := &grantRequest{id: ticket.NewID(now), user: c.user, name: ch.File.Name, size: ch.File.Size, md5: ch.File.MD5, metadata: ch.File.Metadata, accepted: ch.Ext}
	if fresh && s.proved(ctx, &ch, req.Digest) {
		source, err := s.store.Lookup(ctx, ch.Source)
		if err == nil {
			if upload, err := s.instant(c, &source, r, now); err == nil {
				s.metrics.Proofs.WithLabelValues("ok").Inc()
				return c.json(Verdict{Status: "instant", ID: upload.ID, Key: upload.Key})
			}
		}
	}
	s.metrics.Proofs.WithLabelValues("refused").Inc()
	state, ends, err := c.live.granter.current(now)
	if err != nil {
		return s.noCredentials(c, err)
	}
	expires := c.live.granter.expiry(r.size, now, ends)
	if !fresh {
		// What the challenge reserved is used up or expired, so this is another file of today.
		if violation := s.usage.reserve(ctx, c.user, r.size, now, expires); violation != nil {
			answer, err := s.appendRejected(nil, c, violation)
			if err == nil {
				c.body(answer)
			}
			return err
		}
	}
	answer, err := c.live.granter.appendGrant(nil, r, state, now, expires)
	if err != nil {
		return err
	}
	s.lastGrant.Store(now.Unix())
	s.granted.Inc()
	s.noteGrant(c, r.id, r.accepted.ContentType, r.size)
	c.body(answer)
	return nil
}

// proved compares the answer with ranged reads of the object.
func (s *Server) proved(ctx context.Context, ch *challenge, digest string) bool {
	if len(digest) != 2*sha256.Size {
		return false
	}
	source, err := s.store.Lookup(ctx, ch.Source)
	if err != nil {
		return false
	}
	h := sha256.New()
	h.Write([]byte(ch.Nonce))
	for _, r := range ch.Ranges {
		data, err := s.bucket.GetRange(ctx, source.Key, r.Offset, r.Length)
		if err != nil || int64(len(data)) != r.Length {
			return false
		}
		h.Write(data)
	}
	want := hex.EncodeToString(h.Sum(nil))
	return subtle.ConstantTimeCompare([]byte(want), []byte(digest)) == 1
}
