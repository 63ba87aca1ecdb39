package signer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/config"
	"github.com/uploadtenant/uploadtenant/signer/sts"
	"github.com/uploadtenant/uploadtenant/signer/ticket"
)

// minGrant is the shortest validity that is worth handing out; a credential with less left is as good as none.
const minGrant = 10 * time.Second

var errCredentialEnds = errors.New("the STS credential is about to expire")

// granter signs forms. It holds everything that does not change from grant to grant.
type granter struct {
	cfg         *config.Config
	limits      policy.Limits
	template    *policy.KeyTemplate
	tickets     *ticket.Keyring
	credentials Credentials
	clock       func() time.Time
	signing     atomic.Pointer[signingState]
	buffers     sync.Pool

	// callbackHead is the base64 of the callback document up to the ticket, nil without callbacks.
	callbackHead []byte
}

// signingState is the derived key of one credential and day, with everything that all its grants share.
type signingState struct {
	cred   sts.Credential
	signer *policy.SignerV4
	// conditions and formFields hold the fields that are the same in every grant.
	conditions, formFields []byte
	// recent is the shared beginning of the grants of the current second.
	recent atomic.Pointer[beginning]
}

// beginning is what the grants of one second have in common: the first part of the policy, encoded and
// hashed. It saves two thirds of the work of a grant.
type beginning struct {
	second, expires int64
	date            string
	policy          []byte // base64
	hashed          policy.Beginning
}

func newSigningState(cred sts.Credential, region string, now time.Time, v1 bool) *signingState {
	s := &signingState{cred: cred, signer: policy.NewSignerV4(cred.AccessKeyID, cred.AccessKeySecret, region, now)}
	fields := []policy.Field{
		{Name: "x-oss-security-token", Value: cred.SecurityToken},
		{Name: "x-oss-object-acl", Value: "private"},
		{Name: "x-oss-forbid-overwrite", Value: "true"},
		{Name: "success_action_status", Value: "200"},
	}
	if !v1 {
		fields = append(fields, policy.Field{Name: "x-oss-signature-version", Value: policy.SignatureV4}, policy.Field{Name: "x-oss-credential", Value: s.signer.Credential})
	}
	s.conditions, s.formFields = policy.AppendConditions(nil, fields), policy.AppendFormFields(nil, fields)
	return s
}

// v1 tells whether forms are signed in the retired way.
func (g *granter) v1() bool { return g.cfg.Grant.Signature == "V1" }

// begin returns the beginning of a grant from now to expires.
func (g *granter) begin(state *signingState, now, expires time.Time) *beginning {
	b := state.recent.Load()
	if b != nil && b.second == now.Unix() && b.expires == expires.Unix() {
		return b
	}
	b = &beginning{second: now.Unix(), expires: expires.Unix(), date: policy.DateV4(now)}
	text := policy.AppendPolicyHead(make([]byte, 0, 2048), g.cfg.Bucket.Name, expires)
	text = append(text, state.conditions...)
	if !g.v1() {
		text = policy.AppendConditions(text, []policy.Field{{Name: "x-oss-date", Value: b.date}})
	}
	if g.callbackHead != nil {
		text = append(append(text, `,{"callback":"`...), g.callbackHead...)
	}
	// Base64 can be cut after every third byte; white space makes the cut fall behind what is shared. It
	// goes between two members, never into the value.
	b.policy = base64.StdEncoding.AppendEncode(nil, pad(text))
	b.hashed = state.signer.Begin(b.policy)
	state.recent.Store(b)
	return b
}

// pad inserts spaces after the opening brace until the length is a multiple of three.
func pad(document []byte) []byte {
	missing := (3 - len(document)%3) % 3
	return append(append([]byte{'{'}, "  "[:missing]...), document[1:]...)
}

// scratch holds the intermediate texts of one grant.
type scratch struct {
	ticket   []byte // sealed
	document []byte // plain
	callback []byte // base64, without the shared beginning
	policy   []byte // base64, without the shared beginning
}

// callbackBody is what OSS posts back. The ticket is a constant in it, so a client cannot change it, and
// form encoding has no open questions of quoting. Source: protocol of the upload callback,
// https://help.aliyun.com/zh/oss/developer-reference/callback
const callbackBody = "bucket=${bucket}&object=${object}&etag=${etag}&size=${size}&mimeType=${mimeType}&crc64=${crc64}&contentMd5=${contentMd5}" +
	"&height=${imageInfo.height}&width=${imageInfo.width}&format=${imageInfo.format}&reqId=${reqId}&operation=${operation}&ticket="

func newGranter(cfg *config.Config, tickets *ticket.Keyring, credentials Credentials, clock func() time.Time) (*granter, error) {
	template, err := policy.ParseKeyTemplate(cfg.KeyTemplate)
	if err != nil {
		return nil, err
	}
	g := &granter{cfg: cfg, template: template, tickets: tickets, credentials: credentials, clock: clock,
		limits: policy.Limits{MinSize: cfg.Limits.MinSize, MaxSize: cfg.Limits.MaxSize, ContentTypes: cfg.Limits.ContentTypes, Extensions: cfg.Limits.Extensions}}
	g.buffers.New = func() any { return &scratch{} }
	if cfg.Callback.URL == "" {
		return g, nil
	}
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false) // OSS reads this JSON with a parser of its own: no needless escapes
	err = enc.Encode(struct {
		URL  string `json:"callbackUrl"`
		Type string `json:"callbackBodyType"`
		// SNI is off by default in OSS, and then an https origin behind SNI fails the handshake.
		SNI bool `json:"callbackSNI"`
		// Body is last, with the ticket at its end, so that all before it is the same in every grant.
		Body string `json:"callbackBody"`
	}{cfg.Callback.URL, "application/x-www-form-urlencoded", true, callbackBody})
	if err != nil {
		return nil, fmt.Errorf("encode the callback: %w", err)
	}
	head, ok := bytes.CutSuffix(bytes.TrimSpace(doc.Bytes()), []byte(callbackEnd))
	if !ok {
		return nil, errors.New("encode the callback: the body is not the last member")
	}
	g.callbackHead = base64.StdEncoding.AppendEncode(nil, pad(head))
	return g, nil
}

// callbackEnd closes the callback document after the ticket.
const callbackEnd = `"}`

// ready tells whether grants can be signed now.
func (g *granter) ready() error {
	_, _, err := g.current(g.clock())
	return err
}

// current returns the signing key and the latest expiry of a grant that starts now.
func (g *granter) current(now time.Time) (*signingState, time.Time, error) {
	cred, err := g.credentials.Credential()
	if err != nil {
		return nil, time.Time{}, err
	}
	// A policy signed with STS ends with the session anyway; saying so keeps the client from trying.
	if cred.Expires.Sub(now) < minGrant {
		return nil, time.Time{}, errCredentialEnds
	}
	state := g.signing.Load()
	if state == nil || state.cred != cred || !state.signer.Covers(now) {
		state = newSigningState(cred, g.cfg.Bucket.Region, now, g.v1())
		g.signing.Store(state)
	}
	return state, cred.Expires, nil
}

// slowest and longest bound the validity of a grant: OSS judges the expiry when the last byte has arrived,
// so a large file needs longer, and x-oss-date must not be older than 15 minutes in the strict reading.
const (
	slowest = 256 << 10 // bytes per second
	longest = 15 * time.Minute
)

// expiry of a grant for size bytes that starts now, never after ends.
func (g *granter) expiry(size int64, now, ends time.Time) time.Time {
	speed := g.cfg.Grant.MinBytesPerSecond
	if speed <= 0 {
		speed = slowest
	}
	seconds := max(g.cfg.Grant.Expiry, min(size/speed, int64(longest/time.Second)))
	expires := now.Add(time.Duration(seconds) * time.Second)
	if ends.Before(expires) {
		expires = ends
	}
	return expires.Truncate(time.Second) // the grants of one second share their beginning
}

// request is one file of one user, already held against the limits.
type grantRequest struct {
	id       string
	user     string
	name     string
	size     int64
	md5      string
	metadata []byte
	accepted policy.Accepted
}

// appendGrant appends the "upload" verdict for r as JSON. Every field that the form carries is a
// condition of the policy: what is not pinned, a client may change.
func (g *granter) appendGrant(dst []byte, r *grantRequest, state *signingState, now, expires time.Time) ([]byte, error) {
	b := g.buffers.Get().(*scratch)
	defer g.buffers.Put(b)
	key := g.template.Build(policy.KeyValues{Prefix: g.cfg.Bucket.Prefix, User: r.user, ID: r.id, Ext: r.accepted.Ext, Time: now})
	if len(key) > policy.MaxKeyBytes {
		return dst, fmt.Errorf("the key template makes a key of %d bytes, OSS takes %d", len(key), policy.MaxKeyBytes)
	}
	b.ticket = g.tickets.AppendSealed(b.ticket[:0], &ticket.Ticket{ID: r.id, User: r.user, Key: key, Name: r.name, Type: r.accepted.ContentType, MD5: r.md5,
		Size: r.size, Issued: now.Unix(), Expires: expires.Unix(), Metadata: r.metadata})

	shared := g.begin(state, now, expires)
	fields := [2]policy.Field{{Name: "key", Value: key}, {Name: "x-oss-content-type", Value: r.accepted.ContentType}}

	document := b.document[:0]
	b.callback = b.callback[:0]
	if g.callbackHead != nil {
		document = append(append(document, b.ticket...), callbackEnd...)
		b.callback = base64.StdEncoding.AppendEncode(b.callback, document)
		document = append(append(document[:0], b.callback...), `"}`...)
	}
	document = policy.AppendConditions(document, fields[:])
	document = append(append(append(document, `,{"x-oss-meta-ticket":"`...), b.ticket...), `"}`...)
	document = policy.AppendPolicyTail(document, r.size, r.size)
	b.policy = base64.StdEncoding.AppendEncode(b.policy[:0], document)
	b.document = document

	dst = append(dst, `{"status":"upload","id":"`...)
	dst = append(dst, r.id...)
	dst = append(dst, `","key":`...)
	dst = policy.AppendJSONString(dst, key)
	dst = append(dst, `,"method":"POST","url":`...)
	dst = policy.AppendJSONString(dst, g.cfg.Bucket.UploadURL)
	dst = append(dst, `,"fields":{`...)
	dst = policy.AppendFormFields(dst, fields[:])
	dst = append(append(append(dst, `"x-oss-meta-ticket":"`...), b.ticket...), `",`...)
	dst = append(dst, state.formFields...)
	if !g.v1() {
		dst = append(append(append(dst, `"x-oss-date":"`...), shared.date...), `",`...)
	}
	if g.callbackHead != nil {
		dst = append(append(append(append(dst, `"callback":"`...), g.callbackHead...), b.callback...), `",`...)
	}
	dst = append(append(append(dst, `"policy":"`...), shared.policy...), b.policy...)
	if g.v1() {
		whole := append(append([]byte(nil), shared.policy...), b.policy...)
		dst = append(append(dst, `","OSSAccessKeyId":`...), strconv.Quote(state.cred.AccessKeyID)...)
		dst = append(append(dst, `,"Signature":"`...), policy.SignV1(state.cred.AccessKeySecret, whole)...)
	} else {
		dst = append(dst, `","x-oss-signature":"`...)
		dst = state.signer.AppendSignatureAfter(dst, shared.hashed, b.policy)
	}
	dst = append(dst, `"},"fileField":"file","ticket":"`...)
	dst = append(dst, b.ticket...)
	dst = append(dst, `","expiresIn":`...)
	dst = strconv.AppendInt(dst, expires.Unix()-now.Unix(), 10)
	return append(dst, '}'), nil
}
