package oss

import (
	"encoding/base64"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// postPolicy is the decoded policy field of a form upload (H/zh/oss/developer-reference/postobject, appendix).
type postPolicy struct {
	expiration time.Time
	conditions []condition
	// min and max bound the file's size: all content-length-range conditions together.
	min, max int64
}

// condition is one rule about a form field, other than content-length-range.
type condition struct {
	operator string   // eq, starts-with, in, not-in
	field    string   // lower case, without the dollar sign
	values   []string // one for eq and starts-with
	text     string   // as an answer quotes it
}

func invalidPolicy(ec, text string) *Error {
	return newError(http.StatusBadRequest, "InvalidPolicyDocument", ec, "Invalid Policy: %s", text)
}

func policyDenied(ec, format string, args ...any) *Error {
	return accessDenied(ec, "Invalid according to Policy: "+format, args...)
}

// parsePostPolicy decodes the base64 text of the policy field.
func parsePostPolicy(encoded string) (*postPolicy, *Error) {
	if strings.TrimSpace(encoded) == "" {
		return nil, invalidPolicy("0006-00000205", "Policy is empty.")
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, invalidPolicy("0006-00000201", "Policy is not base64 encoded.")
	}
	if !utf8.Valid(raw) {
		return nil, invalidPolicy("0006-00000201", "Policy is not UTF-8 encoded.")
	}
	doc, err := parseJSON(string(raw))
	if err != nil {
		return nil, invalidPolicy("0006-00000201", "Invalid JSON: "+err.Error())
	}
	members, ok := doc.([]jsonMember)
	if !ok {
		return nil, invalidPolicy("0006-00000201", "Policy is not a JSON object.")
	}
	return readPostPolicy(members)
}

func readPostPolicy(members []jsonMember) (*postPolicy, *Error) {
	var expiration, conditions any
	var hasExpiration, hasConditions bool
	for _, m := range members {
		switch m.name {
		case "expiration":
			expiration, hasExpiration = m.value, true
		case "conditions":
			conditions, hasConditions = m.value, true
		default:
			return nil, invalidPolicy("0006-00000206", "Unexpected: '"+m.name+"'.")
		}
	}
	switch {
	case !hasExpiration && !hasConditions:
		return nil, invalidPolicy("0006-00000209", "Policy missing expiration and conditions.")
	case !hasConditions:
		return nil, invalidPolicy("0006-00000207", "Policy missing conditions.")
	case !hasExpiration:
		return nil, invalidPolicy("0006-00000208", "Policy missing expiration.")
	}
	p := &postPolicy{max: math.MaxInt64}
	if err := p.readExpiration(expiration); err != nil {
		return nil, err
	}
	list, ok := conditions.([]any)
	if !ok {
		return nil, invalidPolicy("0006-00000214", "Conditions must be a list.")
	}
	if len(list) == 0 {
		return nil, invalidPolicy("0006-00000215", "Conditions must not be empty.")
	}
	for _, c := range list {
		if err := p.readCondition(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *postPolicy) readExpiration(v any) *Error {
	text, ok := v.(string)
	switch {
	case !ok:
		return invalidPolicy("0006-00000210", "Expiration must be a string.")
	case text == "":
		return invalidPolicy("0006-00000211", "Expiration must not be empty.")
	}
	for _, layout := range []string{"2006-01-02T15:04:05.000Z", "2006-01-02T15:04:05Z"} {
		if t, err := time.Parse(layout, text); err == nil {
			p.expiration = t
			return nil
		}
	}
	return invalidPolicy("0006-00000212", "Invalid expiration: must be ISO 8601 GMT.")
}

func (p *postPolicy) readCondition(v any) *Error {
	switch c := v.(type) {
	case []jsonMember:
		return p.readSimple(c)
	case []any:
		return p.readList(c)
	}
	return invalidPolicy("0006-00000222", "Condition must be a map or a list.")
}

// readSimple reads {"field": "value"}.
func (p *postPolicy) readSimple(c []jsonMember) *Error {
	if len(c) != 1 {
		return invalidPolicy("0006-00000201",
			"Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
	}
	value, ok := c[0].value.(string)
	if !ok {
		return invalidPolicy("0006-00000224", "Invalid Simple-Condition: value must be a string.")
	}
	p.add("eq", "$"+c[0].name, value)
	return nil
}

func (p *postPolicy) readList(c []any) *Error {
	if len(c) == 0 {
		return invalidPolicy("0006-00000216", "Invalid Condition: operator is missing.")
	}
	operator, ok := c[0].(string)
	operator = strings.ToLower(operator)
	if !ok || !slices.Contains([]string{"eq", "starts-with", "in", "not-in", "content-length-range"}, operator) {
		return invalidPolicy("0006-00000216", "Invalid Condition: unknown operator.")
	}
	if len(c) != 3 {
		return invalidPolicy("0006-00000218", "Invalid "+operator+" Condition: wrong number of arguments.")
	}
	if operator == "content-length-range" {
		return p.readRange(c[1], c[2])
	}
	field, ok := c[1].(string)
	if !ok {
		return invalidPolicy("0006-00000224", "Invalid "+operator+" Condition: field must be a string.")
	}
	values, ok := operands(operator, c[2])
	if !ok {
		return invalidPolicy("0006-00000224", "Invalid "+operator+" Condition: wrong type of value.")
	}
	if len(field) < 2 || field[0] != '$' {
		return invalidPolicy("0006-00000201", "Invalid "+operator+" Condition: field must begin with $.")
	}
	p.add(operator, field, values...)
	return nil
}

// operands returns the right-hand side of a condition: a string, or for in and not-in a list of strings.
func operands(operator string, v any) ([]string, bool) {
	if operator == "eq" || operator == "starts-with" {
		s, ok := v.(string)
		return []string{s}, ok
	}
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	values := make([]string, len(list))
	for i, item := range list {
		if values[i], ok = item.(string); !ok {
			return nil, false
		}
	}
	return values, true
}

func (p *postPolicy) readRange(low, high any) *Error {
	lowest, ok := integer(low)
	if !ok {
		return invalidPolicy("0006-00000221", "Invalid content-length-range Condition: min must be an integer.")
	}
	highest, ok := integer(high)
	if !ok {
		return invalidPolicy("0006-00000223", "Invalid content-length-range Condition: max must be an integer.")
	}
	if highest < lowest {
		return invalidPolicy("0006-00000219", "Invalid content-length-range Condition: max is less than min.")
	}
	p.min, p.max = max(p.min, lowest), min(p.max, highest)
	return nil
}

func integer(v any) (int64, bool) {
	n, ok := v.(jsonNumber)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(string(n), 10, 64)
	return i, err == nil && i >= 0
}

func (p *postPolicy) add(operator, field string, values ...string) {
	text := make([]string, len(values))
	for i, v := range values {
		text[i] = strconv.Quote(v)
	}
	right := strings.Join(text, ", ")
	if operator == "in" || operator == "not-in" {
		right = "[" + right + "]"
	}
	p.conditions = append(p.conditions, condition{
		operator: operator, field: strings.ToLower(field[1:]), values: values,
		text: "[" + strconv.Quote(operator) + ", " + strconv.Quote(field) + ", " + right + "]",
	})
}

// check holds the fields against the policy. lookup finds a field by lower-case name.
func (p *postPolicy) check(lookup func(field string) (string, bool)) *Error {
	for _, c := range p.conditions {
		value, ok := lookup(c.field)
		if !ok {
			return policyDenied("0006-00000226", "Policy Condition failed: %s", c.text)
		}
		if !c.holds(value) {
			return policyDenied("0006-00000227", "Policy Condition failed: %s", c.text)
		}
	}
	return nil
}

func (c condition) holds(value string) bool {
	switch c.operator {
	case "eq":
		return value == c.values[0]
	case "starts-with":
		return strings.HasPrefix(value, c.values[0])
	case "in":
		return slices.Contains(c.values, value)
	}
	return !slices.Contains(c.values, value)
}

// mentions tells whether some condition speaks of the field.
func (p *postPolicy) mentions(field string) bool {
	return slices.ContainsFunc(p.conditions, func(c condition) bool { return c.field == field })
}
