package oss

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

func addMultipart(add adder) {
	add("InitiateMultipartUpload", "", (*request).initiateMultipartUpload)
	add("UploadPart", "oss:PutObject", (*request).uploadPart)
	add("UploadPartCopy", "oss:PutObject", (*request).uploadPartCopy)
	add("CompleteMultipartUpload", "oss:PutObject", (*request).completeMultipartUpload)
	add("AbortMultipartUpload", "oss:AbortMultipartUpload", (*request).abortMultipartUpload)
	add("ListParts", "oss:ListParts", (*request).listParts)
	add("ListMultipartUploads", "oss:ListMultipartUploads", (*request).listMultipartUploads)
}

// Limits of multipart uploads (H/zh/oss/user-guide/limits).
const (
	maxParts    = 10000
	minPartSize = 100 << 10
)

// uploadError is fromStore with the EC that each operation has for an unknown upload.
func (q *request) uploadError(err error, ec string) *Error {
	e := fromStore(err, q.bucket, q.key)
	if e.Code == "NoSuchUpload" {
		e.EC = ec
		return e.with("UploadId", q.param("uploadId"))
	}
	return e
}

type initiateResult struct {
	XMLName      xml.Name `xml:"InitiateMultipartUploadResult"`
	EncodingType string   `xml:",omitempty"`
	Bucket, Key  string
	UploadId     string
}

func (q *request) initiateMultipartUpload() *Error {
	encode, err := q.encoder()
	if err != nil {
		return err
	}
	o, err := q.object(q.headerAttributes(), q.key)
	if err != nil {
		return err
	}
	if _, err := forbidOverwrite(q.header("x-oss-forbid-overwrite")); err != nil {
		return err
	}
	if err := q.authorizePut(q.key, &o); err != nil {
		return err
	}
	u, createErr := q.server.store.CreateUpload(q.bucket, o, q.has("sequential"))
	if createErr != nil {
		return fromStore(createErr, q.bucket, q.key)
	}
	copyEncryptionHeaders(q.w.Header(), &o)
	q.writeXML(http.StatusOK, initiateResult{EncodingType: q.param("encoding-type"), Bucket: q.bucket, Key: encode(q.key), UploadId: u.ID})
	return nil
}

func (q *request) partNumber() (int, *Error) {
	n, err := strconv.Atoi(q.param("partNumber"))
	if err != nil || n < 1 || n > maxParts {
		return 0, invalidArgument("", "partNumber", q.param("partNumber"), "Part number must be an integer between 1 and 10000, inclusive.")
	}
	return n, nil
}

func (q *request) uploadPart() *Error {
	err := q.storePart()
	if err != nil {
		q.drain()
	}
	return err
}

func (q *request) storePart() *Error {
	n, err := q.partNumber()
	if err != nil {
		return err
	}
	const ec = "0042-00000104"
	if _, _, err := q.server.store.UploadParts(q.bucket, q.key, q.param("uploadId")); err != nil {
		return q.uploadError(err, ec)
	}
	if err := q.checkLength(); err != nil {
		return err
	}
	body, bodyErr := q.server.store.NewBody()
	if bodyErr != nil {
		return fromStore(bodyErr, q.bucket, q.key)
	}
	defer body.Abort()
	if err := q.receive(body); err != nil {
		return err
	}
	sum := body.MD5()
	part, putErr := q.server.store.PutPart(q.bucket, q.key, q.param("uploadId"), n, body)
	if putErr != nil {
		return q.uploadError(putErr, ec)
	}
	h := q.w.Header()
	h.Set("ETag", `"`+part.ETag+`"`)
	h.Set("x-oss-hash-crc64ecma", strconv.FormatUint(part.CRC64, 10))
	h.Set("Content-MD5", base64Std(sum))
	h.Set("Content-Length", "0")
	q.w.WriteHeader(http.StatusOK)
	return nil
}

type copyPartResult struct {
	XMLName      xml.Name `xml:"CopyPartResult"`
	LastModified string
	ETag         string
}

func (q *request) uploadPartCopy() *Error {
	n, err := q.partNumber()
	if err != nil {
		return err
	}
	const ec = "0042-00000311"
	if _, _, err := q.server.store.UploadParts(q.bucket, q.key, q.param("uploadId")); err != nil {
		return q.uploadError(err, ec)
	}
	src, r, err := q.openSource()
	if err != nil {
		return err
	}
	defer r.Close()
	offset, length := int64(0), src.Size
	if rng := q.header("x-oss-copy-source-range"); rng != "" {
		var ok bool
		if offset, length, ok = parseRange(rng, src.Size); !ok {
			return newError(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "", "The requested range cannot be satisfied.")
		}
	}
	body, bodyErr := q.server.store.NewBody()
	if bodyErr != nil {
		return fromStore(bodyErr, q.bucket, q.key)
	}
	defer body.Abort()
	if err := r.CopyRange(body, offset, length); err != nil {
		return fromStore(err, q.bucket, q.key)
	}
	part, putErr := q.server.store.PutPart(q.bucket, q.key, q.param("uploadId"), n, body)
	if putErr != nil {
		return q.uploadError(putErr, ec)
	}
	q.w.Header().Set("x-oss-hash-crc64ecma", strconv.FormatUint(part.CRC64, 10))
	q.writeXML(http.StatusOK, copyPartResult{LastModified: xmlTime(part.Modified), ETag: `"` + part.ETag + `"`})
	return nil
}

type completeRequest struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Part    []struct {
		PartNumber int
		ETag       string
	}
}

type completeResult struct {
	XMLName      xml.Name `xml:"CompleteMultipartUploadResult"`
	EncodingType string   `xml:",omitempty"`
	Location     string
	Bucket, Key  string
	ETag         string
}

func (q *request) completeMultipartUpload() *Error {
	encode, err := q.encoder()
	if err != nil {
		return err
	}
	choose, err := q.readComplete()
	if err != nil {
		return err
	}
	forbid, err := forbidOverwrite(q.header("x-oss-forbid-overwrite"))
	if err != nil {
		return err
	}
	acl, err := objectACL(q.header("x-oss-object-acl"))
	if err != nil {
		return err
	}
	if err := q.refusePublicACL(acl, "object"); err != nil {
		return err
	}
	c, err := q.requestCallback()
	if err != nil {
		return err
	}
	sum, sumErr := q.sequentialMD5(choose)
	if sumErr != nil {
		return q.uploadError(sumErr, "0042-00000205")
	}
	o, completeErr := q.server.store.CompleteUpload(store.Complete{
		Bucket: q.bucket, Key: q.key, UploadID: q.param("uploadId"), ForbidOverwrite: forbid, Choose: choose,
		Finish: func(o *store.Object, parts []store.Part) {
			o.ETag, o.CRC64, o.MD5 = multipartETag(parts), multipartCRC(parts), sum
			if acl != "" {
				o.ACL = acl
			}
		},
	})
	if completeErr != nil {
		return q.uploadError(completeErr, "0042-00000205")
	}
	h := q.w.Header()
	h.Set("x-oss-hash-crc64ecma", strconv.FormatUint(o.CRC64, 10))
	q.versionHeader(o)
	copyEncryptionHeaders(h, o)
	h.Set("ETag", `"`+o.ETag+`"`)
	if c != nil {
		return q.runCallback(c, o)
	}
	q.writeXML(http.StatusOK, completeResult{
		EncodingType: q.param("encoding-type"), Location: q.location(q.key),
		Bucket: q.bucket, Key: encode(q.key), ETag: `"` + o.ETag + `"`,
	})
	return nil
}

// sequentialMD5 is the MD5 of the object to be, which only uploads begun with ?sequential know.
func (q *request) sequentialMD5(choose func(store.Upload, []store.Part) ([]store.Part, error)) (string, error) {
	u, parts, err := q.server.store.UploadParts(q.bucket, q.key, q.param("uploadId"))
	if err != nil || !u.Sequential {
		return "", err
	}
	chosen, err := choose(u, parts)
	if err != nil {
		return "", err
	}
	r := q.server.store.OpenParts(chosen)
	defer r.Close()
	h := md5.New()
	if err := r.CopyRange(h, 0, r.Size()); err != nil {
		return "", err
	}
	return base64Std(h.Sum(nil)), nil
}

// readComplete returns the choice of parts: those of the document, or all with x-oss-complete-all: yes.
func (q *request) readComplete() (func(store.Upload, []store.Part) ([]store.Part, error), *Error) {
	body, err := q.readBody()
	if err != nil {
		return nil, err
	}
	if all := q.header("x-oss-complete-all"); all != "" {
		if all != "yes" {
			return nil, invalidArgument("", "x-oss-complete-all", all, "The value of x-oss-complete-all must be yes.")
		}
		if len(body) > 0 {
			return nil, newError(http.StatusBadRequest, "InvalidArgument", "0042-00000216",
				"Should not speficy both complete all header and http body.")
		}
		return func(_ store.Upload, parts []store.Part) ([]store.Part, error) { return parts, checkParts(parts) }, nil
	}
	var doc completeRequest
	if err := parseXML(body, &doc); err != nil {
		return nil, err
	}
	if len(doc.Part) > maxParts {
		return nil, malformedXML("", "there are more than 10000 parts.")
	}
	return func(_ store.Upload, parts []store.Part) ([]store.Part, error) { return doc.choose(parts) }, nil
}

func (d completeRequest) choose(parts []store.Part) ([]store.Part, error) {
	var chosen []store.Part
	last := 0
	for _, want := range d.Part {
		if want.PartNumber <= last {
			return nil, newError(http.StatusBadRequest, "InvalidPartOrder", "",
				"The list of parts was not in ascending order. Parts list must specified in order by part number.")
		}
		last = want.PartNumber
		i := sort.Search(len(parts), func(i int) bool { return parts[i].Number >= want.PartNumber })
		if i == len(parts) || parts[i].Number != want.PartNumber || !strings.EqualFold(strings.Trim(want.ETag, `"`), parts[i].ETag) {
			return nil, newError(http.StatusBadRequest, "InvalidPart", "",
				"One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag.").
				with("PartNumber", strconv.Itoa(want.PartNumber)).with("ETag", want.ETag)
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, checkParts(chosen)
}

func checkParts(parts []store.Part) error {
	// An upload without any part makes an empty object: the official uploader does so with an empty stream.
	for _, p := range parts[:max(0, len(parts)-1)] {
		if p.Size < minPartSize {
			return newError(http.StatusBadRequest, "EntityTooSmall", "", "Your proposed upload smaller than the minimum allowed size.").
				with("ProposedSize", strconv.FormatInt(p.Size, 10)).with("MinSizeAllowed", strconv.Itoa(minPartSize)).
				with("PartNumber", strconv.Itoa(p.Number)).with("PartETag", p.ETag)
		}
	}
	return nil
}

// multipartETag is the MD5 of the parts' MD5s and their number, as OSS forms it.
func multipartETag(parts []store.Part) string {
	var all []byte
	for _, p := range parts {
		all = append(all, p.ETag...)
	}
	return fmt.Sprintf("%s-%d", strings.ToUpper(md5Hex(all)), len(parts))
}

// multipartCRC combines the parts' CRCs.
func multipartCRC(parts []store.Part) uint64 {
	crc := uint64(0)
	for _, p := range parts {
		crc = combineCRC64(crc, p.CRC64, p.Size)
	}
	return crc
}

func (q *request) abortMultipartUpload() *Error {
	if err := q.server.store.AbortUpload(q.bucket, q.key, q.param("uploadId")); err != nil {
		return q.uploadError(err, "0042-00000002")
	}
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func base64Std(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
