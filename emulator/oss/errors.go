package oss

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// Error is an answer of OSS that refuses a request.
type Error struct {
	Status  int
	Code    string
	Message string
	// EC is the fine-grained error code, for example 0006-00000228; it is also sent as x-oss-ec.
	EC string
	// Details are further elements of the error document, in order.
	Details []Detail

	cause error // of an internal error, for the log only
}

// Detail is one further element of an error document, with a value or with children.
type Detail struct {
	Name, Value string
	Children    []Detail
}

// Unwrap returns the cause of an internal error.
func (e *Error) Unwrap() error { return e.cause }

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("%s (%d, EC %s): %s", e.Code, e.Status, e.EC, e.Message)
}

// with returns a copy of e with one more detail.
func (e *Error) with(name, value string) *Error {
	return e.withDetail(Detail{Name: name, Value: value})
}

func (e *Error) withChildren(name string, children ...Detail) *Error {
	return e.withDetail(Detail{Name: name, Children: children})
}

func (e *Error) withDetail(d Detail) *Error {
	c := *e
	c.Details = append(slices.Clone(e.Details), d)
	return &c
}

func newError(status int, code, ec, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, EC: ec, Message: fmt.Sprintf(format, args...)}
}

// invalidArgument is the 400 answer to a bad parameter, which it names.
func invalidArgument(ec, name, value, format string, args ...any) *Error {
	e := newError(http.StatusBadRequest, "InvalidArgument", ec, format, args...)
	if name != "" {
		e = e.with("ArgumentName", name).with("ArgumentValue", value)
	}
	return e
}

func accessDenied(ec, format string, args ...any) *Error {
	return newError(http.StatusForbidden, "AccessDenied", ec, format, args...)
}

// malformedXML is the answer to a document that does not fit its schema.
func malformedXML(ec, detail string) *Error {
	e := newError(http.StatusBadRequest, "MalformedXML", ec,
		"The XML you provided was not well-formed or did not validate against our published schema.")
	if detail != "" {
		e = e.with("ErrorDetail", detail)
	}
	return e
}

func notImplemented(what string) *Error {
	return newError(http.StatusNotImplemented, "NotImplemented", "",
		"A header or operation you provided implies functionality that this emulator does not implement: %s.", what)
}

// fromStore translates the store's errors. Anything unknown is the emulator's own failure.
func fromStore(err error, bucket, key string) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, store.ErrNoSuchBucket):
		return newError(http.StatusNotFound, "NoSuchBucket", "0015-00000101", "The specified bucket does not exist.").
			with("BucketName", bucket)
	case errors.Is(err, store.ErrNoSuchKey):
		return newError(http.StatusNotFound, "NoSuchKey", "0026-00000001", "The specified key does not exist.").with("Key", key)
	case errors.Is(err, store.ErrNoSuchVersion):
		return newError(http.StatusNotFound, "NoSuchVersion", "", "The specified version does not exist.").with("Key", key)
	case errors.Is(err, store.ErrNoSuchUpload):
		return newError(http.StatusNotFound, "NoSuchUpload", "0042-00000002",
			"The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
	case errors.Is(err, store.ErrBucketNotEmpty):
		return newError(http.StatusConflict, "BucketNotEmpty", "0015-00000301",
			"The bucket has objects. Please delete them first.").with("BucketName", bucket)
	case errors.Is(err, store.ErrExists):
		return newError(http.StatusConflict, "FileAlreadyExists", "0026-00000002", "The object you specified already exists and can not be overwritten.")
	}
	internal := newError(http.StatusInternalServerError, "InternalError", "", "We encountered an internal error. Please try again.")
	internal.cause = err
	return internal
}

// errorDocument renders e as OSS does.
func errorDocument(e *Error, requestID, host string) []byte {
	details := []Detail{
		{Name: "Code", Value: e.Code}, {Name: "Message", Value: e.Message},
		{Name: "RequestId", Value: requestID}, {Name: "HostId", Value: host},
	}
	details = append(details, e.Details...)
	if e.EC != "" {
		details = append(details, Detail{Name: "EC", Value: e.EC},
			Detail{Name: "RecommendDoc", Value: "https://api.aliyun.com/troubleshoot?q=" + e.EC})
	}
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error>\n")
	writeDetails(&b, "  ", details)
	b.WriteString("</Error>\n")
	return b.Bytes()
}

func writeDetails(b *bytes.Buffer, indent string, details []Detail) {
	for _, d := range details {
		b.WriteString(indent + "<" + d.Name + ">")
		if len(d.Children) > 0 {
			b.WriteByte('\n')
			writeDetails(b, indent+"  ", d.Children)
			b.WriteString(indent)
		} else {
			_ = xml.EscapeText(b, []byte(d.Value)) // a bytes.Buffer does not fail
		}
		b.WriteString("</" + d.Name + ">\n")
	}
}

// fail answers with an error document; a HEAD request gets it in x-oss-err, because it has no body.
func (q *request) fail(e *Error) {
	q.call.Code, q.call.EC = e.Code, e.EC
	if e.cause != nil {
		q.server.log.Error("internal error", "operation", q.call.Operation, "requestId", q.call.RequestID, "error", e.cause)
	}
	h := q.w.Header()
	if e.EC != "" {
		h.Set("x-oss-ec", e.EC)
	}
	doc := errorDocument(e, q.call.RequestID, q.r.Host)
	h.Set("Content-Type", "application/xml")
	if q.r.Method == http.MethodHead {
		h.Set("x-oss-err", base64.StdEncoding.EncodeToString(doc))
		q.w.WriteHeader(e.Status)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(doc)))
	q.w.WriteHeader(e.Status)
	// A client that has gone away is not this server's failure.
	_, _ = q.w.Write(doc)
}
