package iam

import (
	"fmt"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/iam/policydoc"
)

// Credential returns the credential with the given AccessKey id and false when there is none. Inactive keys and
// expired temporary credentials are returned, so that the caller can tell them from unknown ones.
func (s *Service) Credential(accessKeyID string) (Credential, bool) {
	switch accessKeyID {
	case "":
		return Credential{}, false
	case s.opts.AccessKeyID:
		p := Principal{Kind: KindUser, AccountID: s.opts.AccountID, Name: AdminUser, AccessKeyID: accessKeyID}
		s.read(func(st *state) {
			if u := st.users[AdminUser]; u != nil {
				p.ID = u.ID
			}
		})
		return Credential{AccessKeyID: accessKeyID, Secret: s.opts.AccessKeySecret, Principal: p}, true
	case s.opts.RootAccessKeyID:
		return Credential{AccessKeyID: accessKeyID, Secret: s.opts.RootAccessKeySecret, Principal: Principal{
			Kind: KindRoot, AccountID: s.opts.AccountID, ID: s.opts.AccountID, AccessKeyID: accessKeyID}}, true
	}
	var cred Credential
	found := false
	s.read(func(st *state) {
		if k := st.keys[accessKeyID]; k != nil && st.users[k.User] != nil {
			found = true
			cred = Credential{AccessKeyID: k.ID, Secret: k.Secret, Inactive: !k.Active, Principal: Principal{
				Kind: KindUser, AccountID: s.opts.AccountID, Name: k.User, ID: st.users[k.User].ID, AccessKeyID: k.ID}}
		}
		if v := st.sessions[accessKeyID]; v != nil {
			found = true
			cred = Credential{AccessKeyID: v.AccessKeyID, Secret: v.Secret, SecurityToken: v.Token, Expires: v.Expires,
				Principal: Principal{Kind: KindAssumedRole, AccountID: s.opts.AccountID, Name: v.Role, ID: v.RoleID,
					Session: v.Name, AccessKeyID: v.AccessKeyID}}
		}
	})
	return cred, found
}

// Authorize decides one call: an explicit Deny anywhere wins; then an Allow of the resource policy suffices; then
// the identity policies must allow it and, for a session with a policy of its own, that policy as well.
// The account itself may do everything that is not denied.
func (s *Service) Authorize(req Request) Decision {
	ctx := make(map[string][]string, len(req.Context)+1)
	for k, v := range req.Context {
		ctx[k] = v
	}
	if _, ok := ctx["acs:CurrentTime"]; !ok {
		ctx["acs:CurrentTime"] = []string{s.opts.Clock().UTC().Format(time.RFC3339)}
	}
	ask := policydoc.Request{Action: req.Action, Resource: req.Resource, Context: ctx}

	resource := s.decideResourcePolicy(req, ask)
	if resource.ExplicitDeny {
		return resource
	}
	identity := s.decideIdentity(req.Principal, ask)
	if identity.ExplicitDeny || !resource.Allowed {
		return identity
	}
	return resource
}

// decideIdentity decides by the policies of the caller alone.
func (s *Service) decideIdentity(p Principal, ask policydoc.Request) Decision {
	switch p.Kind {
	case KindRoot:
		return Decision{Allowed: true, Reason: "the account owns the resource"}
	case KindUser, KindAssumedRole:
	default:
		return Decision{Reason: "an anonymous caller has no policies"}
	}
	var attached []namedDocument
	var sessionPolicy string
	reason := ""
	s.read(func(st *state) { attached, sessionPolicy, reason = s.policiesOf(st, p) })
	if reason != "" {
		return Decision{Reason: reason}
	}
	d := s.decide(attached, ask)
	if d.ExplicitDeny || sessionPolicy == "" {
		return d
	}
	// A session is the intersection of its role and its policy.
	narrowed := s.decide([]namedDocument{{"the session policy", sessionPolicy}}, ask)
	if narrowed.ExplicitDeny || !narrowed.Allowed {
		return narrowed
	}
	return d
}

type namedDocument struct{ name, text string }

// policiesOf returns the default versions of the policies that bind p, and why there are none.
func (s *Service) policiesOf(st *state, p Principal) (docs []namedDocument, sessionPolicy, none string) {
	var attached []attachment
	switch p.Kind {
	case KindUser:
		u := st.users[p.Name]
		if u == nil {
			return nil, "", "the user does not exist"
		}
		attached = u.Attached
	case KindAssumedRole:
		r, v := st.roles[p.Name], st.sessions[p.AccessKeyID]
		// A role that was deleted and made again has another id: old sessions stay dead.
		if r == nil || v == nil || r.ID != v.RoleID {
			return nil, "", "the role of the session does not exist any more"
		}
		if !s.opts.Clock().Before(v.Expires) {
			return nil, "", "the session has expired"
		}
		attached, sessionPolicy = r.Attached, v.Policy
	}
	for _, a := range attached {
		if pol := st.policy(a.Type, a.Name); pol != nil {
			docs = append(docs, namedDocument{"policy " + a.Name, pol.document(pol.Default)})
		}
	}
	return docs, sessionPolicy, ""
}

func (s *Service) decide(docs []namedDocument, ask policydoc.Request) Decision {
	out := Decision{Reason: "no policy allows " + ask.Action + " on " + ask.Resource}
	for _, d := range docs {
		doc := s.documents.parse(policydoc.Identity, d.text)
		if doc == nil {
			continue // documents are checked when they are stored
		}
		switch effect, n := doc.Evaluate(ask); effect {
		case policydoc.Deny:
			return Decision{ExplicitDeny: true, Reason: fmt.Sprintf("statement %d of %s denies %s", n, d.name, ask.Action)}
		case policydoc.Allow:
			out = Decision{Allowed: true, Reason: fmt.Sprintf("statement %d of %s allows it", n, d.name)}
		}
	}
	return out
}

// decideResourcePolicy decides by the policy of the resource alone.
func (s *Service) decideResourcePolicy(req Request, ask policydoc.Request) Decision {
	if len(req.ResourcePolicy) == 0 {
		return Decision{}
	}
	doc := s.documents.parse(policydoc.Resource, string(req.ResourcePolicy))
	if doc == nil {
		return Decision{Reason: "the resource policy is malformed"}
	}
	ask.Matches = func(p policydoc.Principal) bool { return matchesBucketPrincipal(p.Value, req.Principal) }
	if req.Principal.Kind == KindRoot {
		// "*" without a condition is every user but the owner; with a condition it is the owner too
		// (OSS manual, "Common examples of bucket policy", usage notes).
		doc = withoutUnconditionalStar(doc)
	}
	switch effect, n := doc.Evaluate(ask); effect {
	case policydoc.Deny:
		return Decision{ExplicitDeny: true, Reason: fmt.Sprintf("statement %d of the resource policy denies %s", n, ask.Action)}
	case policydoc.Allow:
		return Decision{Allowed: true, Reason: fmt.Sprintf("statement %d of the resource policy allows it", n)}
	}
	return Decision{}
}

func withoutUnconditionalStar(doc *policydoc.Document) *policydoc.Document {
	kept := &policydoc.Document{}
	for _, st := range doc.Statements {
		star := len(st.Principals) == 1 && st.Principals[0].Value == "*"
		if !star || len(st.Conditions) > 0 {
			kept.Statements = append(kept.Statements, st)
		}
	}
	return kept
}

// matchesBucketPrincipal compares an entry of a bucket policy's Principal with a caller. Entries are "*", the id of
// an account, the id of a RAM user, or arn:sts::<account>:assumed-role/<role>/<session> with wildcards.
func matchesBucketPrincipal(entry string, p Principal) bool {
	if entry == "*" {
		return true
	}
	if p.Anonymous() {
		return false
	}
	if strings.HasPrefix(entry, "arn:sts::") {
		return p.Kind == KindAssumedRole &&
			policydoc.Glob(entry, "arn:sts::"+p.AccountID+":assumed-role/"+p.Name+"/"+p.Session)
	}
	// A role is named by "acs:ram::<account>:role/<name>" in older examples.
	if strings.HasPrefix(entry, "acs:ram::") {
		return p.Kind == KindAssumedRole && policydoc.Glob(entry, "acs:ram::"+p.AccountID+":role/"+p.Name)
	}
	// The id of an account stands for the account itself, not for its users.
	return p.ID != "" && entry == p.ID && p.Kind != KindAssumedRole
}
