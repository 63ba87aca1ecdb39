package iam

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// The entities below are values of the account. They are never changed in place: a call that changes one puts a
// copy into the state, so that a reader who holds the old one sees it whole.

type tag struct{ Key, Value string }

type attachment struct {
	Type, Name string
	Date       time.Time
}

type role struct {
	Name, ID, Description, Trust string
	MaxSession                   int
	Created, Updated             time.Time
	Tags                         []tag        `json:",omitempty"`
	Attached                     []attachment `json:",omitempty"`
}

type policyVersion struct {
	ID       string
	Document string
	Created  time.Time
}

type policy struct {
	Name, Type, Description string
	Versions                []policyVersion
	Default                 string
	// Last is the number of the newest version ever made; numbers are not used again.
	Last             int
	Created, Updated time.Time
	Tags             []tag `json:",omitempty"`
}

type user struct {
	Name, ID                                  string
	DisplayName, MobilePhone, Email, Comments string
	Created, Updated                          time.Time
	Tags                                      []tag        `json:",omitempty"`
	Attached                                  []attachment `json:",omitempty"`
}

type accessKey struct {
	ID, Secret, User string
	Active           bool
	Created          time.Time
}

type oidcProvider struct {
	Name, IssuerURL, Description string
	ClientIDs, Fingerprints      []string
	// IssuanceLimit is how many hours a token may be old, by its iat.
	IssuanceLimit    int
	Created, Updated time.Time
}

// session is one set of temporary credentials.
type session struct {
	AccessKeyID, Secret, Token string
	Role, RoleID, Name         string
	Policy                     string
	Expires                    time.Time
}

// state is everything that an account holds.
type state struct {
	roles     map[string]*role
	policies  map[string]*policy
	users     map[string]*user
	keys      map[string]*accessKey
	providers map[string]*oidcProvider
	sessions  map[string]*session
	// system holds the policies that Alibaba Cloud provides; it never changes.
	system map[string]*policy
}

func newState() *state {
	return &state{
		system: systemPolicies(),
		roles:  map[string]*role{}, policies: map[string]*policy{}, users: map[string]*user{},
		keys: map[string]*accessKey{}, providers: map[string]*oidcProvider{}, sessions: map[string]*session{},
	}
}

func (s *state) clone() *state {
	return &state{
		system: s.system,
		roles:  maps.Clone(s.roles), policies: maps.Clone(s.policies), users: maps.Clone(s.users),
		keys: maps.Clone(s.keys), providers: maps.Clone(s.providers), sessions: maps.Clone(s.sessions),
	}
}

// change puts one entity into the state or, when Value is nil, removes it. Its JSON is a line's element of the journal.
type change struct {
	Kind  string          `json:"kind"`
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value,omitempty"`
	// decoded is the entity itself, when the change was made in this process.
	decoded any
}

const (
	kindRole     = "role"
	kindPolicy   = "policy"
	kindUser     = "user"
	kindKey      = "accessKey"
	kindProvider = "oidcProvider"
	kindSession  = "session"
)

func (s *state) apply(c change) error {
	switch c.Kind {
	case kindRole:
		return put(s.roles, c)
	case kindPolicy:
		return put(s.policies, c)
	case kindUser:
		return put(s.users, c)
	case kindKey:
		return put(s.keys, c)
	case kindProvider:
		return put(s.providers, c)
	case kindSession:
		return put(s.sessions, c)
	default:
		return fmt.Errorf("unknown kind %q", c.Kind)
	}
}

func put[T any](m map[string]*T, c change) error {
	if v, ok := c.decoded.(*T); ok && v != nil {
		m[c.Name] = v
		return nil
	}
	if len(c.Value) == 0 {
		delete(m, c.Name)
		return nil
	}
	v := new(T)
	if err := json.Unmarshal(c.Value, v); err != nil {
		return fmt.Errorf("%s %s: %w", c.Kind, c.Name, err)
	}
	m[c.Name] = v
	return nil
}

// all lists the state as changes that build it from nothing, without the sessions that have expired.
func (s *state) all(now time.Time) []change {
	var out []change
	out = appendAll(out, kindUser, s.users)
	out = appendAll(out, kindKey, s.keys)
	out = appendAll(out, kindPolicy, s.policies)
	out = appendAll(out, kindRole, s.roles)
	out = appendAll(out, kindProvider, s.providers)
	for name, v := range s.sessions {
		if now.Before(v.Expires) {
			out = append(out, change{Kind: kindSession, Name: name, decoded: v})
		}
	}
	return out
}

func appendAll[T any](out []change, kind string, m map[string]*T) []change {
	for name, v := range m {
		out = append(out, change{Kind: kind, Name: name, decoded: v})
	}
	return out
}
