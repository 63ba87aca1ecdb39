package cloud

import (
	"errors"
	"fmt"
)

// Class is the kind of a failure, which alone decides what the controllers do about it.
type Class string

// The classes form a closed set. An error that is not an *Error counts as Retryable.
const (
	// Waiting is not a failure: something that was asked for has not become true yet.
	Waiting Class = "Waiting"
	// Throttled: the service asked to slow down.
	Throttled Class = "Throttled"
	// Retryable: the service or the way to it is down.
	Retryable Class = "Retryable"
	// Conflict: the object exists and belongs to somebody else.
	Conflict Class = "Conflict"
	// Quota: a limit of the account is reached.
	Quota Class = "Quota"
	// Denied: the credentials lack a permission, or are not valid.
	Denied Class = "Denied"
	// Invalid: the service refuses the request itself; only another spec helps.
	Invalid Class = "Invalid"
)

// Error is a classified failure. Its text is stable: two failures with the same cause read the same,
// so it holds no request id, no time and no URL.
type Error struct {
	Class Class
	// Operation such as "ram:CreateRole", named as RAM names the permission for it.
	Operation string
	// Resource is the bucket, role or policy that the call was about.
	Resource string
	// Code is the service's error code, empty when the service did not answer.
	Code string
	// Detail is a stable sentence that says what to do.
	Detail string
	// RequestID is for the log, never for a condition.
	RequestID string
	// ServerMessage is the service's own words, for the log only: they may change with every call.
	ServerMessage string
	// Err is the cause, for errors.As; its text is not part of Error.
	Err error
}

// Error returns the stable text.
func (e *Error) Error() string {
	text := e.Operation
	if e.Resource != "" {
		text += " " + e.Resource
	}
	if e.Code != "" {
		text += ": " + e.Code
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of an error: that of the first *Error in its chain, else Retryable. A nil
// error has no class.
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	var classified *Error
	if errors.As(err, &classified) {
		return classified.Class
	}
	return Retryable
}

// Errorf makes a classified error whose text is the formatted sentence. The sentence must be stable.
func Errorf(class Class, operation, format string, args ...any) *Error {
	return &Error{Class: class, Operation: operation, Detail: fmt.Sprintf(format, args...)}
}

// LogValues returns what belongs into a log line and nowhere else.
func LogValues(err error) []any {
	var classified *Error
	if !errors.As(err, &classified) || classified.RequestID == "" && classified.ServerMessage == "" {
		return nil
	}
	return []any{"requestID", classified.RequestID, "serverMessage", classified.ServerMessage}
}
