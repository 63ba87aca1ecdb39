package aliyun

import (
	"context"
	"errors"
	"net/http"
	"strings"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/signer/sts"
)

// answer is what a service said, whichever SDK carried it.
type answer struct {
	status                   int
	code, message, requestID string
}

// classifyOSS turns an error of the OSS SDK into a *cloud.Error; nil stays nil.
func classifyOSS(op, resource string, err error) error {
	if err == nil {
		return nil
	}
	var service *oss.ServiceError
	if errors.As(err, &service) {
		return classified(op, resource, answer{service.StatusCode, service.Code, service.Message, service.RequestID}, err)
	}
	return unanswered(op, resource, err)
}

// classifyRPC turns an error of the RAM and STS SDK into a *cloud.Error; nil stays nil.
func classifyRPC(op, resource string, err error) error {
	if err == nil {
		return nil
	}
	var service *sdkerrors.ServerError
	if errors.As(err, &service) {
		return classified(op, resource, answer{service.HttpStatus(), service.ErrorCode(), service.Message(), service.RequestId()}, err)
	}
	return unanswered(op, resource, err)
}

// classifySTS turns an error of the keyless STS client into a *cloud.Error.
func classifySTS(op string, err error) error {
	var service *sts.Error
	if errors.As(err, &service) {
		return classified(op, "", answer{service.Status, service.Code, service.Message, service.RequestID}, err)
	}
	return unanswered(op, "", err)
}

// unanswered is a call that no service answered: a credential that could not be had, or the network.
func unanswered(op, resource string, err error) error {
	var already *cloud.Error
	if errors.As(err, &already) {
		return already
	}
	detail := "the service cannot be reached: check the account's endpoints and the network"
	if errors.Is(err, context.DeadlineExceeded) {
		detail = "the service did not answer in time: check the account's endpoints and the network"
	}
	// The SDK's own text holds URLs with signatures; it stays reachable through Unwrap only.
	return &cloud.Error{Class: cloud.Retryable, Operation: op, Resource: resource, Detail: detail, Err: err}
}

func classified(op, resource string, a answer, err error) error {
	class := classOf(a)
	return &cloud.Error{
		Class: class, Operation: op, Resource: resource, Code: a.code,
		Detail:    remedy(class, op, a.code),
		RequestID: a.requestID, ServerMessage: a.message, Err: err,
	}
}

// classes by exact code. Sources: the error-code pages of OSS, RAM 2015-05-01 and STS 2015-04-01.
var classes = map[string]cloud.Class{
	// OSS
	"AccessDenied":             cloud.Denied,
	"AccessForbidden":          cloud.Denied,
	"BucketNotEmpty":           cloud.Conflict,
	"BucketAlreadyExists":      cloud.Conflict,
	"InternalError":            cloud.Retryable,
	"InvalidAccessKeyId":       cloud.Denied,
	"InvalidArgument":          cloud.Invalid,
	"InvalidBucketName":        cloud.Invalid,
	"MalformedXML":             cloud.Invalid,
	"NoSuchBucket":             cloud.Retryable,
	"OperationAborted":         cloud.Retryable,
	"RequestTimeTooSkewed":     cloud.Retryable,
	"RequestTimeout":           cloud.Retryable,
	"SecurityTokenExpired":     cloud.Retryable,
	"SecurityTokenMalformed":   cloud.Denied,
	"InvalidSecurityToken":     cloud.Denied,
	"ServiceUnavailable":       cloud.Retryable,
	"SignatureDoesNotMatch":    cloud.Denied,
	"TooManyBuckets":           cloud.Quota,
	"UserDisable":              cloud.Denied,
	"DownloadTrafficRateLimit": cloud.Throttled,
	"QpsLimitExceeded":         cloud.Throttled,
	"TooManyRequests":          cloud.Throttled,
	// RAM and STS
	"NoPermission":             cloud.Denied,
	"Forbidden":                cloud.Denied,
	"Forbidden.RAM":            cloud.Denied,
	"MalformedPolicyDocument":  cloud.Invalid,
	"IncompleteSignature":      cloud.Denied,
	"InvalidTimeStamp.Expired": cloud.Retryable,
	"SignatureNonceUsed":       cloud.Retryable,
}

// families by the part of a code before its first dot.
var families = map[string]cloud.Class{
	"AuthenticationFail":     cloud.Denied,
	"DeleteConflict":         cloud.Retryable, // reads of RAM lag behind a detach
	"EntityAlreadyExists":    cloud.Retryable, // somebody else was faster: observe again
	"EntityNotExist":         cloud.Retryable, // reads of RAM lag behind a creation
	"InvalidAccessKeyId":     cloud.Denied,
	"InvalidAccessKeySecret": cloud.Denied,
	"InvalidParameter":       cloud.Invalid,
	"InvalidSecurityToken":   cloud.Denied,
	"LimitExceeded":          cloud.Quota,
	"MissingParameter":       cloud.Invalid,
	"NoPermission":           cloud.Denied,
	"ServiceUnavailable":     cloud.Retryable,
	"Throttling":             cloud.Throttled,
}

// classOf decides by code, then by family of codes, then by HTTP status.
func classOf(a answer) cloud.Class {
	if class, ok := classes[a.code]; ok {
		return class
	}
	family, _, _ := strings.Cut(a.code, ".")
	if class, ok := families[family]; ok {
		return class
	}
	switch {
	case a.status == http.StatusTooManyRequests:
		return cloud.Throttled
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return cloud.Denied
	case a.status == http.StatusConflict:
		return cloud.Conflict
	case a.status >= 500 || a.status == http.StatusRequestTimeout || a.status == 0:
		return cloud.Retryable
	case a.status == http.StatusNotFound:
		return cloud.Retryable
	default:
		return cloud.Invalid
	}
}

// remedy is the stable sentence for a failure.
func remedy(class cloud.Class, op, code string) string {
	switch code {
	case "InvalidAccessKeyId", "InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.Inactive", "SignatureDoesNotMatch", "IncompleteSignature":
		return "the access key of the CloudAccount is not valid: correct its credentials"
	case "TooManyBuckets":
		return "the account has reached its number of buckets in this region: remove one, raise the quota, or share a bucket under another prefix"
	case "BucketAlreadyExists":
		return "another Alibaba Cloud account owns a bucket of this name: choose another bucket.name"
	case "InvalidSecurityToken", "SecurityTokenMalformed":
		return "the security token of the CloudAccount is not valid: correct its credentials"
	}
	switch class {
	case cloud.Denied:
		return "the manager's identity may not do this: grant it " + op + " on this resource, and check that the resource belongs to this account"
	case cloud.Quota:
		return "a quota of the account is reached: raise it, or use another CloudAccount"
	case cloud.Conflict:
		return "it belongs to somebody else"
	case cloud.Throttled:
		return "the service asks to slow down; this is retried"
	case cloud.Invalid:
		return "the service refuses the request; the manager's log has its words"
	default:
		return "the service failed; this is retried"
	}
}

// notFound are the codes for "it does not exist".
var notFound = []string{
	"NoSuchBucket",
	"EntityNotExist.Role", "EntityNotExist.Policy", "EntityNotExist.Policy.Version", "EntityNotExist.Role.Policy",
}

// ignoreNotFound turns "it does not exist" into nil.
func ignoreNotFound(err error) error { return ignoreCode(err, notFound...) }

func ignoreCode(err error, codes ...string) error {
	var classified *cloud.Error
	if errors.As(err, &classified) {
		for _, code := range codes {
			if classified.Code == code {
				return nil
			}
		}
	}
	return err
}
