package signer

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// object is an object of a JSON document.
type object = map[string]any

// schemas are the JSON schemas of structs by name, as OpenAPI 3.1 takes them.
type schemas map[string]any

// of returns the schema of a type that requests and answers are made of. A struct is added and referred to.
func (s schemas) of(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Slice:
		return object{"type": []string{"array", "null"}, "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		s.add(t)
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	panic(fmt.Sprintf("the OpenAPI document has no schema for %s", t))
}

// add describes a struct by the tags of its fields: json, doc, example, pattern and enum.
func (s schemas) add(t reflect.Type) {
	if s[t.Name()] != nil {
		return
	}
	properties := object{}
	schema := object{"type": "object", "additionalProperties": false, "properties": properties}
	s[t.Name()] = schema // before its fields, which may refer to it
	var required []string
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" {
			continue
		}
		properties[name] = s.field(f)
		if !slices.Contains(strings.Split(options, ","), "omitempty") {
			required = append(required, name)
		}
	}
	if required != nil {
		schema["required"] = required
	}
}

// field returns the schema of one field.
func (s schemas) field(f reflect.StructField) object {
	schema := s.of(f.Type)
	if text, ok := f.Tag.Lookup("doc"); ok {
		schema["description"] = text
	}
	if text, ok := f.Tag.Lookup("pattern"); ok {
		schema["pattern"] = text
	}
	if text, ok := f.Tag.Lookup("enum"); ok {
		schema["enum"] = strings.Split(text, ",")
	}
	if text, ok := f.Tag.Lookup("example"); ok {
		schema["examples"] = []any{text}
		if f.Type.Kind() != reflect.String {
			schema["examples"] = []any{json.RawMessage(text)}
		}
	}
	return schema
}
