package oss

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"net/http"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

func addObject(add adder) {
	add("PutObject", "", (*request).putObject)
	add("GetObject", "", (*request).getObject)
	add("HeadObject", "", (*request).headObject)
	add("GetObjectMeta", "", (*request).getObjectMeta)
	add("DeleteObject", "", (*request).deleteObject)
	add("CopyObject", "", (*request).copyObject)
	add("AppendObject", "", (*request).appendObject)
	add("SealAppendObject", "oss:PutObject", (*request).sealAppendObject)
	add("PutObjectAcl", "", (*request).putObjectACL)
	add("GetObjectAcl", "", (*request).getObjectACL)
	add("PutObjectTagging", "", (*request).putObjectTagging)
	add("GetObjectTagging", "", (*request).getObjectTagging)
	add("DeleteObjectTagging", "", (*request).deleteObjectTagging)
	add("PutSymlink", "", (*request).putSymlink)
	add("GetSymlink", "", (*request).getSymlink)
	add("RestoreObject", "oss:RestoreObject", (*request).restoreObject)
	add("CleanRestoredObject", "oss:CleanRestoredObject", (*request).cleanRestoredObject)
	add("DeleteMultipleObjects", "", (*request).deleteMultipleObjects)
}

// versioned is the action for a version of its own: oss:GetObject becomes oss:GetObjectVersion.
func (q *request) versioned(action, versionAction string) string {
	if q.param("versionId") != "" {
		return versionAction
	}
	return action
}

// receive streams the request body into the store and checks length and Content-MD5.
func (q *request) receive(body *store.Body) *Error {
	if _, err := io.Copy(body, q.r.Body); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return entityTooLarge("")
		}
		return newError(http.StatusBadRequest, "IncompleteBody", "", "The request body terminated unexpectedly.")
	}
	if want := q.header("Content-MD5"); want != "" {
		if raw, err := base64.StdEncoding.DecodeString(want); err != nil || len(raw) != md5.Size {
			return invalidDigest(want)
		}
		if want != base64.StdEncoding.EncodeToString(body.MD5()) {
			return invalidDigest(want)
		}
	}
	return nil
}

// checkLength refuses bodies of unknown or excessive length before anything is read.
func (q *request) checkLength() *Error {
	if q.r.ContentLength > maxFormObject {
		return entityTooLarge("")
	}
	if q.r.ContentLength < 0 && len(q.r.TransferEncoding) == 0 {
		return newError(http.StatusLengthRequired, "MissingContentLength", "", "You must provide the Content-Length HTTP header.")
	}
	q.r.Body = http.MaxBytesReader(nil, q.r.Body, maxFormObject)
	return nil
}

func md5Base64(b []byte) string {
	sum := md5.Sum(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (q *request) putObject() *Error {
	err := q.storePut()
	if err != nil && err.Status != http.StatusNonAuthoritativeInfo {
		q.drain()
	}
	return err
}

func (q *request) storePut() *Error {
	if err := q.checkLength(); err != nil {
		return err
	}
	o, err := q.object(q.headerAttributes(), q.key)
	if err != nil {
		return err
	}
	forbid, err := forbidOverwrite(q.header("x-oss-forbid-overwrite"))
	if err != nil {
		return err
	}
	c, err := q.requestCallback()
	if err != nil {
		return err
	}
	if err := q.authorizePut(q.key, &o); err != nil {
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
	stored, putErr := q.server.store.PutObject(store.Put{Bucket: q.bucket, Object: o, Body: body, ForbidOverwrite: forbid})
	if putErr != nil {
		return fromStore(putErr, q.bucket, q.key)
	}
	q.storedHeaders(stored)
	if c != nil {
		return q.runCallback(c, stored)
	}
	q.w.Header().Set("Content-Length", "0")
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// versionHeader tells the version in buckets that have versions.
func (q *request) versionHeader(o *store.Object) {
	if q.info != nil && q.info.Versioning != store.VersioningOff {
		q.w.Header().Set("x-oss-version-id", o.VersionID)
	}
}

// found returns the addressed version, refusing delete markers.
func (q *request) found(o *store.Object, err error) (*store.Object, *Error) {
	if err != nil {
		return nil, fromStore(err, q.bucket, q.key)
	}
	if !o.DeleteMarker {
		return o, nil
	}
	q.w.Header().Set("x-oss-delete-marker", "true")
	q.w.Header().Set("x-oss-version-id", o.VersionID)
	if q.param("versionId") != "" {
		return nil, newError(http.StatusMethodNotAllowed, "MethodNotAllowed", "",
			"The specified method is not allowed against this resource.").with("Method", q.r.Method).with("ResourceType", "DeleteMarker")
	}
	return nil, fromStore(store.ErrNoSuchKey, q.bucket, q.key)
}

func (q *request) lookup() (*store.Object, *Error) {
	return q.found(q.server.store.Object(q.bucket, q.key, q.param("versionId")))
}

// readable opens an object for reading, through a symlink when it is one.
func (q *request) readable() (*store.Object, *store.Reader, *Error) {
	o, r, err := q.server.store.OpenObject(q.bucket, q.key, q.param("versionId"))
	o, failure := q.found(o, err)
	if failure != nil {
		if r != nil {
			r.Close()
		}
		return nil, nil, failure
	}
	if o.Type != store.TypeSymlink {
		return o, r, nil
	}
	r.Close()
	target, reader, err := q.server.store.OpenObject(q.bucket, o.Target, "")
	if err != nil || target.DeleteMarker {
		if reader != nil {
			reader.Close()
		}
		return nil, nil, newError(http.StatusNotFound, "SymlinkTargetNotExist", "", "The symlink target object does not exist.")
	}
	if target.Type == store.TypeSymlink {
		reader.Close()
		return nil, nil, newError(http.StatusBadRequest, "InvalidTargetType", "0026-00000011", "The symbolic's target file type is invalid")
	}
	return symlinked(o, target), reader, nil
}

// symlinked is the target seen through its link: content of the one, name, time and metadata of the other.
func symlinked(link, target *store.Object) *store.Object {
	c := *target
	c.Key, c.VersionID, c.Modified, c.Meta, c.Type = link.Key, link.VersionID, link.Modified, link.Meta, link.Type
	return &c
}
