package signer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/uploadtenant/uploadtenant/signer/problem"
)

// operationDoc describes an operation for the OpenAPI document.
type operationDoc struct {
	summary, detail string
	query           []queryDoc
	// body and answer are values of the request and response types, nil when there is none.
	body, answer any
	problems     []int
	hidden       bool
}

type queryDoc struct{ name, text, kind string }

// handleOpenAPI serves the document. It is generated on demand: nobody asks for it often, and an idle
// signer should not hold it in memory.
func (s *Server) handleOpenAPI(c *call) error {
	doc, err := s.OpenAPI()
	if err != nil {
		return err
	}
	c.body(doc)
	return nil
}

// OpenAPI returns the OpenAPI 3.1 document of the public port, generated from the operations and types.
func (s *Server) OpenAPI() ([]byte, error) {
	known, paths := schemas{}, map[string]object{}
	for _, op := range s.operations() {
		if op.doc.hidden {
			continue
		}
		if paths[op.pattern] == nil {
			paths[op.pattern] = object{}
		}
		paths[op.pattern][strings.ToLower(op.method)] = describe(op, known)
	}
	text, err := json.Marshal(object{
		"openapi": "3.1.0",
		"info": object{"title": "uploadtenant signer", "version": "v1",
			"description": "Grants for uploads straight to Alibaba Cloud OSS, and the record of what was uploaded."},
		"paths": paths,
		"components": object{"schemas": known, "securitySchemes": object{
			"bearer": object{"type": "http", "scheme": "bearer", "description": "a token of the application, or of POST /v1/sessions/wechat, as the tenant's auth says"}}},
	})
	if err != nil {
		return nil, fmt.Errorf("generate the OpenAPI document: %w", err)
	}
	return text, nil
}

// describe returns the Operation Object of op and adds the schemas that it refers to.
func describe(op operation, known schemas) object {
	content := func(kind string, value any) object {
		return object{kind: object{"schema": known.of(reflect.TypeOf(value))}}
	}
	responses := object{"204": object{"description": "No Content"}}
	if op.doc.answer != nil {
		responses = object{"200": object{"description": "OK", "content": content("application/json", op.doc.answer)}}
	}
	for _, status := range op.doc.problems {
		responses[strconv.Itoa(status)] = object{"description": http.StatusText(status), "content": content("application/problem+json", problem.Problem{})}
	}
	o := object{"operationId": op.name, "summary": op.doc.summary, "responses": responses}
	if op.doc.detail != "" {
		o["description"] = op.doc.detail
	}
	if !op.public {
		o["security"] = []object{{"bearer": []string{}}}
	}
	if op.doc.body != nil {
		o["requestBody"] = object{"required": true, "content": content("application/json", op.doc.body)}
	}
	var parameters []object
	for _, name := range pathParameters(op.pattern) {
		parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, q := range op.doc.query {
		parameters = append(parameters, object{"name": q.name, "in": "query", "description": q.text, "schema": object{"type": q.kind}})
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	return o
}

// pathParameters returns the names in {braces}.
func pathParameters(pattern string) []string {
	var names []string
	for segment := range strings.SplitSeq(pattern, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}
