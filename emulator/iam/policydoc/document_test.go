package policydoc

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func statement(body string) string { return `{"Version":"1","Statement":[` + body + `]}` }

func TestEvaluate(t *testing.T) {
	const put, get = "oss:PutObject", "oss:GetObject"
	const key = "acs:oss:*:1234:bucket/album/a.jpg"
	allow := func(rest string) string {
		return statement(`{"Effect":"Allow","Action":"oss:PutObject","Resource":"acs:oss:*:*:bucket/album/*"` + rest + `}`)
	}
	cond := func(op, key, values string) string {
		return allow(`,"Condition":{"` + op + `":{"` + key + `":` + values + `}}`)
	}
	ctx := func(k string, v ...string) map[string][]string { return map[string][]string{k: v} }
	tests := map[string]struct {
		doc, action, resource string
		ctx                   map[string][]string
		want                  Effect
	}{
		"action and resource match":       {allow(""), put, key, nil, Allow},
		"another action":                  {allow(""), get, key, nil, NoMatch},
		"another prefix":                  {allow(""), put, "acs:oss:*:1234:bucket/other", nil, NoMatch},
		"another bucket":                  {allow(""), put, "acs:oss:*:1234:bucket2/album/a", nil, NoMatch},
		"a key that holds the name":       {allow(""), put, "acs:oss:*:1234:evil/x:bucket/album/a", nil, NoMatch},
		"action in another case":          {allow(""), "OSS:putobject", key, nil, Allow},
		"resource in another case":        {allow(""), put, "acs:oss:*:1234:bucket/Album/a", nil, NoMatch},
		"list of actions":                 {statement(`{"Effect":"Allow","Action":["oss:GetObject","oss:PutObject"],"Resource":["*"]}`), put, key, nil, Allow},
		"wildcard action":                 {statement(`{"Effect":"Allow","Action":"oss:Put*","Resource":"*"}`), put, key, nil, Allow},
		"wildcard action of another kind": {statement(`{"Effect":"Allow","Action":"oss:Get*","Resource":"*"}`), put, key, nil, NoMatch},
		"question mark":                   {statement(`{"Effect":"Allow","Action":"oss:?etObject","Resource":"*"}`), get, key, nil, Allow},
		"question mark needs a character": {statement(`{"Effect":"Allow","Action":"oss:GetObject?","Resource":"*"}`), get, key, nil, NoMatch},
		"star alone":                      {statement(`{"Effect":"Allow","Action":"*","Resource":"*"}`), put, key, nil, Allow},
		"not action":                      {statement(`{"Effect":"Allow","NotAction":"oss:Delete*","Resource":"*"}`), put, key, nil, Allow},
		"not action, excepted":            {statement(`{"Effect":"Allow","NotAction":"oss:Put*","Resource":"*"}`), put, key, nil, NoMatch},
		"not resource":                    {statement(`{"Effect":"Allow","Action":"oss:*","NotResource":"acs:oss:*:*:secret*"}`), put, key, nil, Allow},
		"not resource, excepted":          {statement(`{"Effect":"Allow","Action":"oss:*","NotResource":"acs:oss:*:*:bucket*"}`), put, key, nil, NoMatch},
		"other account":                   {statement(`{"Effect":"Allow","Action":"oss:*","Resource":"acs:oss:*:9999:bucket/*"}`), put, key, nil, NoMatch},
		"deny after allow":                {statement(`{"Effect":"Allow","Action":"oss:*","Resource":"*"},{"Effect":"Deny","Action":"oss:PutObject","Resource":"*"}`), put, key, nil, Deny},
		"deny before allow":               {statement(`{"Effect":"Deny","Action":"oss:PutObject","Resource":"*"},{"Effect":"Allow","Action":"oss:*","Resource":"*"}`), put, key, nil, Deny},
		"deny of something else":          {statement(`{"Effect":"Deny","Action":"oss:DeleteObject","Resource":"*"},{"Effect":"Allow","Action":"oss:*","Resource":"*"}`), put, key, nil, Allow},

		"StringEquals":                     {cond("StringEquals", "oss:Prefix", `"a"`), put, key, ctx("oss:Prefix", "a"), Allow},
		"StringEquals, other value":        {cond("StringEquals", "oss:Prefix", `"a"`), put, key, ctx("oss:Prefix", "b"), NoMatch},
		"StringEquals, other case":         {cond("StringEquals", "oss:Prefix", `"a"`), put, key, ctx("oss:Prefix", "A"), NoMatch},
		"StringEquals, star is literal":    {cond("StringEquals", "oss:Prefix", `"*"`), put, key, ctx("oss:Prefix", "A"), NoMatch},
		"StringEquals, absent":             {cond("StringEquals", "oss:Prefix", `"a"`), put, key, nil, NoMatch},
		"StringEquals, empty":              {cond("StringEquals", "oss:Prefix", `["","a/"]`), put, key, ctx("oss:Prefix", ""), Allow},
		"StringEquals, one of":             {cond("StringEquals", "oss:Prefix", `["x","a"]`), put, key, ctx("oss:Prefix", "a"), Allow},
		"StringEquals, any of the request": {cond("StringEquals", "oidc:aud", `"a"`), put, key, ctx("oidc:aud", "z", "a"), Allow},
		"StringEqualsIfExists, absent":     {cond("StringEqualsIfExists", "oss:Prefix", `"a"`), put, key, nil, Allow},
		"StringEqualsIfExists, other":      {cond("StringEqualsIfExists", "oss:Prefix", `"a"`), put, key, ctx("oss:Prefix", "b"), NoMatch},
		"StringNotEquals":                  {cond("StringNotEquals", "oss:Prefix", `["a","b"]`), put, key, ctx("oss:Prefix", "c"), Allow},
		"StringNotEquals, one of":          {cond("StringNotEquals", "oss:Prefix", `["a","b"]`), put, key, ctx("oss:Prefix", "b"), NoMatch},
		"StringNotEquals, absent":          {cond("StringNotEquals", "acs:SourceVpc", `"vpc-1"`), put, key, nil, Allow},
		"StringEqualsIgnoreCase":           {cond("StringEqualsIgnoreCase", "oss:Prefix", `"a"`), put, key, ctx("oss:Prefix", "A"), Allow},
		"StringNotEqualsIgnoreCase":        {cond("StringNotEqualsIgnoreCase", "oss:Prefix", `"a"`), put, key, ctx("oss:Prefix", "A"), NoMatch},
		"StringLike":                       {cond("StringLike", "oidc:sub", `"system:serviceaccount:family:*"`), put, key, ctx("oidc:sub", "system:serviceaccount:family:album"), Allow},
		"StringLike, other":                {cond("StringLike", "oidc:sub", `"system:serviceaccount:family:*"`), put, key, ctx("oidc:sub", "system:serviceaccount:familyx:album"), NoMatch},
		"StringNotLike":                    {cond("StringNotLike", "oss:Prefix", `"a*"`), put, key, ctx("oss:Prefix", "ab"), NoMatch},
		"NumericEquals":                    {cond("NumericEquals", "n", `"10"`), put, key, ctx("n", "10.0"), Allow},
		"NumericNotEquals":                 {cond("NumericNotEquals", "n", `10`), put, key, ctx("n", "10"), NoMatch},
		"NumericLessThan":                  {cond("NumericLessThan", "n", `"10"`), put, key, ctx("n", "9"), Allow},
		"NumericLessThan, equal":           {cond("NumericLessThan", "n", `"10"`), put, key, ctx("n", "10"), NoMatch},
		"NumericLessThanEquals":            {cond("NumericLessThanEquals", "n", `"10"`), put, key, ctx("n", "10"), Allow},
		"NumericGreaterThan":               {cond("NumericGreaterThan", "n", `"9"`), put, key, ctx("n", "10"), Allow},
		"NumericGreaterThanEquals":         {cond("NumericGreaterThanEquals", "n", `"11"`), put, key, ctx("n", "10"), NoMatch},
		"Numeric, not a number":            {cond("NumericGreaterThan", "n", `"9"`), put, key, ctx("n", "many"), NoMatch},
		"DateLessThan":                     {cond("DateLessThan", "acs:CurrentTime", `"2026-01-01T00:00:00+08:00"`), put, key, ctx("acs:CurrentTime", "2025-12-31T15:59:59Z"), Allow},
		"DateLessThan, later":              {cond("DateLessThan", "acs:CurrentTime", `"2026-01-01T00:00:00+08:00"`), put, key, ctx("acs:CurrentTime", "2025-12-31T16:00:00Z"), NoMatch},
		"DateGreaterThanEquals":            {cond("DateGreaterThanEquals", "acs:CurrentTime", `"2026-01-01T00:00Z"`), put, key, ctx("acs:CurrentTime", "2026-01-01T00:00:00Z"), Allow},
		"DateEquals":                       {cond("DateEquals", "acs:CurrentTime", `"2026-01-01T00:00:00Z"`), put, key, ctx("acs:CurrentTime", "2026-01-01T08:00:00+08:00"), Allow},
		"DateNotEquals":                    {cond("DateNotEquals", "acs:CurrentTime", `"2026-01-01T00:00:00Z"`), put, key, ctx("acs:CurrentTime", "2026-01-01T08:00:00+08:00"), NoMatch},
		"Bool":                             {cond("Bool", "acs:SecureTransport", `"true"`), put, key, ctx("acs:SecureTransport", "true"), Allow},
		"Bool, unquoted":                   {cond("Bool", "acs:SecureTransport", `true`), put, key, ctx("acs:SecureTransport", "true"), Allow},
		"Bool, other":                      {cond("Bool", "acs:SecureTransport", `["true"]`), put, key, ctx("acs:SecureTransport", "false"), NoMatch},
		"IpAddress":                        {cond("IpAddress", "acs:SourceIp", `["10.0.0.0/8","2001:db8::/32"]`), put, key, ctx("acs:SourceIp", "10.2.3.4"), Allow},
		"IpAddress, v6":                    {cond("IpAddress", "acs:SourceIp", `["10.0.0.0/8","2001:db8::/32"]`), put, key, ctx("acs:SourceIp", "2001:db8::1"), Allow},
		"IpAddress, v4 in v6":              {cond("IpAddress", "acs:SourceIp", `"10.0.0.0/8"`), put, key, ctx("acs:SourceIp", "::ffff:10.2.3.4"), Allow},
		"IpAddress, single":                {cond("IpAddress", "acs:SourceIp", `"10.2.3.4"`), put, key, ctx("acs:SourceIp", "10.2.3.5"), NoMatch},
		"NotIpAddress":                     {cond("NotIpAddress", "acs:SourceIp", `"10.0.0.0/8"`), put, key, ctx("acs:SourceIp", "11.0.0.1"), Allow},
		"two conditions, one fails": {allow(`,"Condition":{"Bool":{"acs:SecureTransport":"true"},"IpAddress":{"acs:SourceIp":"10.0.0.0/8"}}`), put, key,
			map[string][]string{"acs:SecureTransport": {"true"}, "acs:SourceIp": {"1.1.1.1"}}, NoMatch},
		"two keys, one fails": {allow(`,"Condition":{"StringEquals":{"a":"1","b":"2"}}`), put, key,
			map[string][]string{"a": {"1"}, "b": {"3"}}, NoMatch},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			doc, err := Parse(Identity, []byte(tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := doc.Evaluate(Request{Action: tt.action, Resource: tt.resource, Context: tt.ctx}); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestMalformedDocumentsAreRefused(t *testing.T) {
	const ok = `"Effect":"Allow","Action":"oss:*","Resource":"*"`
	const trust = `"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::1234:root"}`
	tests := map[string]struct {
		kind Type
		doc  string
		ok   bool
	}{
		"identity policy":               {Identity, statement(`{` + ok + `}`), true},
		"trust policy":                  {Trust, statement(`{` + trust + `}`), true},
		"bucket policy":                 {Resource, statement(`{` + ok + `,"Principal":["*"]}`), true},
		"sid":                           {Identity, statement(`{"Sid":"a",` + ok + `}`), true},
		"empty":                         {Identity, ``, false},
		"null":                          {Identity, `null`, false},
		"array":                         {Identity, `[]`, false},
		"text behind":                   {Identity, statement(`{`+ok+`}`) + `x`, false},
		"not UTF-8":                     {Identity, statement(`{"Sid":"` + "\xff" + `",` + ok + `}`), false},
		"no version":                    {Identity, `{"Statement":[{` + ok + `}]}`, false},
		"number as version":             {Identity, `{"Version":1,"Statement":[{` + ok + `}]}`, false},
		"version of AWS":                {Identity, `{"Version":"2012-10-17","Statement":[{` + ok + `}]}`, false},
		"no statement":                  {Identity, `{"Version":"1"}`, false},
		"empty statement list":          {Identity, statement(``), false},
		"statement is no list":          {Identity, `{"Version":"1","Statement":{` + ok + `}}`, false},
		"unknown element on top":        {Identity, `{"Version":"1","Id":"x","Statement":[{` + ok + `}]}`, false},
		"unknown element":               {Identity, statement(`{` + ok + `,"Resources":"*"}`), false},
		"element twice":                 {Identity, statement(`{` + ok + `,"Effect":"Deny"}`), false},
		"element in another case":       {Identity, statement(`{"effect":"Allow","Action":"oss:*","Resource":"*"}`), false},
		"no effect":                     {Identity, statement(`{"Action":"oss:*","Resource":"*"}`), false},
		"effect in another case":        {Identity, statement(`{"Effect":"allow","Action":"oss:*","Resource":"*"}`), false},
		"no action":                     {Identity, statement(`{"Effect":"Allow","Resource":"*"}`), false},
		"action and not action":         {Identity, statement(`{` + ok + `,"NotAction":"oss:*"}`), false},
		"empty actions":                 {Identity, statement(`{"Effect":"Allow","Action":[],"Resource":"*"}`), false},
		"action without a service":      {Identity, statement(`{"Effect":"Allow","Action":"PutObject","Resource":"*"}`), false},
		"action is a number":            {Identity, statement(`{"Effect":"Allow","Action":[1],"Resource":"*"}`), false},
		"no resource":                   {Identity, statement(`{"Effect":"Allow","Action":"oss:*"}`), false},
		"resource and not resource":     {Identity, statement(`{` + ok + `,"NotResource":"*"}`), false},
		"resource of AWS":               {Identity, statement(`{"Effect":"Allow","Action":"oss:*","Resource":"arn:aws:s3:::b"}`), false},
		"null resource":                 {Identity, statement(`{"Effect":"Allow","Action":"oss:*","Resource":null}`), false},
		"principal in identity":         {Identity, statement(`{` + ok + `,"Principal":"*"}`), false},
		"resource in trust":             {Trust, statement(`{` + trust + `,"Resource":"*"}`), false},
		"trust without principal":       {Trust, statement(`{"Effect":"Allow","Action":"sts:AssumeRole"}`), false},
		"trust with unknown kind":       {Trust, statement(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}}`), false},
		"trust in nobody":               {Trust, statement(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{}}`), false},
		"trust in a name":               {Trust, statement(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"bob"}}`), false},
		"bucket policy without anybody": {Resource, statement(`{` + ok + `}`), false},
		"condition that is no object":   {Identity, statement(`{` + ok + `,"Condition":[]}`), false},
		"unknown operator":              {Identity, statement(`{` + ok + `,"Condition":{"StringMatches":{"a":"b"}}}`), false},
		"operator without a key":        {Identity, statement(`{` + ok + `,"Condition":{"StringEquals":{"":"b"}}}`), false},
		"condition without a value":     {Identity, statement(`{` + ok + `,"Condition":{"StringEquals":{"a":[]}}}`), false},
		"condition with an object":      {Identity, statement(`{` + ok + `,"Condition":{"StringEquals":{"a":{}}}}`), false},
		"bool that is none":             {Identity, statement(`{` + ok + `,"Condition":{"Bool":{"acs:SecureTransport":"HTTPS"}}}`), false},
		"number that is none":           {Identity, statement(`{` + ok + `,"Condition":{"NumericEquals":{"a":"b"}}}`), false},
		"date that is none":             {Identity, statement(`{` + ok + `,"Condition":{"DateLessThan":{"a":"tomorrow"}}}`), false},
		"network that is none":          {Identity, statement(`{` + ok + `,"Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.0/99"}}}`), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(tt.kind, []byte(tt.doc))
			if (err == nil) != tt.ok {
				t.Fatalf("error %v, want ok %t", err, tt.ok)
			}
			if err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%v does not wrap ErrMalformed", err)
			}
		})
	}
}

var patterns = []string{"*", "oss:*", "oss:Put*", "oss:PutObject", "oss:GetObject", "oss:?etObject", "ram:*"}
var resources = []string{"*", "acs:oss:*:*:bucket", "acs:oss:*:*:bucket/*", "acs:oss:*:*:bucket/album/*", "acs:oss:*:*:b*/a?bum/*", "acs:oss:*:*:*"}

func genStatement(t *rapid.T, effect string) map[string]any {
	s := map[string]any{"Effect": effect}
	s[rapid.SampledFrom([]string{"Action", "Action", "NotAction"}).Draw(t, "action kind")] =
		rapid.SliceOfN(rapid.SampledFrom(patterns), 1, 3).Draw(t, "actions")
	s[rapid.SampledFrom([]string{"Resource", "Resource", "NotResource"}).Draw(t, "resource kind")] =
		rapid.SliceOfN(rapid.SampledFrom(resources), 1, 3).Draw(t, "resources")
	if rapid.Bool().Draw(t, "conditional") {
		op := rapid.SampledFrom([]string{"StringEquals", "StringNotEquals", "StringLike", "StringEqualsIfExists"}).Draw(t, "operator")
		s["Condition"] = map[string]any{op: map[string]any{"k": rapid.SampledFrom([]string{"a", "b", "*"}).Draw(t, "value")}}
	}
	return s
}

func genRequest(t *rapid.T) Request {
	r := Request{
		Action:   rapid.SampledFrom([]string{"oss:PutObject", "oss:GetObject", "oss:DeleteObject", "ram:GetRole"}).Draw(t, "action"),
		Resource: rapid.SampledFrom([]string{"acs:oss:*:1:bucket", "acs:oss:*:1:bucket/album/a", "acs:oss:*:1:bucket/x", "acs:ram::1:role/r"}).Draw(t, "resource"),
		Context:  map[string][]string{},
	}
	if rapid.Bool().Draw(t, "has key") {
		r.Context["k"] = []string{rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")}
	}
	return r
}

func document(t *rapid.T, statements []map[string]any) *Document {
	raw, err := json.Marshal(map[string]any{"Version": "1", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Parse(Identity, raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return doc
}

// TestDenyAlwaysWins: when a Deny statement alone denies, no set of other statements in any order changes that.
func TestDenyAlwaysWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		deny, req := genStatement(t, "Deny"), genRequest(t)
		if effect, _ := document(t, []map[string]any{deny}).Evaluate(req); effect != Deny {
			return // the statement does not apply to the request
		}
		n := rapid.IntRange(0, 5).Draw(t, "others")
		all := make([]map[string]any, 0, n+1)
		for range n {
			all = append(all, genStatement(t, rapid.SampledFrom([]string{"Allow", "Deny"}).Draw(t, "effect")))
		}
		all = slices.Insert(all, rapid.IntRange(0, n).Draw(t, "place"), deny)
		if effect, _ := document(t, all).Evaluate(req); effect != Deny {
			t.Fatalf("effect %v", effect)
		}
	})
}

// TestOrderOfStatementsDoesNotMatter and taking an Allow away never allows more.
func TestOrderOfStatementsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []map[string]any
		for range rapid.IntRange(1, 5).Draw(t, "statements") {
			all = append(all, genStatement(t, rapid.SampledFrom([]string{"Allow", "Deny"}).Draw(t, "effect")))
		}
		req := genRequest(t)
		want, _ := document(t, all).Evaluate(req)
		if got, _ := document(t, rapid.Permutation(all).Draw(t, "order")).Evaluate(req); got != want {
			t.Fatalf("effect %v in one order and %v in another", want, got)
		}
		fewer := slices.DeleteFunc(slices.Clone(all), func(s map[string]any) bool { return s["Effect"] == "Allow" })
		if len(fewer) > 0 {
			if got, _ := document(t, fewer).Evaluate(req); got == Allow {
				t.Fatal("denies alone allow")
			}
		}
	})
}

// slowGlob is the definition of Glob by recursion.
func slowGlob(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return slowGlob(p[1:], s) || s != "" && slowGlob(p, s[1:])
	case s == "":
		return false
	default:
		return (p[0] == '?' || p[0] == s[0]) && slowGlob(p[1:], s[1:])
	}
}

func TestGlobIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringMatching(`[ab*?]{0,8}`).Draw(t, "pattern")
		s := rapid.StringMatching(`[ab*?]{0,8}`).Draw(t, "text")
		if got, want := Glob(p, s), slowGlob(p, s); got != want {
			t.Fatalf("Glob(%q, %q) = %t, want %t", p, s, got, want)
		}
	})
}

func TestGlobTakesNoExponentialTime(t *testing.T) {
	if Glob(strings.Repeat("*a", 200)+"b", strings.Repeat("a", 5000)) {
		t.Error("matched")
	}
}

// FuzzParse feeds arbitrary bytes: no panic, and what is accepted can be evaluated and is valid JSON.
func FuzzParse(f *testing.F) {
	f.Add([]byte(statement(`{"Effect":"Allow","Action":"oss:*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"}}}`)))
	f.Add([]byte(statement(`{"Effect":"Deny","NotAction":["sts:AssumeRole"],"Principal":{"RAM":"acs:ram::1:root"}}`)))
	f.Add([]byte(`{"Version":"1","Statement":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, kind := range []Type{Identity, Trust, Resource} {
			doc, err := Parse(kind, raw)
			if err != nil {
				continue
			}
			if !json.Valid(raw) {
				t.Errorf("accepted what is no JSON: %q", raw)
			}
			doc.Evaluate(Request{Action: "oss:PutObject", Resource: "acs:oss:*:1:b/k", Context: map[string][]string{"acs:SourceIp": {"10.0.0.1"}},
				Matches: func(Principal) bool { return true }})
		}
	})
}
