package policy

import (
	"errors"
	"fmt"
	"strings"
)

// ErrOutside is wrapped by every refusal of a statement that would reach outside its tenant.
var ErrOutside = errors.New("outside the tenant's bucket and prefix")

// CheckStatements accepts statements of a tenant only when they can name nothing but objects below
// bucket/prefix: the effect is Allow or Deny, every action is a concrete object action of OSS, and every
// resource is acs:oss:*:*:bucket/prefix followed by anything.
func CheckStatements(bucket, prefix string, statements []Statement) error {
	if err := checkScope(bucket, prefix); err != nil {
		return err
	}
	for i, s := range statements {
		if err := checkStatement(bucket, prefix, s); err != nil {
			return fmt.Errorf("access.additionalStatements[%d]: %w", i, err)
		}
	}
	return nil
}

func checkStatement(bucket, prefix string, s Statement) error {
	switch {
	case s.Effect != "Allow" && s.Effect != "Deny":
		return fmt.Errorf("effect %q: use Allow or Deny", s.Effect)
	case len(s.Principal) > 0:
		return errors.New("a principal is not accepted: the role of the tenant is the principal")
	case len(s.Action) == 0 || len(s.Resource) == 0:
		return errors.New("name at least one action and one resource")
	}
	for _, action := range s.Action {
		if !objectActions[action] {
			return fmt.Errorf("action %q is not one of the object actions that a tenant may be given: %w", action, ErrOutside)
		}
	}
	for _, resource := range s.Resource {
		if !strings.HasPrefix(resource, bucketARN(bucket)+"/"+prefix) {
			return fmt.Errorf("resource %q must start with %q: %w", resource, bucketARN(bucket)+"/"+prefix, ErrOutside)
		}
	}
	return nil
}

// objectActions are the OSS actions that act on one object. Actions on buckets, on the account and
// patterns are left out on purpose, and so are those that change who may read an object.
var objectActions = map[string]bool{
	"oss:AbortMultipartUpload":    true,
	"oss:DeleteObject":            true,
	"oss:DeleteObjectTagging":     true,
	"oss:DeleteObjectVersion":     true,
	"oss:GetObject":               true,
	"oss:GetObjectAcl":            true,
	"oss:GetObjectTagging":        true,
	"oss:GetObjectVersion":        true,
	"oss:GetObjectVersionTagging": true,
	"oss:ListParts":               true,
	"oss:PostProcessTask":         true,
	"oss:PutObject":               true,
	"oss:PutObjectTagging":        true,
	"oss:PutObjectVersionTagging": true,
	"oss:RestoreObject":           true,
}

// checkScope refuses a bucket or prefix whose characters could widen a resource or condition pattern.
func checkScope(bucket, prefix string) error {
	if bucket == "" || strings.ContainsAny(bucket, "*?/:${}") {
		return fmt.Errorf("bucket name %q: use lower-case letters, digits and hyphens", bucket)
	}
	if !strings.HasSuffix(prefix, "/") || strings.HasPrefix(prefix, "/") || strings.ContainsAny(prefix, "*?${}") {
		return fmt.Errorf("prefix %q must end with '/', must not start with one and must hold no wildcard", prefix)
	}
	return nil
}
