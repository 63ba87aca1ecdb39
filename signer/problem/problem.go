// Package problem writes errors as problem documents, RFC 9457.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Problem is an error as a client sees it.
type Problem struct {
	Type      string `json:"type" doc:"URI that identifies the kind of problem" example:"https://oss.uploadtenant.io/problems/file_too_large"`
	Title     string `json:"title" doc:"the kind of problem for a person"`
	Status    int    `json:"status" doc:"HTTP status"`
	Detail    string `json:"detail" doc:"what is wrong and what to do"`
	Code      string `json:"code" doc:"stable code of the problem, for programs"`
	RequestID string `json:"requestId" doc:"id of the request, also in the X-Request-Id header and the logs"`
}

// base of the type URIs.
const base = "https://oss.uploadtenant.io/problems/"

// New returns a problem; the title is the text of the status.
func New(status int, code, detail string) *Problem {
	return &Problem{Type: base + code, Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// Write sends p with requestID.
func (p *Problem) Write(w http.ResponseWriter, requestID string) {
	answer := *p
	answer.RequestID = requestID
	body, err := json.Marshal(answer)
	if err != nil { // strings and numbers always marshal
		body = []byte(`{}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	w.Write(body)
}
