package oss

import (
	"encoding/json"
	"net"
	"slices"
	"strings"

	"github.com/uploadtenant/uploadtenant/emulator/iam"
	"github.com/uploadtenant/uploadtenant/emulator/store"
)

// Values of bucket and object ACLs.
const (
	aclDefault         = "default"
	aclPrivate         = "private"
	aclPublicRead      = "public-read"
	aclPublicReadWrite = "public-read-write"
)

// What a public ACL lets everybody do. Listing is not among it: that takes a bucket policy.
var (
	publicReads  = newSet("oss:GetObject", "oss:GetObjectVersion")
	publicWrites = newSet("oss:PutObject", "oss:DeleteObject", "oss:AbortMultipartUpload", "oss:ListParts")
)

// authorize asks whether the caller may do action to key (or to the bucket when key is empty).
func (q *request) authorize(action, key string) *Error {
	return q.authorizeWith(action, key, nil)
}

// authorizeWith adds condition values, for example of the tags that a request sets.
func (q *request) authorizeWith(action, key string, extra map[string][]string) *Error {
	if err := q.checkReferer(); err != nil {
		return err
	}
	context := q.context()
	for name, values := range extra {
		context[name] = values
	}
	d := q.server.opts.Identity.Authorize(iam.Request{
		Principal: q.auth.principal, Action: action, Resource: q.resource(key), Context: context, ResourcePolicy: q.bucketPolicy(),
	})
	if d.Allowed || !d.ExplicitDeny && q.publicGrant(action, key) {
		return nil
	}
	return q.denied(action, d)
}

// publicGrant tells whether an ACL lets everybody do it.
func (q *request) publicGrant(action, key string) bool {
	if q.info == nil || key == "" || q.publicBlocked() {
		return false
	}
	acl := q.info.ACL
	if o, err := q.server.store.Object(q.bucket, key, q.param("versionId")); err == nil && o.ACL != "" {
		acl = o.ACL
	}
	switch acl {
	case aclPublicReadWrite:
		return publicReads[action] || publicWrites[action]
	case aclPublicRead:
		return publicReads[action]
	}
	return false
}

func (q *request) denied(action string, d iam.Decision) *Error {
	message := "You have no right to access this object because of bucket acl."
	if q.bucket == "" {
		message = "You are forbidden to list buckets."
	}
	e := accessDenied("0003-00000001", "%s", message)
	if q.auth.principal.Anonymous() {
		return e
	}
	kind := "ImplicitDeny"
	if d.ExplicitDeny {
		kind = "ExplicitDeny"
	}
	return e.withChildren("AccessDeniedDetail",
		Detail{Name: "AuthAction", Value: action},
		Detail{Name: "AuthPrincipalType", Value: string(q.auth.principal.Kind)},
		Detail{Name: "AuthPrincipalOwnerId", Value: q.auth.principal.AccountID},
		Detail{Name: "AuthPrincipalDisplayName", Value: q.auth.principal.ARN()},
		Detail{Name: "PolicyType", Value: "AccountLevelIdentityBasedPolicy"},
		Detail{Name: "NoPermissionType", Value: kind},
	)
}

// context holds the condition values of a call (H/zh/ram/product-overview/services: OSS condition keys).
func (q *request) context() map[string][]string {
	secure := "false"
	if q.r.TLS != nil {
		secure = "true"
	}
	c := map[string][]string{
		"acs:SourceIp":        {q.clientIP()},
		"acs:UserAgent":       {q.r.UserAgent()},
		"acs:SecureTransport": {secure},
	}
	if v := q.auth.version; v != "" {
		c["oss:SignatureVersion"] = []string{v}
	}
	if strings.HasPrefix(q.op.name, "ListObject") {
		c["oss:Prefix"] = []string{q.param("prefix")}
		c["oss:Delimiter"] = []string{q.param("delimiter")}
	}
	if q.info != nil {
		for _, t := range q.info.Tags {
			c["oss:BucketTag/"+t.Key] = []string{t.Value}
		}
	}
	if q.key != "" {
		if o, err := q.server.store.Object(q.bucket, q.key, q.param("versionId")); err == nil {
			for _, t := range o.Tags {
				c["oss:ExistingObjectTag/"+t.Key] = []string{t.Value}
			}
		}
	}
	return c
}

func (q *request) clientIP() string {
	host, _, err := net.SplitHostPort(q.r.RemoteAddr)
	if err != nil {
		return q.r.RemoteAddr
	}
	return host
}

// authorizePut asks for everything that writing an object needs.
func (q *request) authorizePut(key string, o *store.Object) *Error {
	extra := map[string][]string{}
	for _, t := range o.Tags {
		extra["oss:RequestObjectTag/"+t.Key] = []string{t.Value}
	}
	if err := q.authorizeWith("oss:PutObject", key, extra); err != nil {
		return err
	}
	if len(o.Tags) > 0 {
		if err := q.authorizeWith("oss:PutObjectTagging", key, extra); err != nil {
			return err
		}
	}
	return q.refusePublicACL(o.ACL, "object")
}

// refusePublicACL is the effect of BlockPublicAccess on ACLs that are about to be set.
func (q *request) refusePublicACL(acl, of string) *Error {
	if q.info != nil && (acl == aclPublicRead || acl == aclPublicReadWrite) && q.publicBlocked() {
		return accessDenied("", "Put public %s acl is not allowed", of)
	}
	return nil
}

// bucketPolicy is the bucket's policy as it counts: with public access blocked, without its public statements.
func (q *request) bucketPolicy() []byte {
	if q.info == nil {
		return nil
	}
	doc := q.info.Config["policy"]
	if doc == nil || !q.publicBlocked() {
		return doc
	}
	var policy struct {
		Version   string
		Statement []map[string]any
	}
	if err := json.Unmarshal(doc, &policy); err != nil {
		return nil
	}
	policy.Statement = slices.DeleteFunc(policy.Statement, publicStatement)
	out, err := json.Marshal(policy)
	if err != nil {
		return nil
	}
	return out
}

// publicStatement tells whether a statement of a bucket policy allows everybody, without narrowing down from where.
func publicStatement(s map[string]any) bool {
	if effect, _ := s["Effect"].(string); effect != "Allow" {
		return false
	}
	everybody := false
	switch p := s["Principal"].(type) {
	case string:
		everybody = p == "*"
	case []any:
		everybody = slices.Contains(p, any("*"))
	}
	if !everybody {
		return false
	}
	conditions, _ := s["Condition"].(map[string]any)
	for _, block := range conditions {
		keys, _ := block.(map[string]any)
		for key := range keys {
			switch key {
			case "acs:SourceIp", "acs:SourceVpc", "acs:SourceVpcId", "acs:PrincipalARN", "acs:PrincipalOwnerId", "acs:AccessId":
				return false
			}
		}
	}
	return true
}
