package oss

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// maxMeta bounds all x-oss-meta-* names and values of an object together.
const maxMeta = 8 << 10

// Headers that are stored with an object and returned with it.
var standardHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

var storageClasses = []string{"Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"}

// attributes are the settings of a new object, from headers or from form fields.
type attributes struct {
	get  func(name string) string
	each func(yield func(name, value string))
}

// headerAttributes reads from request headers.
func (q *request) headerAttributes() attributes {
	return attributes{
		get: q.header,
		each: func(yield func(name, value string)) {
			for name, values := range q.r.Header {
				yield(name, strings.Join(values, ","))
			}
		},
	}
}

// object makes an object of the attributes. contentType is the fallback after Content-Type.
func (q *request) object(a attributes, key string) (store.Object, *Error) {
	o := store.Object{
		Key: key, Type: store.TypeNormal, Headers: map[string]string{}, Meta: map[string]string{}, StorageClass: q.info.StorageClass,
	}
	for _, name := range standardHeaders {
		if v := a.get(name); v != "" {
			o.Headers[name] = v
		}
	}
	o.Headers["Content-Type"] = a.get("Content-Type")
	if o.Headers["Content-Type"] == "" {
		o.Headers["Content-Type"] = "application/octet-stream"
	}
	if class := a.get("x-oss-storage-class"); class != "" {
		if !slices.Contains(storageClasses, class) {
			return o, invalidArgument("", "x-oss-storage-class", class, "no such storage class exists")
		}
		o.StorageClass = class
	}
	acl, err := objectACL(a.get("x-oss-object-acl"))
	if err != nil {
		return o, err
	}
	o.ACL = acl
	if err := q.encryption(a, &o); err != nil {
		return o, err
	}
	if err := readMeta(a, &o); err != nil {
		return o, err
	}
	if tags := a.get("x-oss-tagging"); tags != "" {
		if o.Tags, err = parseTagHeader(tags); err != nil {
			return o, err
		}
	}
	return o, nil
}

// objectACL checks an x-oss-object-acl value; "default" is stored as "".
func objectACL(acl string) (string, *Error) {
	switch acl {
	case "", aclDefault:
		return "", nil
	case aclPrivate, aclPublicRead, aclPublicReadWrite:
		return acl, nil
	}
	return "", invalidArgument("", "x-oss-object-acl", acl, "no such object access control exists")
}

func readMeta(a attributes, o *store.Object) *Error {
	size := 0
	a.each(func(name, value string) {
		low := strings.ToLower(name)
		if suffix, ok := strings.CutPrefix(low, "x-oss-meta-"); ok && suffix != "" {
			o.Meta[suffix] = value
			size += len(low) + len(value)
		}
	})
	if size > maxMeta {
		return invalidArgument("", "", "", "The total size of user metadata exceeds %d bytes.", maxMeta)
	}
	return nil
}

// emulatedKMSKey is the key id that SSE-KMS without a key of one's own reports.
const emulatedKMSKey = "00000000-0000-4000-8000-000000000000"

// encryption notes the server-side encryption that was asked for, or the bucket's own.
func (q *request) encryption(a attributes, o *store.Object) *Error {
	algorithm, data, keyID := a.get("x-oss-server-side-encryption"), a.get("x-oss-server-side-data-encryption"), a.get("x-oss-server-side-encryption-key-id")
	switch algorithm {
	case "":
		var rule encryptionConfig
		doc := q.info.Config["encryption"]
		if doc == nil {
			return nil
		}
		if err := parseXML(doc, &rule); err != nil { // was checked when it was put
			return err
		}
		algorithm, data, keyID = rule.Default.Algorithm, rule.Default.DataEncryption, rule.Default.KeyID
	case "AES256", "KMS", "SM4":
	default:
		return newError(http.StatusBadRequest, "InvalidEncryptionAlgorithmError", "",
			"The Encryption request you specified is not valid. Supported value: AES256/KMS/SM4.")
	}
	o.Headers["x-oss-server-side-encryption"] = algorithm
	if algorithm != "KMS" {
		return nil
	}
	if keyID == "" {
		keyID = emulatedKMSKey
	}
	o.Headers["x-oss-server-side-encryption-key-id"] = keyID
	if data != "" {
		o.Headers["x-oss-server-side-data-encryption"] = data
	}
	return nil
}

func copyEncryptionHeaders(h http.Header, o *store.Object) {
	for _, name := range []string{
		"x-oss-server-side-encryption", "x-oss-server-side-encryption-key-id", "x-oss-server-side-data-encryption",
	} {
		if v := o.Headers[name]; v != "" {
			h.Set(name, v)
		}
	}
}

// Limits of object tags (H/zh/oss/developer-reference/putobjecttagging).
const (
	maxObjectTags = 10
	maxTagKey     = 128
	maxTagValue   = 256
)

// parseTagHeader reads x-oss-tagging: k1=v1&k2=v2, URL-encoded.
func parseTagHeader(text string) ([]store.Tag, *Error) {
	var tags []store.Tag
	for pair := range strings.SplitSeq(text, "&") {
		key, value, _ := strings.Cut(pair, "=")
		k, err1 := url.QueryUnescape(key)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return nil, invalidTag(text)
		}
		tags = append(tags, store.Tag{Key: k, Value: v})
	}
	return tags, checkTags(tags, maxObjectTags)
}

func invalidTag(value string) *Error {
	return newError(http.StatusBadRequest, "InvalidTag", "", "The tag you specified is not valid.").with("Tag", value)
}

func checkTags(tags []store.Tag, limit int) *Error {
	if len(tags) > limit {
		return invalidTag("too many tags")
	}
	seen := map[string]bool{}
	for _, t := range tags {
		if t.Key == "" || utf8.RuneCountInString(t.Key) > maxTagKey || utf8.RuneCountInString(t.Value) > maxTagValue || seen[t.Key] {
			return invalidTag(t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}

// formObject makes an object of form fields. x-oss-tagging is documented as not supported there and is ignored.
func (q *request) formObject(f *formFields, key string) (store.Object, bool, *Error) {
	a := attributes{
		get: func(name string) string {
			switch name {
			case "x-oss-tagging":
				return ""
			case "Content-Type":
				return f.contentType()
			case "x-oss-object-acl":
				if v := f.value(name); v != "" {
					return v
				}
				return q.header(name)
			}
			return f.value(name)
		},
		each: func(yield func(name, value string)) {
			for _, field := range f.list {
				yield(field.name, field.value)
			}
		},
	}
	o, err := q.object(a, key)
	if err != nil {
		return o, false, err
	}
	forbid, err := forbidOverwrite(f.value("x-oss-forbid-overwrite"))
	return o, forbid, err
}

// contentType is x-oss-content-type, else the file part's own, else the field Content-Type.
func (f *formFields) contentType() string {
	if v := f.value("x-oss-content-type"); v != "" {
		return v
	}
	if f.file.contentType != "" {
		return f.file.contentType
	}
	return f.value("Content-Type")
}

func forbidOverwrite(value string) (bool, *Error) {
	switch value {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	}
	return false, invalidArgument("0006-00000117", "x-oss-forbid-overwrite", value, "The value of x-oss-forbid-overwrite must be true or false.")
}
