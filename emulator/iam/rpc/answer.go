package rpc

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
)

// Error is a refused call: what the answer's status, Code and Message say.
type Error struct {
	Status  int
	Code    string
	Message string
	// AccessDenied explains a refusal by policy; nil otherwise.
	AccessDenied *AccessDeniedDetail
}

// AccessDeniedDetail is the explanation that comes with NoPermission.
type AccessDeniedDetail struct {
	AuthAction               string
	AuthPrincipalDisplayName string
	AuthPrincipalOwnerId     string
	AuthPrincipalType        string
	NoPermissionType         string
	PolicyType               string
}

// Error implements error. The message never holds a secret.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Missing is the refusal of a call that lacks a required parameter.
func Missing(name string) *Error {
	return &Error{Status: 400, Code: "Missing" + name, Message: name + " is mandatory for this action."}
}

// The refusals of the gateway that carry no detail, as its list of common error codes has them.
var (
	errMethod   = &Error{Status: 405, Code: "UnsupportedHTTPMethod", Message: "This http method is not supported."}
	errBody     = &Error{Status: 400, Code: "InvalidParameter", Message: "The body of the request could not be read."}
	errTooLarge = &Error{Status: 413, Code: "RequestEntityTooLarge", Message: "The body of the request is too large."}
)

// errorBody is the shape that the SDKs read.
type errorBody struct {
	XMLName            xml.Name `json:"-" xml:"Error"`
	RequestId          string
	HostId             string
	Code               string
	Message            string
	Recommend          string
	AccessDeniedDetail *AccessDeniedDetail `json:",omitempty" xml:",omitempty"`
}

// Answer writes a result, whose exported fields become the elements beside RequestId, in the form that the
// caller asked for. name is the operation, which XML puts into the root element.
func Answer(w http.ResponseWriter, r *Request, requestID, name string, result any) {
	var body []byte
	var err error
	if r.WantsXML() {
		body, err = answerXML(name+"Response", requestID, result)
	} else {
		body, err = answerJSON(requestID, result)
	}
	if err != nil {
		Refuse(w, r, requestID, &Error{Status: 500, Code: "InternalError", Message: "The answer could not be encoded."})
		return
	}
	write(w, r.WantsXML(), requestID, http.StatusOK, body)
}

func answerJSON(requestID string, result any) ([]byte, error) {
	body, err := json.Marshal(struct{ RequestId string }{requestID})
	if err != nil || result == nil {
		return body, err
	}
	rest, err := json.Marshal(result)
	if err != nil || len(rest) <= 2 {
		return body, err
	}
	return append(append(body[:len(body)-1], ','), rest[1:]...), nil
}

func answerXML(root, requestID string, result any) ([]byte, error) {
	var buf bytes.Buffer
	buf.WriteString(xml.Header)
	enc := xml.NewEncoder(&buf)
	start := xml.StartElement{Name: xml.Name{Local: root}}
	if err := enc.EncodeToken(start); err != nil {
		return nil, err
	}
	if err := enc.EncodeElement(requestID, xml.StartElement{Name: xml.Name{Local: "RequestId"}}); err != nil {
		return nil, err
	}
	if result != nil {
		inner, err := xml.Marshal(result)
		if err != nil {
			return nil, err
		}
		// Drop the struct's own element: its fields stand beside RequestId.
		inner = inner[bytes.IndexByte(inner, '>')+1 : bytes.LastIndex(inner, []byte("</"))]
		if err := enc.Flush(); err != nil {
			return nil, err
		}
		buf.Write(inner)
	}
	if err := enc.EncodeToken(start.End()); err != nil {
		return nil, err
	}
	err := enc.Flush()
	return buf.Bytes(), err
}

// Refuse writes an error. r may be nil when the request could not be parsed.
func Refuse(w http.ResponseWriter, r *Request, requestID string, e *Error) {
	body := errorBody{
		RequestId: requestID, Code: e.Code, Message: e.Message, AccessDeniedDetail: e.AccessDenied,
		Recommend: "https://api.aliyun.com/troubleshoot?q=" + url.QueryEscape(e.Code) + "&requestId=" + requestID,
	}
	asXML := r != nil && r.WantsXML()
	if r != nil {
		body.HostId = r.HTTP.Host
	}
	var out []byte
	var err error
	if asXML {
		out, err = xml.Marshal(body)
		out = append([]byte(xml.Header), out...)
	} else {
		out, err = json.Marshal(body)
	}
	if err != nil {
		http.Error(w, "InternalError", http.StatusInternalServerError)
		return
	}
	write(w, asXML, requestID, e.Status, out)
}

func write(w http.ResponseWriter, asXML bool, requestID string, status int, body []byte) {
	contentType := "application/json;charset=utf-8"
	if asXML {
		contentType = "text/xml;charset=utf-8"
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("x-acs-request-id", requestID)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
