package policydoc

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Condition is one operator applied to one key of a statement. All conditions of a statement must hold; of the
// values of one condition any may.
type Condition struct {
	Operator string
	Key      string
	Values   []string

	op operator
}

// operator is how a condition compares. The values of a condition were checked by valid when it was parsed.
type operator struct {
	match    func(want, got string) bool
	valid    func(want string) bool
	negated  bool
	ifExists bool
}

// operatorNamed returns the operator of a Condition element. A suffix IfExists makes a condition hold when the
// request lacks the key.
func operatorNamed(name string) (operator, bool) {
	base, ifExists := strings.CutSuffix(name, "IfExists")
	op, ok := baseOperator(base)
	op.ifExists = ifExists
	return op, ok
}

func baseOperator(name string) (operator, bool) {
	switch name {
	case "StringEquals", "StringNotEquals":
		return operator{match: func(w, g string) bool { return w == g }, negated: name == "StringNotEquals"}, true
	case "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase":
		return operator{match: strings.EqualFold, negated: name == "StringNotEqualsIgnoreCase"}, true
	case "StringLike", "StringNotLike":
		return operator{match: Glob, negated: name == "StringNotLike"}, true
	case "Bool":
		return operator{match: strings.EqualFold, valid: isBool}, true
	case "IpAddress", "NotIpAddress":
		return operator{match: inNetwork, valid: isNetwork, negated: name == "NotIpAddress"}, true
	}
	if cmp, negated, ok := comparison(name, "Numeric"); ok {
		return operator{match: compareNumbers(cmp), valid: isNumber, negated: negated}, true
	}
	if cmp, negated, ok := comparison(name, "Date"); ok {
		return operator{match: compareDates(cmp), valid: isDate, negated: negated}, true
	}
	return operator{}, false
}

// comparison returns what the six comparisons that numbers and dates share accept: the sign of "got - want".
func comparison(name, prefix string) (accept func(int) bool, negated, ok bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return nil, false, false
	}
	switch rest {
	case "Equals", "NotEquals":
		return func(c int) bool { return c == 0 }, rest == "NotEquals", true
	case "LessThan":
		return func(c int) bool { return c < 0 }, false, true
	case "LessThanEquals":
		return func(c int) bool { return c <= 0 }, false, true
	case "GreaterThan":
		return func(c int) bool { return c > 0 }, false, true
	case "GreaterThanEquals":
		return func(c int) bool { return c >= 0 }, false, true
	}
	return nil, false, false
}

func (c *Condition) holds(ctx map[string][]string) bool {
	got, present := ctx[c.Key]
	if !present || len(got) == 0 {
		// A key that the request lacks equals nothing, so only a negated operator holds. Bucket policies rely on it:
		// "Deny, StringNotEquals acs:SourceVpc" must also refuse requests from outside any VPC.
		return c.op.ifExists || c.op.negated
	}
	matched := slices.ContainsFunc(got, func(g string) bool {
		return slices.ContainsFunc(c.Values, func(w string) bool { return c.op.match(w, g) })
	})
	return matched != c.op.negated
}

func isBool(v string) bool { return strings.EqualFold(v, "true") || strings.EqualFold(v, "false") }

func isNumber(v string) bool {
	_, err := strconv.ParseFloat(v, 64)
	return err == nil
}

func compareNumbers(accept func(int) bool) func(want, got string) bool {
	return func(want, got string) bool {
		w, errW := strconv.ParseFloat(want, 64)
		g, errG := strconv.ParseFloat(got, 64)
		if errW != nil || errG != nil {
			return false
		}
		switch {
		case g < w:
			return accept(-1)
		case g > w:
			return accept(1)
		case g == w:
			return accept(0)
		default: // NaN compares with nothing
			return false
		}
	}
}

func isDate(v string) bool {
	_, ok := parseDate(v)
	return ok
}

// parseDate reads ISO 8601 as the RAM manual writes it: 2019-08-12T17:00:00+08:00, with Z, or without seconds.
func parseDate(v string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func compareDates(accept func(int) bool) func(want, got string) bool {
	return func(want, got string) bool {
		w, okW := parseDate(want)
		g, okG := parseDate(got)
		return okW && okG && accept(g.Compare(w))
	}
}

func isNetwork(v string) bool {
	_, ok := parseNetwork(v)
	return ok
}

func parseNetwork(v string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(v); err == nil {
		return p.Masked(), true
	}
	if a, err := netip.ParseAddr(v); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return netip.Prefix{}, false
}

func inNetwork(want, got string) bool {
	network, ok := parseNetwork(want)
	addr, err := netip.ParseAddr(got)
	return ok && err == nil && network.Contains(addr.Unmap())
}
