// Package rpc is the wire protocol of Alibaba Cloud's RPC-style APIs: parameters in query and form, a signature
// over all of them (HMAC-SHA1, version 1.0) or over the request (ACS3-HMAC-SHA256), and answers in JSON or XML.
//
// The rules are those that the official SDKs implement (sdk/auth/rpc_signature_composer.go of
// alibaba-cloud-sdk-go) and that the gateway's list of common error codes describes.
package rpc

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxBody bounds the form of a call. The largest documented parameter is an OIDC token of 20,000 characters.
const maxBody = 1 << 20

// Request is a parsed call. Params holds the query and the form together, each name once.
type Request struct {
	HTTP   *http.Request
	Params map[string]string
	// bodyHash is the hex SHA-256 of the body, which ACS3 signs.
	bodyHash string
}

// Parse reads the parameters of a call. The form is read only when the body declares itself as one.
func Parse(r *http.Request) (*Request, *Error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return nil, errMethod
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, errBody
	}
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	sum := sha256.Sum256(body)
	req := &Request{HTTP: r, Params: map[string]string{}, bodyHash: hex.EncodeToString(sum[:])}
	if e := req.add(r.URL.RawQuery); e != nil {
		return nil, e
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if contentType == "application/x-www-form-urlencoded" && len(body) > 0 {
		if e := req.add(string(body)); e != nil {
			return nil, e
		}
	}
	return req, nil
}

func (r *Request) add(encoded string) *Error {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return &Error{Status: 400, Code: "InvalidParameter.Encoding", Message: "The parameters are not valid form encoding."}
	}
	for name, v := range values {
		if _, twice := r.Params[name]; twice || len(v) > 1 {
			// Two values would leave open which of them was signed.
			return &Error{Status: 400, Code: "InvalidParameter", Message: "The parameter " + name + " is given more than once."}
		}
		r.Params[name] = v[0]
	}
	return nil
}

// Action names the operation: the Action parameter or, in ACS3 calls, the x-acs-action header.
func (r *Request) Action() string { return r.either("Action", "x-acs-action") }

// Version names the API: the Version parameter or the x-acs-version header.
func (r *Request) Version() string { return r.either("Version", "x-acs-version") }

// AccessKeyID names the key that the call claims to be signed with; empty in an unsigned call.
func (r *Request) AccessKeyID() string {
	if r.isACS3() {
		return r.acs3Field("Credential")
	}
	return r.Params["AccessKeyId"]
}

// SecurityToken is the STS token that came with the call.
func (r *Request) SecurityToken() string { return r.either("SecurityToken", "x-acs-security-token") }

// WantsXML reports whether the answer is to be XML, which is the default of the protocol; ACS3 calls default to JSON.
func (r *Request) WantsXML() bool {
	if f := r.Params["Format"]; f != "" {
		return strings.EqualFold(f, "XML")
	}
	return !r.isACS3() && r.HTTP.Header.Get("x-acs-version") == ""
}

func (r *Request) either(param, header string) string {
	if v := r.Params[param]; v != "" {
		return v
	}
	return r.HTTP.Header.Get(header)
}
