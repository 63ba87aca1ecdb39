package iam

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

// imsOperations is what the emulator has of IMS, Version 2019-08-15: the OIDC identity providers of the account.
// Their permissions carry the RAM code (RAM manual, "RAM authorization" of IMS).
func imsOperations() map[string]operation {
	ops := map[string]operation{
		"CreateOIDCProvider":                {resources: onProvider, run: createProvider},
		"GetOIDCProvider":                   {resources: onProvider, run: getProvider},
		"UpdateOIDCProvider":                {resources: onProvider, run: updateProvider},
		"DeleteOIDCProvider":                {resources: onProvider, run: deleteProvider},
		"ListOIDCProviders":                 {resources: onAll("oidc-provider"), run: listProviders},
		"AddClientIdToOIDCProvider":         {resources: onProvider, run: addClientID},
		"RemoveClientIdFromOIDCProvider":    {resources: onProvider, run: removeClientID},
		"AddFingerprintToOIDCProvider":      {resources: onProvider, run: addFingerprint},
		"RemoveFingerprintFromOIDCProvider": {resources: onProvider, run: removeFingerprint},
	}
	for name, op := range ops {
		op.action = "ram:" + name
		ops[name] = op
	}
	return ops
}

func onProvider(c *call) []string {
	return []string{c.arn("oidc-provider/" + c.params["OIDCProviderName"])}
}

// Limits of OIDC providers (IMS manual, CreateOIDCProvider).
const (
	maxIssuer            = 255
	maxProviderText      = 256
	maxClientIDs         = 50
	maxFingerprints      = 5
	defaultIssuanceLimit = 12
	maxIssuanceLimit     = 168
)

var (
	clientIDRule    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.\-_:/]{0,63}$`)
	fingerprintRule = regexp.MustCompile(`^[A-Za-z0-9]{1,40}$`)
)

type providerView struct {
	OIDCProviderName, Arn, IssuerUrl, Description  string
	ClientIds, Fingerprints                        string
	IssuanceLimitTime                              int
	CreateDate, UpdateDate, GmtCreate, GmtModified string
}

func (c *call) viewProvider(p *oidcProvider) any {
	return struct{ OIDCProvider providerView }{c.providerView(p)}
}

func (c *call) providerView(p *oidcProvider) providerView {
	millis := func(ms int64) string { return formatMillis(ms) }
	return providerView{
		OIDCProviderName: p.Name, Arn: c.arn("oidc-provider/" + p.Name), IssuerUrl: p.IssuerURL, Description: p.Description,
		ClientIds: strings.Join(p.ClientIDs, ","), Fingerprints: strings.Join(p.Fingerprints, ","),
		IssuanceLimitTime: p.IssuanceLimit, CreateDate: formatTime(p.Created), UpdateDate: formatTime(p.Updated),
		GmtCreate: millis(p.Created.UnixMilli()), GmtModified: millis(p.Updated.UnixMilli()),
	}
}

func errNoProvider() *rpc.Error {
	return notExist("OIDCProvider", "The OIDC Provider does not exist.")
}

func (c *call) providerName() (string, *rpc.Error) {
	name, e := c.name("OIDCProviderName", names.provider, maxOIDCProviderName)
	if e == nil && strings.ContainsAny(name[len(name)-1:], "._-") {
		return "", invalid("OIDCProviderName.InvalidChars", "The name must end with a letter or digit.")
	}
	return name, e
}

// issuerURL checks an issuer. It must be https; http is taken for loopback hosts only, which no real provider has.
func (c *call) issuerURL() (string, *rpc.Error) {
	v := c.params["IssuerUrl"]
	if v == "" {
		return "", rpc.Missing("IssuerUrl")
	}
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Host == "" || len(v) > maxIssuer:
		return "", invalid("IssuerUrl", "The issuer must be a URL of at most 255 characters.")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return "", invalid("IssuerUrl", "The issuer must begin with https.")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil:
		return "", invalid("IssuerUrl", "The issuer must have no query, fragment or user.")
	}
	return v, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// words reads a comma-separated parameter.
func (c *call) words(parameter string, rule *regexp.Regexp, max int) ([]string, *rpc.Error) {
	var out []string
	for w := range strings.SplitSeq(c.params[parameter], ",") {
		if w == "" {
			continue
		}
		if !rule.MatchString(w) {
			return nil, invalid(parameter, `The parameter - "`+parameter+`" contains invalid chars.`)
		}
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	if len(out) > max {
		return nil, limitExceeded("OIDCProvider."+parameter, "The count of "+parameter+" beyond the current limits.")
	}
	return out, nil
}

func createProvider(c *call) (any, *rpc.Error) {
	p := &oidcProvider{Created: c.now.UTC(), Updated: c.now.UTC(), Description: c.params["Description"]}
	var e *rpc.Error
	if p.Name, e = c.providerName(); e != nil {
		return nil, e
	}
	if p.IssuerURL, e = c.issuerURL(); e != nil {
		return nil, e
	}
	if p.ClientIDs, e = c.words("ClientIds", clientIDRule, maxClientIDs); e != nil {
		return nil, e
	}
	if p.Fingerprints, e = c.words("Fingerprints", fingerprintRule, maxFingerprints); e != nil {
		return nil, e
	}
	if p.IssuanceLimit, e = c.integer("IssuanceLimitTime", defaultIssuanceLimit, 1, maxIssuanceLimit); e != nil {
		return nil, e
	}
	if utf8.RuneCountInString(p.Description) > maxProviderText {
		return nil, invalid("Description", "The description must be at most 256 characters.")
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.providers[p.Name] != nil {
		return nil, alreadyExists("OIDCProvider", "The OIDC Provider does already exist.")
	}
	for _, other := range s.current.providers {
		if other.IssuerURL == p.IssuerURL {
			return nil, alreadyExists("OIDCProvider.IssuerUrl", "The issuer is already registered by "+other.Name+".")
		}
	}
	if len(s.current.providers) >= maxProviders {
		return nil, limitExceeded("OIDCProvider", "The count of OIDC Provider beyond the current limits.")
	}
	return c.viewProvider(p), s.commit(change{Kind: kindProvider, Name: p.Name, decoded: p})
}

func getProvider(c *call) (any, *rpc.Error) {
	name, e := c.providerName()
	if e != nil {
		return nil, e
	}
	var p *oidcProvider
	c.svc.read(func(st *state) { p = st.providers[name] })
	if p == nil {
		return nil, errNoProvider()
	}
	return c.viewProvider(p), nil
}

func listProviders(c *call) (any, *rpc.Error) {
	var providers map[string]*oidcProvider
	c.svc.read(func(st *state) { providers = st.clone().providers })
	page, next, e := c.page(keysOf(providers))
	if e != nil {
		return nil, e
	}
	out := struct {
		IsTruncated   bool
		Marker        string `json:",omitempty" xml:",omitempty"`
		OIDCProviders struct{ OIDCProvider []providerView }
	}{IsTruncated: next != "", Marker: next}
	out.OIDCProviders.OIDCProvider = []providerView{}
	for _, name := range page {
		out.OIDCProviders.OIDCProvider = append(out.OIDCProviders.OIDCProvider, c.providerView(providers[name]))
	}
	return out, nil
}

// changeProvider runs f on a copy of a provider and stores the copy.
func (c *call) changeProvider(f func(*oidcProvider) *rpc.Error) (any, *rpc.Error) {
	name, e := c.providerName()
	if e != nil {
		return nil, e
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.providers[name]
	if old == nil {
		return nil, errNoProvider()
	}
	p := *old
	p.ClientIDs, p.Fingerprints = slices.Clone(old.ClientIDs), slices.Clone(old.Fingerprints)
	p.Updated = c.now.UTC()
	if e := f(&p); e != nil {
		return nil, e
	}
	return c.viewProvider(&p), s.commit(change{Kind: kindProvider, Name: name, decoded: &p})
}

func updateProvider(c *call) (any, *rpc.Error) {
	clientIDs, e := c.words("ClientIds", clientIDRule, maxClientIDs)
	if e != nil {
		return nil, e
	}
	limit, e := c.integer("IssuanceLimitTime", 0, 1, maxIssuanceLimit)
	if e != nil {
		return nil, e
	}
	return c.changeProvider(func(p *oidcProvider) *rpc.Error {
		if len(clientIDs) > 0 {
			p.ClientIDs = clientIDs
		}
		if limit != 0 {
			p.IssuanceLimit = limit
		}
		if d, ok := c.params["NewDescription"]; ok {
			p.Description = d
		}
		return nil
	})
}

func deleteProvider(c *call) (any, *rpc.Error) {
	name, e := c.providerName()
	if e != nil {
		return nil, e
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.providers[name] == nil {
		return nil, errNoProvider()
	}
	return nil, s.commit(change{Kind: kindProvider, Name: name})
}

func addClientID(c *call) (any, *rpc.Error) {
	return c.addWord("ClientId", clientIDRule, maxClientIDs, func(p *oidcProvider) *[]string { return &p.ClientIDs })
}

func addFingerprint(c *call) (any, *rpc.Error) {
	return c.addWord("Fingerprint", fingerprintRule, maxFingerprints, func(p *oidcProvider) *[]string { return &p.Fingerprints })
}

func (c *call) addWord(parameter string, rule *regexp.Regexp, max int, of func(*oidcProvider) *[]string) (any, *rpc.Error) {
	if e := c.need(parameter); e != nil {
		return nil, e
	}
	word := c.params[parameter]
	if !rule.MatchString(word) {
		return nil, invalid(parameter, `The parameter - "`+parameter+`" contains invalid chars.`)
	}
	return c.changeProvider(func(p *oidcProvider) *rpc.Error {
		list := of(p)
		if slices.Contains(*list, word) {
			return alreadyExists("OIDCProvider."+parameter, "The "+parameter+" is already registered.")
		}
		if len(*list) >= max {
			return limitExceeded("OIDCProvider."+parameter, "The count of "+parameter+" beyond the current limits.")
		}
		*list = append(*list, word)
		return nil
	})
}

func removeClientID(c *call) (any, *rpc.Error) {
	return c.removeWord("ClientId", func(p *oidcProvider) *[]string { return &p.ClientIDs })
}

func removeFingerprint(c *call) (any, *rpc.Error) {
	return c.removeWord("Fingerprint", func(p *oidcProvider) *[]string { return &p.Fingerprints })
}

func (c *call) removeWord(parameter string, of func(*oidcProvider) *[]string) (any, *rpc.Error) {
	if e := c.need(parameter); e != nil {
		return nil, e
	}
	return c.changeProvider(func(p *oidcProvider) *rpc.Error {
		list := of(p)
		i := slices.Index(*list, c.params[parameter])
		if i < 0 {
			return notExist("OIDCProvider."+parameter, "The "+parameter+" is not registered.")
		}
		*list = slices.Delete(*list, i, i+1)
		return nil
	})
}
