// Package policydoc reads and evaluates the policy documents of Alibaba Cloud: identity policies (RAM), session
// policies (STS), trust policies (roles) and resource policies (OSS buckets).
//
// The grammar is that of "Policy structure and syntax", "Basic elements of a permission policy" and
// "Conditional operators" in the RAM manual. Parse refuses what the grammar does not allow.
package policydoc

import (
	"errors"
	"fmt"
	"strings"
)

// ErrMalformed is wrapped by every error of Parse.
var ErrMalformed = errors.New("malformed policy document")

// Type says which of the elements Principal and Resource a document must and may not have.
type Type int

const (
	// Identity is a policy attached to a user or role, or handed to AssumeRole: Resource, no Principal.
	Identity Type = iota
	// Trust is the AssumeRolePolicyDocument of a role: Principal, no Resource.
	Trust
	// Resource is a bucket policy: Principal and Resource.
	Resource
)

// Effect is what a document says about a request.
type Effect int

const (
	// NoMatch means that no statement covers the request.
	NoMatch Effect = iota
	// Allow means that a statement allows the request and none denies it.
	Allow
	// Deny means that a statement denies the request; it outranks every Allow.
	Deny
)

// Document is a parsed policy.
type Document struct {
	Statements []Statement
}

// Statement is one rule of a Document.
type Statement struct {
	Sid          string
	Effect       Effect
	Actions      []string
	NotAction    bool
	Resources    []string
	NotResource  bool
	Principals   []Principal
	NotPrincipal bool
	Conditions   []Condition
}

// Principal is one entry of a Principal element. Type is RAM, Service, Federated or, in a bucket policy, empty.
type Principal struct {
	Type, Value string
}

// Request is what a Document is asked about.
type Request struct {
	Action   string
	Resource string
	// Context holds the values of condition keys; a key without an entry is absent from the request.
	Context map[string][]string
	// Matches tells whether the caller is the one that a Principal entry names. It is not called for identity policies.
	Matches func(Principal) bool
}

// Evaluate returns the effect of the document and the 1-based number of the statement that decided, 0 for NoMatch.
func (d *Document) Evaluate(req Request) (Effect, int) {
	effect, by := NoMatch, 0
	for i := range d.Statements {
		s := &d.Statements[i]
		if effect == s.Effect || !s.covers(req) {
			continue
		}
		if s.Effect == Deny {
			return Deny, i + 1
		}
		effect, by = Allow, i+1
	}
	return effect, by
}

func (s *Statement) covers(req Request) bool {
	return s.coversAction(req.Action) && s.coversResource(req.Resource) && s.coversPrincipal(req.Matches) &&
		s.conditionsHold(req.Context)
}

func (s *Statement) coversAction(action string) bool {
	for _, pattern := range s.Actions {
		// Action names are case-insensitive (RAM manual, "Basic elements of a permission policy").
		if Glob(strings.ToLower(pattern), strings.ToLower(action)) {
			return !s.NotAction
		}
	}
	return s.NotAction
}

func (s *Statement) coversResource(resource string) bool {
	if len(s.Resources) == 0 { // a trust policy: the role itself is the resource
		return true
	}
	for _, pattern := range s.Resources {
		if matchResource(pattern, resource) {
			return !s.NotResource
		}
	}
	return s.NotResource
}

func (s *Statement) coversPrincipal(matches func(Principal) bool) bool {
	if len(s.Principals) == 0 {
		return true
	}
	for _, p := range s.Principals {
		if matches != nil && matches(p) {
			return !s.NotPrincipal
		}
	}
	return s.NotPrincipal
}

func (s *Statement) conditionsHold(ctx map[string][]string) bool {
	for i := range s.Conditions {
		if !s.Conditions[i].holds(ctx) {
			return false
		}
	}
	return true
}

// matchResource compares a pattern with a resource name segment by segment, so that a wildcard in the region or
// account segment never swallows a colon of an object key.
func matchResource(pattern, resource string) bool {
	if pattern == "*" {
		return true
	}
	p, r := strings.SplitN(pattern, ":", 5), strings.SplitN(resource, ":", 5)
	if len(p) < 5 || len(r) < 5 {
		return Glob(pattern, resource)
	}
	for i := range p {
		if !Glob(p[i], r[i]) {
			return false
		}
	}
	return true
}

// Glob reports whether s matches pattern, in which "*" stands for any characters, none included, and "?" for exactly one.
// It takes time proportional to the product of the lengths at worst, whatever the pattern.
func Glob(pattern, s string) bool {
	p, text := []rune(pattern), []rune(s)
	pi, ti, star, mark := 0, 0, -1, 0
	for ti < len(text) {
		switch {
		// "*" first: it is a wildcard even when the text holds a literal "*".
		case pi < len(p) && p[pi] == '*':
			star, mark = pi, ti
			pi++
		case pi < len(p) && (p[pi] == '?' || p[pi] == text[ti]):
			pi++
			ti++
		case star >= 0:
			mark++
			pi, ti = star+1, mark
		default:
			return false
		}
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p)
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
