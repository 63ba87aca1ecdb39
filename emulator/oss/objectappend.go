package oss

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

func (q *request) appendObject() *Error {
	err := q.storeAppend()
	if err != nil {
		q.drain()
	}
	return err
}

func (q *request) storeAppend() *Error {
	position, parseErr := strconv.ParseInt(q.param("position"), 10, 64)
	if parseErr != nil || position < 0 {
		return invalidArgument("", "position", q.param("position"), "The position argument is invalid.")
	}
	if err := q.checkLength(); err != nil {
		return err
	}
	fresh, err := q.object(q.headerAttributes(), q.key)
	if err != nil {
		return err
	}
	if err := q.authorizePut(q.key, &fresh); err != nil {
		return err
	}
	body, bodyErr := q.server.store.NewBody()
	if bodyErr != nil {
		return fromStore(bodyErr, q.bucket, q.key)
	}
	defer body.Abort()
	if current, err := q.server.store.Object(q.bucket, q.key, ""); err == nil && !current.DeleteMarker {
		body.WithCRC64(current.CRC64)
	}
	if err := q.receive(body); err != nil {
		return err
	}
	fresh.ETag = randomETag()
	stored, storeErr := q.server.store.AppendObject(q.bucket, q.key, body, func(current *store.Object) (store.Object, error) {
		return q.appended(current, fresh, position)
	})
	if storeErr != nil {
		return fromStore(storeErr, q.bucket, q.key)
	}
	h := q.w.Header()
	h.Set("ETag", `"`+stored.ETag+`"`)
	h.Set("x-oss-hash-crc64ecma", strconv.FormatUint(stored.CRC64, 10))
	h.Set("x-oss-next-append-position", strconv.FormatInt(stored.Size, 10))
	q.versionHeader(stored)
	copyEncryptionHeaders(h, stored)
	h.Set("Content-Length", "0")
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// appended is the object after the append, or why there is none.
func (q *request) appended(current *store.Object, fresh store.Object, position int64) (store.Object, error) {
	if current == nil {
		if position != 0 {
			return fresh, positionMismatch(0)
		}
		return fresh, nil
	}
	switch {
	case current.Type != store.TypeAppendable:
		return fresh, newError(http.StatusConflict, "ObjectNotAppendable", "", "The object is not appendable")
	case current.Sealed:
		return fresh, newError(http.StatusConflict, "ObjectSealed", "", "The object is sealed and can not be appended.")
	case current.Size != position:
		return fresh, positionMismatch(current.Size)
	}
	next := *current
	next.ETag = fresh.ETag
	return next, nil
}

func positionMismatch(next int64) *Error {
	return newError(http.StatusConflict, "PositionNotEqualToLength", "0026-00000016", "Position is not equal to file length").
		with("NextAppendPosition", strconv.FormatInt(next, 10))
}

// randomETag is the ETag of objects whose ETag is no MD5.
func randomETag() string {
	var raw [16]byte
	rand.Read(raw[:]) // never fails since Go 1.24
	return strings.ToUpper(hex.EncodeToString(raw[:]))
}

func (q *request) sealAppendObject() *Error {
	position, parseErr := strconv.ParseInt(q.param("position"), 10, 64)
	if parseErr != nil {
		return invalidArgument("", "position", q.param("position"), "The position argument is invalid.")
	}
	o, err := q.server.store.UpdateObject(q.bucket, q.key, "", func(o *store.Object) error {
		switch {
		case o.DeleteMarker:
			return store.ErrNoSuchKey
		case o.Type != store.TypeAppendable:
			return newError(http.StatusConflict, "ObjectNotAppendable", "", "The object is not appendable")
		case o.Size != position:
			return positionMismatch(o.Size)
		}
		o.Sealed = true
		return nil
	})
	if err != nil {
		return fromStore(err, q.bucket, q.key)
	}
	q.w.Header().Set("x-oss-sealed-time", o.Modified.UTC().Format(http.TimeFormat))
	q.w.Header().Set("Content-Length", "0")
	q.w.WriteHeader(http.StatusOK)
	return nil
}
