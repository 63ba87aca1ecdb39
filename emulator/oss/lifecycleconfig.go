package oss

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"
)

// Limits of lifecycle rules (H/zh/oss/developer-reference/putbucketlifecycle).
const (
	maxLifecycleRules = 1000
	maxLifecycleID    = 255
)

type lifecycleConfiguration struct {
	XMLName xml.Name        `xml:"LifecycleConfiguration"`
	Rules   []lifecycleRule `xml:"Rule"`
}

type lifecycleRule struct {
	ID                   string
	Prefix               string
	Status               string
	Tags                 []tagXML              `xml:"Tag"`
	Filter               *lifecycleFilter      `xml:"Filter"`
	Expiration           *lifecycleTime        `xml:"Expiration"`
	Abort                *lifecycleTime        `xml:"AbortMultipartUpload"`
	Transition           []lifecycleTransition `xml:"Transition"`
	NoncurrentExpiration *struct {
		Days int `xml:"NoncurrentDays"`
	} `xml:"NoncurrentVersionExpiration"`
}

type lifecycleFilter struct {
	GreaterThan *int64 `xml:"ObjectSizeGreaterThan"`
	LessThan    *int64 `xml:"ObjectSizeLessThan"`
	Not         []struct {
		Prefix string
		Tag    *tagXML
	} `xml:"Not"`
}

type lifecycleTime struct {
	Days                      int
	CreatedBeforeDate         string
	Date                      string
	ExpiredObjectDeleteMarker bool
}

type lifecycleTransition struct {
	lifecycleTime
	StorageClass string
}

// due tells whether something of the given time has reached the age.
func (t *lifecycleTime) due(modified, now time.Time) bool {
	if t == nil {
		return false
	}
	if t.Days > 0 {
		return !now.Before(modified.Add(time.Duration(t.Days) * 24 * time.Hour))
	}
	for _, text := range []string{t.CreatedBeforeDate, t.Date} {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return modified.Before(at)
		}
	}
	return false
}

func checkLifecycle(q *request, body []byte) *Error {
	var doc lifecycleConfiguration
	if err := parseXML(body, &doc); err != nil {
		return err
	}
	if len(doc.Rules) == 0 {
		return malformedXML("", "the lifecycle configuration has no rule.")
	}
	if len(doc.Rules) > maxLifecycleRules {
		return malformedXML("0014-00000014", "the lifecycle configuration has more than 1000 rules.")
	}
	ids := map[string]bool{}
	for _, r := range doc.Rules {
		if r.ID != "" && ids[r.ID] {
			return malformedXML("", "two rules have the same ID.")
		}
		ids[r.ID] = true
		if err := r.check(); err != nil {
			return err
		}
	}
	if q.header("x-oss-allow-same-action-overlap") == "true" {
		return nil
	}
	return checkOverlap(doc.Rules)
}

func (r lifecycleRule) check() *Error {
	switch {
	case len(r.ID) > maxLifecycleID:
		return malformedXML("", "the ID of a rule is too long.")
	case r.Status != "Enabled" && r.Status != "Disabled":
		return malformedXML("", "a rule needs the Status Enabled or Disabled.")
	case r.Abort != nil && len(r.Tags) > 0:
		return malformedXML("", "a rule with tags cannot abort multipart uploads.")
	case r.Expiration == nil && r.Abort == nil && len(r.Transition) == 0 && r.NoncurrentExpiration == nil:
		return malformedXML("", "a rule needs an action.")
	}
	return nil
}

// checkOverlap refuses rules that do the same to overlapping prefixes, unless tags tell them apart.
func checkOverlap(rules []lifecycleRule) *Error {
	for i, a := range rules {
		for _, b := range rules[i+1:] {
			if len(a.Tags) > 0 || len(b.Tags) > 0 || a.Filter != nil || b.Filter != nil {
				continue
			}
			same := a.Expiration != nil && b.Expiration != nil || a.Abort != nil && b.Abort != nil ||
				len(a.Transition) > 0 && len(b.Transition) > 0
			if same && (strings.HasPrefix(a.Prefix, b.Prefix) || strings.HasPrefix(b.Prefix, a.Prefix)) {
				return newError(http.StatusBadRequest, "InvalidArgument", "", "Overlap for same action type: prefixes %q and %q.", a.Prefix, b.Prefix)
			}
		}
	}
	return nil
}
