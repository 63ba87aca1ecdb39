package oss

import (
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/iam"
)

const (
	// maxSkew is how far the clock of a client may be off.
	maxSkew = 15 * time.Minute
	// maxPresign is the longest life of a V4 signed URL (EC 0002-00000232), in seconds.
	maxPresign = 604800
	iso8601    = "20060102T150405Z"
)

// authenticate finds out who signed the request. Without any signature the caller is anonymous.
func (q *request) authenticate() *Error {
	authorization := q.header("Authorization")
	switch {
	case strings.HasPrefix(authorization, "OSS4-HMAC-SHA256"):
		return q.authHeaderV4(authorization)
	case strings.HasPrefix(authorization, "OSS "):
		return q.authHeaderV1(authorization)
	case authorization != "":
		return invalidArgument("", "Authorization", "", "Authorization header is invalid.")
	case q.has("x-oss-signature-version") || q.has("x-oss-signature"):
		return q.authQueryV4()
	case q.has("OSSAccessKeyId") || q.has("Signature"):
		return q.authQueryV1()
	}
	return nil
}

// signer looks a key up and checks the security token that came with it.
func (q *request) signer(accessKeyID, token string) (iam.Credential, *Error) {
	c, ok := q.server.opts.Identity.Credential(accessKeyID)
	if !ok {
		return c, newError(http.StatusForbidden, "InvalidAccessKeyId", "0002-00000902",
			"The OSS Access Key Id you provided does not exist in our records.").with("OSSAccessKeyId", accessKeyID)
	}
	if c.Inactive {
		return c, newError(http.StatusForbidden, "InvalidAccessKeyId", "0002-00000903",
			"The OSS Access Key Id you provided is disabled.").with("OSSAccessKeyId", accessKeyID)
	}
	if c.SecurityToken == "" && token != "" {
		return c, invalidToken("0002-00000008")
	}
	if c.SecurityToken != "" && token == "" {
		return c, newError(http.StatusForbidden, "InvalidAccessKeyId", "0002-00000003",
			"The OSS Access Key Id you provided does not exist in our records.").with("OSSAccessKeyId", accessKeyID)
	}
	if !equal(c.SecurityToken, token) {
		return c, invalidToken("0002-00000006")
	}
	if !c.Expires.IsZero() && !q.server.clock().Before(c.Expires) {
		return c, newError(http.StatusForbidden, "SecurityTokenExpired", "0002-00000007",
			"The security token you provided has expired.")
	}
	return c, nil
}

func invalidToken(ec string) *Error {
	return newError(http.StatusForbidden, "InvalidSecurityToken", ec, "The security token you provided is invalid.")
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func signatureMismatch(accessKeyID, provided, stringToSign string) *Error {
	e := newError(http.StatusForbidden, "SignatureDoesNotMatch", "0002-00000040",
		"The request signature we calculated does not match the signature you provided. Check your key and signing method.").
		with("OSSAccessKeyId", accessKeyID).with("SignatureProvided", provided)
	if stringToSign != "" {
		e = e.with("StringToSign", stringToSign)
	}
	return e
}

func (q *request) signedBy(kind authKind, version string, c iam.Credential) {
	q.auth = authentication{kind: kind, principal: c.Principal, version: version}
	q.call.Caller = c.Principal
}

// authHeaderV4 checks "OSS4-HMAC-SHA256 Credential=…,AdditionalHeaders=…,Signature=…".
func (q *request) authHeaderV4(authorization string) *Error {
	fields := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(authorization, "OSS4-HMAC-SHA256"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	if fields["Credential"] == "" || fields["Signature"] == "" {
		return invalidArgument("", "Authorization", "", "Authorization header is invalid.")
	}
	accessKeyID, sc, err := q.parseCredential(fields["Credential"], "Authorization")
	if err != nil {
		return err
	}
	date := q.header("x-oss-date")
	if date == "" {
		date = q.header("Date")
	}
	if err := q.checkRequestTime(date); err != nil {
		return err
	}
	c, err := q.signer(accessKeyID, q.header("x-oss-security-token"))
	if err != nil {
		return err
	}
	signed, _ := parseRequestTime(date)
	if signed.UTC().Format("20060102") != sc.date {
		return invalidArgument("", "Credential", fields["Credential"], "Invalid signing date in Authorization header.")
	}
	if err := q.checkV4(c, sc, signed.UTC().Format(iso8601), additionalHeaders(fields["AdditionalHeaders"]), fields["Signature"], ""); err != nil {
		return err
	}
	q.signedBy(authHeader, "v4", c)
	return nil
}

func additionalHeaders(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(strings.ToLower(list), ";")
}

// checkV4 compares a V4 signature. The query is tried in canonical encoding and, for clients that sign what they
// send, as it was sent; both cover every parameter.
func (q *request) checkV4(c iam.Credential, sc scope, date string, additional []string, signature, skip string) *Error {
	text := func(query string) string {
		return "OSS4-HMAC-SHA256\n" + date + "\n" + sc.String() + "\n" + sha256Hex(q.canonicalRequest(query, additional))
	}
	for _, name := range additional {
		if name != "host" && q.header(name) == "" {
			return invalidArgument("", "AdditionalHeaders", name, "A header that the signature covers is not in the request.")
		}
	}
	canonical := text(q.canonicalQuery(skip))
	if equal(signV4(c.Secret, sc, canonical), signature) || equal(signV4(c.Secret, sc, text(q.rawQuery(skip))), signature) {
		return nil
	}
	return signatureMismatch(c.AccessKeyID, signature, canonical).
		with("CanonicalRequest", q.canonicalRequest(q.canonicalQuery(skip), additional))
}

// parseCredential splits AK/YYYYMMDD/region/oss/aliyun_v4_request and checks all but the key.
func (q *request) parseCredential(credential, where string) (string, scope, *Error) {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 {
		return "", scope{}, invalidArgument("", "Credential", credential, "Invalid Credential in %s.", where)
	}
	sc := scope{parts[1], parts[2], parts[3]}
	switch {
	case parts[0] == "":
		return "", sc, invalidArgument("0002-00000206", "Credential", credential, "Invalid AccessKeyId in %s.", where)
	case sc.product != "oss" && sc.product != "oss-cloudbox":
		return "", sc, invalidArgument("", "Credential", credential, "Invalid signing product in %s.", where)
	case parts[4] != "aliyun_v4_request":
		return "", sc, invalidArgument("0002-00000213", "Credential", credential, "Invalid signing type in %s.", where)
	case sc.region != q.server.opts.Region:
		return "", sc, invalidArgument("", "Credential", credential, "Invalid signing region in %s.", where)
	}
	return parts[0], sc, nil
}

// parseRequestTime reads an HTTP date or an ISO 8601 basic date.
func parseRequestTime(date string) (time.Time, error) {
	if t, err := time.Parse(iso8601, date); err == nil {
		return t, nil
	}
	return http.ParseTime(date)
}

func (q *request) checkRequestTime(date string) *Error {
	if date == "" {
		return accessDenied("0002-00000503", "OSS authentication requires a valid Date.")
	}
	t, err := parseRequestTime(date)
	if err != nil {
		return accessDenied("0002-00000505", "OSS authentication requires a valid Date.")
	}
	if d := q.now.Sub(t); d > maxSkew || d < -maxSkew {
		return newError(http.StatusForbidden, "RequestTimeTooSkewed", "0002-00000504",
			"The difference between the request time and the current time is too large.").
			with("MaxAllowedSkewMilliseconds", strconv.FormatInt(maxSkew.Milliseconds(), 10)).
			with("RequestTime", t.UTC().Format("2006-01-02T15:04:05.000Z")).
			with("ServerTime", q.now.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return nil
}

// authHeaderV1 checks "OSS AccessKeyId:Signature".
func (q *request) authHeaderV1(authorization string) *Error {
	accessKeyID, signature, ok := strings.Cut(strings.TrimPrefix(authorization, "OSS "), ":")
	if !ok || accessKeyID == "" || signature == "" {
		return invalidArgument("", "Authorization", "", "Authorization header is invalid.")
	}
	if err := q.refuseV1(); err != nil {
		return err
	}
	date := q.header("Date")
	if date == "" {
		date = q.header("x-oss-date")
	}
	if err := q.checkRequestTime(date); err != nil {
		return err
	}
	c, err := q.signer(accessKeyID, q.header("x-oss-security-token"))
	if err != nil {
		return err
	}
	text := q.stringToSignV1(date)
	if !equal(signV1(c.Secret, text), signature) {
		return signatureMismatch(accessKeyID, signature, text)
	}
	q.signedBy(authHeader, "v1", c)
	return nil
}

// authQueryV1 checks ?OSSAccessKeyId=&Expires=&Signature=. Signed URLs of version 1 keep working on new buckets.
func (q *request) authQueryV1() *Error {
	accessKeyID, signature, expires := q.param("OSSAccessKeyId"), q.param("Signature"), q.param("Expires")
	if accessKeyID == "" || signature == "" || expires == "" {
		return accessDenied("", "Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters.")
	}
	c, err := q.signer(accessKeyID, q.param("security-token"))
	if err != nil {
		return err
	}
	until, parseErr := strconv.ParseInt(expires, 10, 64)
	if parseErr != nil {
		return accessDenied("", "Invalid date (should be seconds since epoch).")
	}
	if q.now.Unix() > until {
		return expired(time.Unix(until, 0), q.now)
	}
	text := q.stringToSignV1(expires)
	if !equal(signV1(c.Secret, text), signature) {
		return signatureMismatch(accessKeyID, signature, text)
	}
	q.signedBy(authQuery, "v1", c)
	return nil
}

func expired(at, now time.Time) *Error {
	return accessDenied("", "Request has expired.").
		with("Expires", at.UTC().Format("2006-01-02T15:04:05.000Z")).
		with("ServerTime", now.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// authQueryV4 checks a V4 signed URL.
func (q *request) authQueryV4() *Error {
	if v := q.param("x-oss-signature-version"); v != "OSS4-HMAC-SHA256" {
		return invalidArgument("", "x-oss-signature-version", v, "x-oss-signature-version is invalid.")
	}
	for _, name := range []string{"x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-signature"} {
		if q.param(name) == "" {
			return accessDenied("", "Query-string authentication requires the %s parameter.", name)
		}
	}
	accessKeyID, sc, err := q.parseCredential(q.param("x-oss-credential"), "query")
	if err != nil {
		return err
	}
	signed, parseErr := time.Parse(iso8601, q.param("x-oss-date"))
	if parseErr != nil {
		return invalidArgument("", "x-oss-date", q.param("x-oss-date"), "x-oss-date is invalid.")
	}
	seconds, parseErr := strconv.ParseInt(q.param("x-oss-expires"), 10, 64)
	if parseErr != nil || seconds < 1 || seconds > maxPresign {
		return invalidArgument("0002-00000232", "x-oss-expires", q.param("x-oss-expires"),
			"x-oss-expires must be between 1 and %d seconds.", maxPresign)
	}
	c, err := q.signer(accessKeyID, q.param("x-oss-security-token"))
	if err != nil {
		return err
	}
	if until := signed.Add(time.Duration(seconds) * time.Second); q.now.After(until) {
		return expired(until, q.now)
	}
	if signed.Sub(q.now) > maxSkew {
		return accessDenied("", "Request is not yet valid.")
	}
	if signed.Format("20060102") != sc.date {
		return invalidArgument("", "x-oss-credential", q.param("x-oss-credential"), "Invalid signing date in query.")
	}
	if err := q.checkV4(c, sc, q.param("x-oss-date"), additionalHeaders(q.param("x-oss-additional-headers")),
		q.param("x-oss-signature"), "x-oss-signature"); err != nil {
		return err
	}
	q.signedBy(authQuery, "v4", c)
	return nil
}

// refuseV1 is the answer of buckets and accounts for which signature version 1 has been retired.
func (q *request) refuseV1() *Error {
	if !q.server.v1Refused(q.info) {
		return nil
	}
	return newError(http.StatusForbidden, "AccessDenied", "0002-00000080",
		"Signature version 1 is not supported for this bucket. Use signature version 4.")
}
