package policy

import (
	"errors"
	"fmt"
	"strings"
)

// MaxLifecycleRules is the number of lifecycle rules that OSS takes per bucket.
const MaxLifecycleRules = 1000

// ErrLifecycleFull is returned when a bucket has no room for another lifecycle rule.
var ErrLifecycleFull = errors.New("the bucket has no room for another lifecycle rule")

// LifecycleRule is one rule of a bucket's lifecycle document.
type LifecycleRule struct {
	ID, Prefix string
	Enabled    bool
	// AbortMultipartDays and ExpireDays are 0 when the rule says nothing about them.
	AbortMultipartDays, ExpireDays int
	// Original is the rule as it was read, with everything that this struct cannot express. It goes back
	// untouched when it is set; comparisons ignore it.
	Original any
}

// Lifecycle is what one tenant asks of its bucket's lifecycle document.
type Lifecycle struct {
	// Prefix of the tenant.
	Prefix string
	// AbortMultipartDays removes parts of incomplete uploads; 0 keeps them.
	AbortMultipartDays int
	// TemporaryPrefix below Prefix whose objects expire after TemporaryDays; none when empty.
	TemporaryPrefix string
	TemporaryDays   int
}

// LifecycleRules are the rules of one tenant. Their ids begin with the tenant's resource name.
func LifecycleRules(owner Owner, l Lifecycle) []LifecycleRule {
	var rules []LifecycleRule
	if l.AbortMultipartDays > 0 {
		rules = append(rules, LifecycleRule{ID: lifecycleID(owner, "abort"), Prefix: l.Prefix, Enabled: true, AbortMultipartDays: l.AbortMultipartDays})
	}
	if l.TemporaryPrefix != "" {
		rules = append(rules, LifecycleRule{ID: lifecycleID(owner, "temporary"), Prefix: l.Prefix + l.TemporaryPrefix, Enabled: true, ExpireDays: l.TemporaryDays})
	}
	return rules
}

func lifecycleID(owner Owner, what string) string { return owner.ResourceName() + "-" + what }

// MergeLifecycle returns the document that a bucket should have: every rule that is not this owner's as it
// is and in its order, then the owner's. It returns ErrLifecycleFull when there is no room.
func MergeLifecycle(existing []LifecycleRule, owner Owner, own []LifecycleRule) ([]LifecycleRule, error) {
	merged := make([]LifecycleRule, 0, len(existing)+len(own))
	for _, rule := range existing {
		if !strings.HasPrefix(rule.ID, lifecycleID(owner, "")) {
			merged = append(merged, rule)
		}
	}
	if len(own) > 0 && len(merged)+len(own) > MaxLifecycleRules {
		return nil, fmt.Errorf("%w: it holds %d rules of others and OSS takes %d", ErrLifecycleFull, len(merged), MaxLifecycleRules)
	}
	return append(merged, own...), nil
}

// SameLifecycle tells whether two documents hold the same rules, in any order: rules of a document do not
// depend on each other.
func SameLifecycle(a, b []LifecycleRule) bool {
	if len(a) != len(b) {
		return false
	}
	byID := make(map[string]LifecycleRule, len(a))
	for _, rule := range a {
		rule.Original = nil
		byID[rule.ID] = rule
	}
	for _, rule := range b {
		rule.Original = nil
		if other, ok := byID[rule.ID]; !ok || other != rule {
			return false
		}
	}
	return true
}
