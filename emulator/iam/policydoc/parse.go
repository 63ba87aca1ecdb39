package policydoc

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"
)

// Parse reads a document of the given type. Every error wraps ErrMalformed and says which element is wrong.
func Parse(kind Type, raw []byte) (*Document, error) {
	if !utf8.Valid(raw) {
		return nil, malformed("the document is not UTF-8")
	}
	top, err := object(raw, "the document")
	if err != nil {
		return nil, err
	}
	if err := onlyKeys(top, "the document", "Version", "Statement"); err != nil {
		return nil, err
	}
	var version string
	if json.Unmarshal(top["Version"], &version) != nil || version != "1" {
		return nil, malformed(`Version must be the string "1"`)
	}
	statements, err := elements(top["Statement"])
	if err != nil || len(statements) == 0 {
		return nil, malformed("Statement must be a list of at least one statement")
	}
	doc := &Document{Statements: make([]Statement, 0, len(statements))}
	for _, s := range statements {
		statement, err := parseStatement(kind, s)
		if err != nil {
			return nil, err
		}
		doc.Statements = append(doc.Statements, statement)
	}
	return doc, nil
}

func parseStatement(kind Type, raw json.RawMessage) (Statement, error) {
	var s Statement
	m, err := object(raw, "a statement")
	if err != nil {
		return s, err
	}
	if err := onlyKeys(m, "a statement", "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource",
		"Principal", "NotPrincipal", "Condition"); err != nil {
		return s, err
	}
	if sid, ok := m["Sid"]; ok && json.Unmarshal(sid, &s.Sid) != nil {
		return s, malformed("Sid must be a string")
	}
	if s.Effect, err = parseEffect(m["Effect"]); err != nil {
		return s, err
	}
	if s.Actions, s.NotAction, err = either(m, "Action", "NotAction"); err != nil {
		return s, err
	}
	for _, a := range s.Actions {
		if !validAction(a) {
			return s, malformed("Action %q is not of the form service:Operation", a)
		}
	}
	if err := s.parseResources(kind, m); err != nil {
		return s, err
	}
	if err := s.parsePrincipals(kind, m); err != nil {
		return s, err
	}
	s.Conditions, err = parseConditions(m["Condition"])
	return s, err
}

func parseEffect(raw json.RawMessage) (Effect, error) {
	var name string
	if raw != nil && json.Unmarshal(raw, &name) == nil {
		switch name {
		case "Allow":
			return Allow, nil
		case "Deny":
			return Deny, nil
		}
	}
	return NoMatch, malformed("Effect must be Allow or Deny")
}

func (s *Statement) parseResources(kind Type, m map[string]json.RawMessage) error {
	if kind == Trust {
		if m["Resource"] != nil || m["NotResource"] != nil {
			return malformed("a trust policy has no Resource")
		}
		return nil
	}
	var err error
	if s.Resources, s.NotResource, err = either(m, "Resource", "NotResource"); err != nil {
		return err
	}
	for _, r := range s.Resources {
		if r != "*" && !strings.HasPrefix(r, "acs:") {
			return malformed("Resource %q must be * or begin with acs:", r)
		}
	}
	return nil
}

func (s *Statement) parsePrincipals(kind Type, m map[string]json.RawMessage) error {
	raw, not := m["Principal"], m["NotPrincipal"]
	switch {
	case kind == Identity && (raw != nil || not != nil):
		return malformed("an identity policy has no Principal")
	case kind == Identity:
		return nil
	case raw != nil && not != nil, raw == nil && not == nil:
		return malformed("a statement needs exactly one of Principal and NotPrincipal")
	case not != nil:
		raw, s.NotPrincipal = not, true
	}
	if kind == Resource {
		values, err := stringOrList(raw)
		if err != nil || len(values) == 0 {
			return malformed("Principal must be a string or a list of strings")
		}
		for _, v := range values {
			s.Principals = append(s.Principals, Principal{Value: v})
		}
		return nil
	}
	return s.parseTrustedEntities(raw)
}

func (s *Statement) parseTrustedEntities(raw json.RawMessage) error {
	m, err := object(raw, "Principal")
	if err != nil {
		return err
	}
	if err := onlyKeys(m, "Principal", "RAM", "Service", "Federated"); err != nil {
		return err
	}
	for _, kind := range []string{"RAM", "Service", "Federated"} {
		entry, ok := m[kind]
		if !ok {
			continue
		}
		values, err := stringOrList(entry)
		if err != nil || len(values) == 0 {
			return malformed("Principal %s must be a string or a list of strings", kind)
		}
		for _, v := range values {
			if kind != "Service" && v != "*" && !strings.HasPrefix(v, "acs:ram::") {
				return malformed("Principal %s %q must begin with acs:ram::", kind, v)
			}
			s.Principals = append(s.Principals, Principal{Type: kind, Value: v})
		}
	}
	if len(s.Principals) == 0 {
		return malformed("Principal names nobody")
	}
	return nil
}

func parseConditions(raw json.RawMessage) ([]Condition, error) {
	if raw == nil {
		return nil, nil
	}
	operators, err := object(raw, "Condition")
	if err != nil {
		return nil, err
	}
	var out []Condition
	for name, block := range operators {
		op, ok := operatorNamed(name)
		if !ok {
			return nil, malformed("Condition has no operator %q", name)
		}
		keys, err := object(block, "Condition "+name)
		if err != nil {
			return nil, err
		}
		for key, v := range keys {
			values, err := scalars(v)
			if err != nil || len(values) == 0 || key == "" {
				return nil, malformed("Condition %s needs a key and a value or a list of values", name)
			}
			for _, value := range values {
				if op.valid != nil && !op.valid(value) {
					return nil, malformed("Condition %s %s cannot compare with %q", name, key, value)
				}
			}
			out = append(out, Condition{Operator: name, Key: key, Values: values, op: op})
		}
	}
	return out, nil
}

// either reads the one of two elements that is present; a statement must have exactly one.
func either(m map[string]json.RawMessage, name, not string) (values []string, negated bool, err error) {
	raw, negated := m[name], false
	if m[not] != nil {
		if raw != nil {
			return nil, false, malformed("a statement cannot have both %s and %s", name, not)
		}
		raw, negated = m[not], true
	}
	if raw == nil {
		return nil, false, malformed("a statement needs %s or %s", name, not)
	}
	values, err = stringOrList(raw)
	if err != nil || len(values) == 0 {
		return nil, false, malformed("%s must be a string or a list of strings", name)
	}
	for _, v := range values {
		if v == "" {
			return nil, false, malformed("%s holds an empty string", name)
		}
	}
	return values, negated, nil
}

func validAction(a string) bool {
	if a == "*" {
		return true
	}
	service, operation, ok := strings.Cut(a, ":")
	return ok && service != "" && operation != "" && !strings.ContainsAny(a, " \t\r\n/")
}

func onlyKeys(m map[string]json.RawMessage, where string, allowed ...string) error {
next:
	for key := range m {
		for _, a := range allowed {
			if key == a {
				continue next
			}
		}
		return malformed("%s has an unknown element %q", where, key)
	}
	return nil
}

// object reads a JSON object and refuses what encoding/json forgives: repeated names and text after the end.
func object(raw []byte, where string) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, malformed("%s must be a JSON object", where)
	}
	m := map[string]json.RawMessage{}
	for dec.More() {
		tok, err := dec.Token()
		name, isString := tok.(string)
		var value json.RawMessage
		if err != nil || !isString || dec.Decode(&value) != nil {
			return nil, malformed("%s is not valid JSON", where)
		}
		if _, twice := m[name]; twice {
			return nil, malformed("%s has the element %q twice", where, name)
		}
		m[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, malformed("%s is not valid JSON", where)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, malformed("%s is followed by other text", where)
	}
	return m, nil
}

func elements(raw json.RawMessage) ([]json.RawMessage, error) {
	var list []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' {
		return nil, ErrMalformed
	}
	err := json.Unmarshal(raw, &list)
	return list, err
}

func stringOrList(raw json.RawMessage) ([]string, error) {
	var one string
	if json.Unmarshal(raw, &one) == nil && string(raw) != "null" {
		return []string{one}, nil
	}
	items, err := elements(raw)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		if len(item) == 0 || item[0] != '"' || json.Unmarshal(item, &one) != nil {
			return nil, ErrMalformed
		}
		out = append(out, one)
	}
	return out, nil
}

// scalars reads the values of a condition: strings, numbers and booleans, alone or in a list.
func scalars(raw json.RawMessage) ([]string, error) {
	items, err := elements(raw)
	if err != nil {
		items = []json.RawMessage{raw}
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		var s string
		switch c := item[0]; {
		case c == '"':
			if err := json.Unmarshal(item, &s); err != nil {
				return nil, err
			}
		case c == 't', c == 'f', c == '-', c >= '0' && c <= '9':
			s = string(item)
		default:
			return nil, ErrMalformed
		}
		out = append(out, s)
	}
	return out, nil
}
