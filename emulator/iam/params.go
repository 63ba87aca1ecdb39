package iam

import (
	"encoding/base64"
	"regexp"
	"sort"
	"strconv"
	"unicode/utf8"

	"github.com/uploadtenant/uploadtenant/emulator/iam/policydoc"
	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

// Limits of RAM ("Limits" page of the RAM manual, and the pages of the operations).
const (
	maxRoles            = 1000
	maxPolicies         = 1500
	maxUsers            = 1000
	maxDocument         = 6144
	maxVersions         = 5
	maxCustomAttached   = 10
	maxSystemAttached   = 20
	maxKeysPerUser      = 2
	maxDescription      = 1024
	minSessionDuration  = 3600
	maxSessionDuration  = 43200
	maxProviders        = 100
	maxPageSize         = 1000
	defaultPageSize     = 100
	typeSystem          = "System"
	typeCustom          = "Custom"
	maxRoleName         = 64
	maxPolicyName       = 128
	maxUserName         = 64
	maxOIDCProviderName = 128
)

// names are the character rules of names; lengths are checked apart because they have codes of their own.
var names = struct{ role, policy, user, provider *regexp.Regexp }{
	role:     regexp.MustCompile(`^[A-Za-z0-9.-]+$`),
	policy:   regexp.MustCompile(`^[A-Za-z0-9-]+$`),
	user:     regexp.MustCompile(`^[A-Za-z0-9._-]+$`),
	provider: regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`),
}

func (c *call) name(parameter string, rule *regexp.Regexp, max int) (string, *rpc.Error) {
	v := c.params[parameter]
	switch {
	case v == "":
		return "", rpc.Missing(parameter)
	case len(v) > max:
		return "", invalid(parameter+".Length", `The parameter - "`+parameter+`" beyond the length limit.`)
	case !rule.MatchString(v):
		return "", invalid(parameter+".InvalidChars", `The parameter - "`+parameter+`" contains invalid chars.`)
	}
	return v, nil
}

// description reads an optional text of at most 1024 characters.
func (c *call) description(parameter string) (string, *rpc.Error) {
	v := c.params[parameter]
	if utf8.RuneCountInString(v) > maxDescription {
		return "", invalid(parameter+".Length", `The parameter - "`+parameter+`" beyond the length limit.`)
	}
	return v, nil
}

// integer reads an optional whole number and checks its range.
func (c *call) integer(parameter string, fallback, low, high int) (int, *rpc.Error) {
	v := c.params[parameter]
	if v == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		return 0, invalid(parameter, `The parameter - "`+parameter+`" must be between `+strconv.Itoa(low)+" and "+strconv.Itoa(high)+".")
	}
	return n, nil
}

func (c *call) boolean(parameter string) (bool, *rpc.Error) {
	switch c.params[parameter] {
	case "", "false", "False":
		return false, nil
	case "true", "True":
		return true, nil
	}
	return false, invalid(parameter, `The parameter - "`+parameter+`" must be true or false.`)
}

// document reads a policy document and checks its grammar.
func (c *call) document(parameter string, kind policydoc.Type) (string, *rpc.Error) {
	v := c.params[parameter]
	if v == "" {
		return "", rpc.Missing(parameter)
	}
	if utf8.RuneCountInString(v) > maxDocument {
		return "", invalid(parameter+".Length", `The parameter - "`+parameter+`" beyond the length limit.`)
	}
	if _, err := policydoc.Parse(kind, []byte(v)); err != nil {
		return "", &rpc.Error{Status: 400, Code: "MalformedPolicyDocument", Message: err.Error() + "."}
	}
	return v, nil
}

// page cuts the page that Marker and MaxItems ask for out of names, and returns the marker of the next one.
// A marker names the last item seen, so pages stay right when items come and go between them.
func (c *call) page(all []string) (page []string, next string, refused *rpc.Error) {
	size, refused := c.integer("MaxItems", defaultPageSize, 1, maxPageSize)
	if refused != nil {
		return nil, "", refused
	}
	sort.Strings(all)
	if m := c.params["Marker"]; m != "" {
		after, err := base64.RawURLEncoding.DecodeString(m)
		if err != nil {
			return nil, "", invalid("Marker", `The parameter - "Marker" is not valid.`)
		}
		all = all[sort.Search(len(all), func(i int) bool { return all[i] > string(after) }):]
	}
	if len(all) <= size {
		return all, "", nil
	}
	return all[:size], base64.RawURLEncoding.EncodeToString([]byte(all[size-1])), nil
}

func keysOf[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
