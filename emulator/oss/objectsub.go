package oss

import (
	"encoding/xml"
	"net/http"
	"net/url"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// Sub-resources of objects: ACL, tags, symlinks, restore.

type accessControlPolicy struct {
	XMLName           xml.Name `xml:"AccessControlPolicy"`
	Owner             owner
	AccessControlList grant
}

type grant struct{ Grant string }

func (q *request) putObjectACL() *Error {
	if err := q.authorize(q.versioned("oss:PutObjectAcl", "oss:PutObjectVersionAcl"), q.key); err != nil {
		return err
	}
	value := q.header("x-oss-object-acl")
	if value == "" {
		return invalidArgument("", "x-oss-object-acl", "", "no such object access control exists")
	}
	acl, err := objectACL(value)
	if err != nil {
		return err
	}
	if err := q.refusePublicACL(acl, "object"); err != nil {
		return err
	}
	return q.updateObject(func(o *store.Object) { o.ACL = acl }, http.StatusOK)
}

// updateObject changes the addressed version and answers without a body.
func (q *request) updateObject(edit func(*store.Object), status int) *Error {
	o, err := q.server.store.UpdateObject(q.bucket, q.key, q.param("versionId"), func(o *store.Object) error {
		if o.DeleteMarker {
			return store.ErrNoSuchKey
		}
		edit(o)
		return nil
	})
	if err != nil {
		return fromStore(err, q.bucket, q.key)
	}
	q.versionHeader(o)
	if status != http.StatusNoContent {
		q.w.Header().Set("Content-Length", "0")
	}
	q.w.WriteHeader(status)
	return nil
}

func (q *request) getObjectACL() *Error {
	if err := q.authorize(q.versioned("oss:GetObjectAcl", "oss:GetObjectVersionAcl"), q.key); err != nil {
		return err
	}
	o, err := q.lookup()
	if err != nil {
		return err
	}
	acl := o.ACL
	if acl == "" {
		acl = aclDefault
	}
	q.versionHeader(o)
	q.writeXML(http.StatusOK, accessControlPolicy{Owner: q.server.owner(), AccessControlList: grant{acl}})
	return nil
}

type taggingXML struct {
	XMLName xml.Name `xml:"Tagging"`
	TagSet  struct {
		Tag []tagXML
	}
}

type tagXML struct{ Key, Value string }

func (t taggingXML) tags() []store.Tag {
	var out []store.Tag
	for _, x := range t.TagSet.Tag {
		out = append(out, store.Tag{Key: x.Key, Value: x.Value})
	}
	return out
}

func newTaggingXML(tags []store.Tag) taggingXML {
	var out taggingXML
	for _, t := range tags {
		out.TagSet.Tag = append(out.TagSet.Tag, tagXML(t))
	}
	return out
}

func (q *request) putObjectTagging() *Error {
	var doc taggingXML
	if err := q.readXML(&doc); err != nil {
		return err
	}
	tags := doc.tags()
	if err := checkTags(tags, maxObjectTags); err != nil {
		return err
	}
	extra := map[string][]string{}
	for _, t := range tags {
		extra["oss:RequestObjectTag/"+t.Key] = []string{t.Value}
	}
	if err := q.authorizeWith(q.versioned("oss:PutObjectTagging", "oss:PutObjectVersionTagging"), q.key, extra); err != nil {
		return err
	}
	return q.updateObject(func(o *store.Object) { o.Tags = tags }, http.StatusOK)
}

func (q *request) getObjectTagging() *Error {
	if err := q.authorize(q.versioned("oss:GetObjectTagging", "oss:GetObjectVersionTagging"), q.key); err != nil {
		return err
	}
	o, err := q.lookup()
	if err != nil {
		return err
	}
	q.versionHeader(o)
	q.writeXML(http.StatusOK, newTaggingXML(o.Tags))
	return nil
}

func (q *request) deleteObjectTagging() *Error {
	if err := q.authorize(q.versioned("oss:DeleteObjectTagging", "oss:DeleteObjectVersionTagging"), q.key); err != nil {
		return err
	}
	return q.updateObject(func(o *store.Object) { o.Tags = nil }, http.StatusNoContent)
}

// putSymlink makes an object that stands for another one of the same bucket, which need not exist.
func (q *request) putSymlink() *Error {
	encoded := q.header("x-oss-symlink-target")
	target, decodeErr := url.PathUnescape(encoded)
	if decodeErr != nil || target == "" {
		return invalidArgument("", "x-oss-symlink-target", encoded, "The symlink target is invalid.")
	}
	if err := checkKey(target); err != nil {
		return err
	}
	o, err := q.object(q.headerAttributes(), q.key)
	if err != nil {
		return err
	}
	o.Type, o.Target, o.ETag = store.TypeSymlink, target, randomETag()
	forbid, err := forbidOverwrite(q.header("x-oss-forbid-overwrite"))
	if err != nil {
		return err
	}
	if err := q.authorizePut(q.key, &o); err != nil {
		return err
	}
	stored, putErr := q.server.store.PutObject(store.Put{Bucket: q.bucket, Object: o, ForbidOverwrite: forbid})
	if putErr != nil {
		return fromStore(putErr, q.bucket, q.key)
	}
	q.versionHeader(stored)
	q.w.Header().Set("ETag", `"`+stored.ETag+`"`)
	q.w.Header().Set("Content-Length", "0")
	q.w.WriteHeader(http.StatusOK)
	return nil
}

func (q *request) getSymlink() *Error {
	if err := q.authorize(q.versioned("oss:GetObject", "oss:GetObjectVersion"), q.key); err != nil {
		return err
	}
	o, err := q.lookup()
	if err != nil {
		return err
	}
	if o.Type != store.TypeSymlink {
		return newError(http.StatusBadRequest, "NotSymlink", "", "The object is not symlink.")
	}
	h := q.w.Header()
	h.Set("x-oss-symlink-target", escape(o.Target, true))
	h.Set("ETag", `"`+o.ETag+`"`)
	h.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	for name, value := range o.Meta {
		h.Set("x-oss-meta-"+name, value)
	}
	q.versionHeader(o)
	h.Set("Content-Length", "0")
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// listQueryParams is what all listings of objects have in common.
type listQueryParams struct {
	prefix, delimiter, after string
	max                      int
}

// listQuery reads the parameters that all listings share. OSS lists 100 entries unless told otherwise, at most 1000.
func (q *request) listQuery(afterName string) (listQueryParams, *Error) {
	limit, err := q.count("max-keys", 100, 0, 1000)
	v := listQueryParams{prefix: q.param("prefix"), delimiter: q.param("delimiter"), after: q.param(afterName), max: limit}
	if len(v.prefix) > maxKeyBytes+1 || len(v.after) > maxKeyBytes+1 {
		return v, invalidArgument("", "prefix", v.prefix, "The prefix or marker is too long.")
	}
	return v, err
}
