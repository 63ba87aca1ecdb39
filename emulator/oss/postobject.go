package oss

import (
	"bufio"
	"crypto/md5"
	"encoding/base64"
	"hash"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// formField is a field that came before the file.
type formField struct{ name, value string }

// formFields are the fields of a form. Names are compared without regard to case: the documentation contradicts
// itself there, and clients in the field send "signature" as well as "Signature".
type formFields struct {
	list []formField
	file *part
}

func (f *formFields) get(name string) (string, bool) {
	for _, field := range f.list {
		if strings.EqualFold(field.name, name) {
			return field.value, true
		}
	}
	return "", false
}

func (f *formFields) value(name string) string {
	v, _ := f.get(name)
	return v
}

// postObject is the form upload. The order of the checks is: form, key, signature, policy, callback, rights; then
// the file is received; then size and expiry are judged.
func (q *request) postObject() *Error {
	err := q.receiveForm()
	if err != nil {
		q.drain()
	}
	return err
}

func (q *request) receiveForm() *Error {
	if q.info == nil {
		return fromStore(store.ErrNoSuchBucket, q.bucket, "")
	}
	if q.r.ContentLength > maxFormObject {
		return entityTooLarge("")
	}
	var bodyMD5 hash.Hash
	body := io.Reader(q.r.Body)
	if q.header("Content-MD5") != "" {
		bodyMD5 = md5.New()
		body = io.TeeReader(body, bodyMD5)
	}
	buffer := q.server.buffers.Get().(*bufio.Reader) //nolint:forcetypeassert // the pool holds nothing else
	defer q.server.buffers.Put(buffer)
	f, err := newForm(q.header("Content-Type"), body, buffer)
	if err != nil {
		return err
	}
	fields, err := f.fields()
	if err != nil {
		return err
	}
	up, err := q.checkForm(fields)
	if err != nil {
		return err
	}
	content, err := q.receiveFile(f, up)
	if err != nil {
		return err
	}
	defer content.Abort()
	if err := q.checkBody(f, up, bodyMD5); err != nil {
		return err
	}
	return q.storeForm(up, content)
}

// fields reads everything before the file.
func (f *form) fields() (*formFields, *Error) {
	out := &formFields{}
	left := maxFormFields
	for {
		p, err := f.next()
		if err != nil {
			return nil, err
		}
		if p == nil {
			ec := "0006-00000104" // the file is missing
			if len(out.list) == 0 {
				ec = "0006-00000107" // everything is
			}
			return nil, wrongNumberOfFiles(ec)
		}
		if strings.EqualFold(p.name, "file") {
			out.file = p
			return out, nil
		}
		value, err := f.value(left)
		if err != nil {
			return nil, err
		}
		left -= len(value)
		out.list = append(out.list, formField{p.name, value})
	}
}

func wrongNumberOfFiles(ec string) *Error {
	return newError(http.StatusBadRequest, "IncorrectNumberOfFilesInPOSTRequest", ec, "POST requires exactly one file upload per request.")
}

// formUpload is a form that was found good, before its file.
type formUpload struct {
	fields   *formFields
	policy   *postPolicy // nil for an anonymous upload
	object   store.Object
	forbid   bool
	callback *callback
}

func (q *request) checkForm(f *formFields) (*formUpload, *Error) {
	up := &formUpload{fields: f}
	key := f.value("key")
	if key == "" {
		return nil, invalidArgument("", "", "",
			"The bucket POST must contain the specified 'key'. If it is specified, please check the order of the fields.")
	}
	var err *Error
	if up.policy, err = q.authenticateForm(f); err != nil {
		return nil, err
	}
	if up.policy != nil {
		if err := q.checkPolicy(up.policy, f); err != nil {
			return nil, err
		}
	}
	// The placeholder is filled in after the policy check, so that conditions see the literal text.
	key = strings.ReplaceAll(key, "${filename}", baseName(f.file.filename))
	q.key, q.call.Key = key, key
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if up.object, up.forbid, err = q.formObject(f, key); err != nil {
		return nil, err
	}
	if up.callback, err = q.server.formCallback(q.r.Context(), f); err != nil {
		return nil, err
	}
	if err := q.authorizePut(key, &up.object); err != nil {
		return nil, err
	}
	return up, nil
}

// baseName drops the folders that some browsers send along with a file name.
func baseName(filename string) string {
	name := path.Base(strings.ReplaceAll(filename, `\`, "/"))
	if name == "." || name == "/" {
		return ""
	}
	return name
}

func entityTooLarge(ec string) *Error {
	return newError(http.StatusBadRequest, "EntityTooLarge", ec, "Your proposed upload exceeds the maximum allowed object size.")
}

// receiveFile streams the file into the store, within the bounds of the policy.
func (q *request) receiveFile(f *form, up *formUpload) (*store.Body, *Error) {
	body, err := q.server.store.NewBody()
	if err != nil {
		return nil, fromStore(err, q.bucket, q.key)
	}
	limit := int64(maxFormObject)
	ec := ""
	if up.policy != nil && up.policy.max < limit {
		limit, ec = up.policy.max, "0006-00000003"
	}
	limited := &limitWriter{w: body, left: limit}
	var sink io.Writer = limited
	var decoder *base64Writer
	if up.fields.file.base64 {
		decoder = &base64Writer{w: limited}
		sink = decoder
	}
	failure := f.copy(sink)
	if failure == nil && decoder != nil {
		failure = decoder.close()
	}
	switch {
	case limited.over:
		failure = entityTooLarge(ec).with("ProposedSize", strconv.FormatInt(limit+1, 10)).with("MaxSizeAllowed", strconv.FormatInt(limit, 10))
	case failure == nil && up.policy != nil && body.Size() < up.policy.min:
		failure = newError(http.StatusBadRequest, "EntityTooSmall", "0006-00000004",
			"Your proposed upload is smaller than the minimum allowed object size.").
			with("ProposedSize", strconv.FormatInt(body.Size(), 10)).with("MinSizeAllowed", strconv.FormatInt(up.policy.min, 10))
	}
	if failure != nil {
		body.Abort()
		return nil, failure
	}
	return body, nil
}

// checkBody is what can be judged only when the whole request has arrived.
func (q *request) checkBody(f *form, up *formUpload, bodyMD5 hash.Hash) *Error {
	p, err := f.next()
	if err != nil {
		return err
	}
	if p != nil {
		if strings.EqualFold(p.name, "file") {
			return wrongNumberOfFiles("")
		}
		return malformedForm("0006-00000103")
	}
	if err := f.rest(); err != nil {
		return err
	}
	if bodyMD5 != nil && !equal(base64.StdEncoding.EncodeToString(bodyMD5.Sum(nil)), q.header("Content-MD5")) {
		return invalidDigest(q.header("Content-MD5"))
	}
	// A slow upload can outlive its policy: what counts is when the request was complete (EC 0006-00000213).
	if up.policy != nil && q.server.clock().After(up.policy.expiration) {
		return policyExpired()
	}
	return nil
}

// rest reads what follows the closing boundary, which is of no meaning but part of the body.
func (f *form) rest() *Error {
	_, err := io.Copy(io.Discard, f.r)
	if err != nil {
		return malformedForm("0006-00000104")
	}
	return nil
}

func policyExpired() *Error { return policyDenied("0006-00000213", "Policy expired.") }

func invalidDigest(value string) *Error {
	return newError(http.StatusBadRequest, "InvalidDigest", "", "The Content-MD5 you specified is not valid.").with("Content-MD5", value)
}

// drainLimit bounds what is read of a refused body so that the client gets to see the answer.
const drainLimit = 256 << 20

// drain reads on after a refusal: a client that is still sending would otherwise see a broken connection.
func (q *request) drain() {
	if q.r.Body == nil || q.r.ContentLength > drainLimit {
		return
	}
	// Whatever goes wrong here, the answer has been decided.
	_, _ = io.Copy(io.Discard, io.LimitReader(q.r.Body, drainLimit))
}

// base64Writer decodes a part with Content-Transfer-Encoding: base64.
type base64Writer struct {
	w     io.Writer
	group []byte
}

func (b *base64Writer) Write(p []byte) (int, error) {
	for _, c := range p {
		if c == '\r' || c == '\n' {
			continue
		}
		b.group = append(b.group, c)
	}
	whole := len(b.group) / 4 * 4
	out := make([]byte, base64.StdEncoding.DecodedLen(whole))
	n, err := base64.StdEncoding.Decode(out, b.group[:whole])
	if err != nil {
		return 0, malformedForm("")
	}
	b.group = append(b.group[:0], b.group[whole:]...)
	if _, err := b.w.Write(out[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (b *base64Writer) close() *Error {
	if len(b.group) > 0 {
		return malformedForm("")
	}
	return nil
}
