package iam

import "time"

// Kind tells what sort of caller a Principal is.
type Kind string

const (
	// KindAnonymous is a caller without a credential: the zero Principal.
	KindAnonymous Kind = ""
	// KindRoot is the account itself.
	KindRoot Kind = "Account"
	// KindUser is a RAM user.
	KindUser Kind = "RAMUser"
	// KindAssumedRole is a session of a role, made by STS.
	KindAssumedRole Kind = "AssumedRoleUser"
)

// Principal is an authenticated caller. The zero value is the anonymous caller.
type Principal struct {
	Kind      Kind
	AccountID string
	// Name is the user's or the role's name.
	Name string
	// ID is the user's or the role's numeric id.
	ID string
	// Session is the RoleSessionName of an assumed role.
	Session string
	// AccessKeyID is the key that the caller signed with; it leads to the session policy of an assumed role.
	AccessKeyID string
}

// Anonymous reports whether the caller presented no credential.
func (p Principal) Anonymous() bool { return p.Kind == KindAnonymous }

// ARN is the caller's name in policies and logs, as GetCallerIdentity prints it; empty for the anonymous caller.
func (p Principal) ARN() string {
	switch p.Kind {
	case KindRoot:
		return "acs:ram::" + p.AccountID + ":root"
	case KindUser:
		return "acs:ram::" + p.AccountID + ":user/" + p.Name
	case KindAssumedRole:
		return "acs:ram::" + p.AccountID + ":assumed-role/" + p.Name + "/" + p.Session
	default:
		return ""
	}
}

// Credential is what a request was signed with.
type Credential struct {
	AccessKeyID string
	Secret      string
	// SecurityToken must accompany the key when it is not empty (STS).
	SecurityToken string
	// Expires is zero for keys that do not expire.
	Expires time.Time
	// Inactive is set for a key that was switched off: it authenticates nobody.
	Inactive  bool
	Principal Principal
}

// Request is one call to decide.
type Request struct {
	Principal Principal
	// Action is "service:Operation", for example "oss:PutObject".
	Action string
	// Resource is the full name, for example "acs:oss:*:1234567890123456:bucket/key".
	Resource string
	// Context holds the values of condition keys, for example "acs:SourceIp". A key without an entry is absent.
	// acs:CurrentTime is filled in by Authorize when it is missing.
	Context map[string][]string
	// ResourcePolicy is the policy of the resource itself (a bucket policy), or nil.
	ResourcePolicy []byte
}

// Decision is the answer to a Request.
type Decision struct {
	Allowed bool
	// ExplicitDeny is set when a Deny statement matched, false when merely nothing allowed the call.
	ExplicitDeny bool
	// Reason says in words which rule decided.
	Reason string
}
