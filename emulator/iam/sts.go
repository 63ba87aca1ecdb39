package iam

import (
	"encoding/base64"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uploadtenant/uploadtenant/emulator/iam/policydoc"
	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

// stsOperations is the API of STS, Version 2015-04-01.
func stsOperations() map[string]operation {
	return map[string]operation{
		"AssumeRole":         {action: "sts:AssumeRole", resources: onAssumed, run: assumeRole},
		"AssumeRoleWithOIDC": {unsigned: true, run: assumeRoleWithOIDC},
		"GetCallerIdentity":  {anyone: true, run: getCallerIdentity},
	}
}

// Limits of STS (STS manual, AssumeRole).
const (
	minTokenDuration     = 900
	defaultTokenDuration = 3600
	maxSessionPolicy     = 2048
	minOIDCToken         = 4
	maxOIDCToken         = 20000
	maxExternalID        = 1224
)

var sessionNameRule = regexp.MustCompile(`^[\w.@-]{2,64}$`)

func onAssumed(c *call) []string { return []string{c.params["RoleArn"]} }

type credentialsView struct{ AccessKeyId, AccessKeySecret, SecurityToken, Expiration string }
type assumedRoleUserView struct{ Arn, AssumedRoleId string }

// assumption is what the two AssumeRole operations share.
type assumption struct {
	role        *role
	sessionName string
	policy      string
	duration    time.Duration
}

// assumeParams reads the shared parameters, finds the role and checks the duration against it.
func (c *call) assumeParams() (assumption, *rpc.Error) {
	a := assumption{sessionName: c.params["RoleSessionName"], policy: c.params["Policy"]}
	if e := c.need("RoleArn", "RoleSessionName"); e != nil {
		return a, e
	}
	if !sessionNameRule.MatchString(a.sessionName) {
		return a, invalid("RoleSessionName", "The parameter RoleSessionName is wrongly formed.")
	}
	name, ok := strings.CutPrefix(c.params["RoleArn"], "acs:ram::"+c.svc.opts.AccountID+":role/")
	if !ok || !names.role.MatchString(name) {
		if !strings.HasPrefix(c.params["RoleArn"], "acs:ram::") || !strings.Contains(c.params["RoleArn"], ":role/") {
			return a, invalid("RoleArn", "The parameter RoleArn is wrongly formed.")
		}
		return a, notExist("Role", "The specified Role not exists.")
	}
	if utf8.RuneCountInString(a.policy) > maxSessionPolicy {
		return a, invalid("PolicySize", "The size of Policy must be smaller than 2048 bytes.")
	}
	if a.policy != "" {
		if _, err := policydoc.Parse(policydoc.Identity, []byte(a.policy)); err != nil {
			return a, invalid("PolicyGrammar", "The parameter Policy has not passed grammar check.")
		}
	}
	if n := utf8.RuneCountInString(c.params["ExternalId"]); c.params["ExternalId"] != "" && (n < 2 || n > maxExternalID) {
		return a, invalid("ExternalId", "The parameter ExternalId is wrongly formed.")
	}
	c.svc.read(func(st *state) { a.role = st.roles[name] })
	if a.role == nil {
		return a, notExist("Role", "The specified Role not exists.")
	}
	seconds, e := c.integer("DurationSeconds", defaultTokenDuration, minTokenDuration, a.role.MaxSession)
	if e != nil {
		return a, invalid("DurationSeconds", "The Min/Max value of DurationSeconds is 15min/"+
			(time.Duration(a.role.MaxSession)*time.Second).String()+".")
	}
	a.duration = time.Duration(seconds) * time.Second
	return a, nil
}

func assumeRole(c *call) (any, *rpc.Error) {
	if c.caller.Kind == KindRoot {
		return nil, &rpc.Error{Status: 403, Code: "NoPermission", Message: "Roles may not be assumed by root accounts."}
	}
	a, e := c.assumeParams()
	if e != nil {
		return nil, e
	}
	if !c.svc.trusts(a.role, c.caller, c) {
		return nil, noPermission(c.caller, "sts:AssumeRole", Decision{})
	}
	creds, user, e := c.newSession(a)
	if e != nil {
		return nil, e
	}
	return struct {
		AssumedRoleUser assumedRoleUserView
		Credentials     credentialsView
	}{user, creds}, nil
}

// trusts reports whether the trust policy of r lets the caller assume it.
func (s *Service) trusts(r *role, caller Principal, c *call) bool {
	ctx := map[string][]string{"acs:CurrentTime": {c.now.UTC().Format(time.RFC3339)}}
	if id := c.params["ExternalId"]; id != "" {
		ctx["sts:ExternalId"] = []string{id}
	}
	return s.trustAllows(r, ctx, func(p policydoc.Principal) bool {
		return p.Type == "RAM" && matchesTrusted(p.Value, caller)
	})
}

func (s *Service) trustAllows(r *role, ctx map[string][]string, matches func(policydoc.Principal) bool) bool {
	doc := s.documents.parse(policydoc.Trust, r.Trust)
	if doc == nil {
		return false
	}
	effect, _ := doc.Evaluate(policydoc.Request{Action: "sts:AssumeRole", Context: ctx, Matches: matches})
	return effect == policydoc.Allow
}

// matchesTrusted compares an entry of Principal.RAM with a caller: the account (root) stands for everybody in it.
func matchesTrusted(entry string, caller Principal) bool {
	prefix := "acs:ram::" + caller.AccountID + ":"
	switch caller.Kind {
	case KindUser:
		return entry == "*" || entry == prefix+"root" || entry == prefix+"user/"+caller.Name
	case KindAssumedRole:
		return entry == "*" || entry == prefix+"root" || entry == prefix+"role/"+caller.Name || entry == prefix+"assumed-role/"+caller.Name+"/"+caller.Session
	}
	return false
}

// newSession makes temporary credentials and stores them.
func (c *call) newSession(a assumption) (credentialsView, assumedRoleUserView, *rpc.Error) {
	s := c.svc
	v := &session{
		AccessKeyID: "STS.N" + s.randomText(24), Secret: s.randomText(44),
		// Real tokens are opaque base64 of several hundred bytes that begin with CAIS.
		Token: "CAIS" + base64.StdEncoding.EncodeToString(s.randomBytes(384)),
		Role:  a.role.Name, RoleID: a.role.ID, Name: a.sessionName, Policy: a.policy,
		Expires: c.now.Add(a.duration).UTC().Truncate(time.Second),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.commit(change{Kind: kindSession, Name: v.AccessKeyID, decoded: v}); e != nil {
		return credentialsView{}, assumedRoleUserView{}, e
	}
	return credentialsView{v.AccessKeyID, v.Secret, v.Token, formatTime(v.Expires)},
		assumedRoleUserView{c.arn("role/" + v.Role + "/" + v.Name), v.RoleID + ":" + v.Name}, nil
}

type identityView struct {
	IdentityType, AccountId, PrincipalId, Arn string
	UserId, RoleId                            string `json:",omitempty" xml:",omitempty"`
}

func getCallerIdentity(c *call) (any, *rpc.Error) {
	v := identityView{IdentityType: string(c.caller.Kind), AccountId: c.caller.AccountID, PrincipalId: c.caller.ID, Arn: c.caller.ARN()}
	switch c.caller.Kind {
	case KindAssumedRole:
		v.PrincipalId, v.RoleId = c.caller.ID+":"+c.caller.Session, c.caller.ID
	default:
		v.UserId = c.caller.ID
	}
	return v, nil
}
