package oss

import (
	"strings"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/iam"
)

// maxFormAge is how long after its x-oss-date a V4 form can be used at all.
const maxFormAge = 7 * 24 * time.Hour

// Fields of a V4 form. Each of the first three, and the token when it is sent, must be listed in the policy.
var v4Fields = []string{"x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-security-token"}

// authenticateForm checks the signature of a form and returns its policy, or nil for an anonymous upload.
func (q *request) authenticateForm(f *formFields) (*postPolicy, *Error) {
	version, hasVersion := f.get("x-oss-signature-version")
	_, hasPolicy := f.get("policy")
	_, hasV1Key := f.get("OSSAccessKeyId")
	_, hasV1Signature := f.get("Signature")
	_, hasV4Key := f.get("x-oss-credential")
	_, hasV4Signature := f.get("x-oss-signature")
	switch {
	case hasVersion && version != "OSS4-HMAC-SHA256":
		return nil, formArgument("0002-00000701", "x-oss-signature-version", version)
	case hasVersion:
		return q.authenticateFormV4(f)
	case hasPolicy || hasV1Key || hasV1Signature || hasV4Key || hasV4Signature:
		return q.authenticateFormV1(f)
	}
	return nil, nil
}

func formArgument(ec, name, value string) *Error {
	return invalidArgument(ec, name, value, "The form field %s is invalid.", name)
}

// required returns a field that must be there and, for the signature, must not be empty.
func required(f *formFields, name, missingEC, emptyEC string) (string, *Error) {
	v, ok := f.get(name)
	if !ok {
		return "", invalidArgument(missingEC, name, "", "The bucket POST must contain the specified '%s'. If it is specified, please check the order of the fields.", name)
	}
	if v == "" && emptyEC != "" {
		return "", invalidArgument(emptyEC, name, "", "The form field %s must not be empty.", name)
	}
	return v, nil
}

func (q *request) authenticateFormV4(f *formFields) (*postPolicy, *Error) {
	policy, err := required(f, "policy", "0002-00000702", "")
	if err != nil {
		return nil, err
	}
	credential, err := required(f, "x-oss-credential", "0002-00000706", "")
	if err != nil {
		return nil, err
	}
	signature, err := required(f, "x-oss-signature", "0002-00000703", "0002-00000704")
	if err != nil {
		return nil, err
	}
	accessKeyID, sc, err := q.formScope(credential)
	if err != nil {
		return nil, err
	}
	if err := q.checkFormDate(f, sc); err != nil {
		return nil, err
	}
	return q.verifyForm(f, accessKeyID, policy, "v4", func(c iam.Credential) bool {
		return equal(signV4(c.Secret, sc, policy), signature)
	}, signature)
}

// formScope reads the x-oss-credential field.
func (q *request) formScope(credential string) (string, scope, *Error) {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 {
		return "", scope{}, formArgument("0002-00000710", "x-oss-credential", credential)
	}
	sc := scope{parts[1], parts[2], parts[3]}
	switch {
	case parts[0] == "":
		return "", sc, formArgument("0002-00000708", "x-oss-credential", credential)
	case sc.product != "oss" || parts[4] != "aliyun_v4_request":
		return "", sc, formArgument("0002-00000710", "x-oss-credential", credential)
	}
	if _, err := time.Parse("20060102", sc.date); err != nil {
		return "", sc, formArgument("0002-00000709", "x-oss-credential", credential)
	}
	if sc.region != q.server.opts.Region {
		return "", sc, formArgument("0002-00000715", "x-oss-credential", credential)
	}
	return parts[0], sc, nil
}

// checkFormDate judges x-oss-date: at most 15 minutes ahead, at most 7 days old, on the day of the scope.
func (q *request) checkFormDate(f *formFields, sc scope) *Error {
	text, err := required(f, "x-oss-date", "0002-00000709", "")
	if err != nil {
		return err
	}
	signed, parseErr := time.Parse(iso8601, text)
	age := q.now.Sub(signed)
	if parseErr != nil || signed.Format("20060102") != sc.date || age < -maxSkew || age > maxFormAge ||
		q.server.opts.Rules.StrictDateSkew && age > maxSkew {
		return formArgument("0002-00000709", "x-oss-date", text)
	}
	return nil
}

func (q *request) authenticateFormV1(f *formFields) (*postPolicy, *Error) {
	policy, err := required(f, "policy", "0002-00000702", "")
	if err != nil {
		return nil, err
	}
	accessKeyID, err := required(f, "OSSAccessKeyId", "0002-00000706", "")
	if err != nil {
		return nil, err
	}
	signature, err := required(f, "Signature", "0002-00000703", "0002-00000704")
	if err != nil {
		return nil, err
	}
	if err := q.refuseV1(); err != nil {
		return nil, err
	}
	return q.verifyForm(f, accessKeyID, policy, "v1", func(c iam.Credential) bool {
		return equal(signV1(c.Secret, policy), signature)
	}, signature)
}

// verifyForm checks key, token and signature, and only then looks into the policy.
func (q *request) verifyForm(f *formFields, accessKeyID, policy, version string, matches func(iam.Credential) bool, signature string) (*postPolicy, *Error) {
	c, err := q.signer(accessKeyID, f.value("x-oss-security-token"))
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(policy) == "" {
		return nil, invalidPolicy("0006-00000205", "Policy is empty.")
	}
	if !matches(c) {
		e := signatureMismatch(accessKeyID, signature, policy)
		e.EC = "0002-00000705"
		return nil, e
	}
	q.signedBy(authForm, version, c)
	return parsePostPolicy(policy)
}

// checkPolicy holds the form against its policy. Sizes are judged while the file arrives, expiry once more after.
func (q *request) checkPolicy(p *postPolicy, f *formFields) *Error {
	if q.now.After(p.expiration) {
		return policyExpired()
	}
	err := p.check(func(field string) (string, bool) {
		switch field {
		case "bucket":
			return q.bucket, true
		case "content-type":
			// Which of the two OSS tests is not documented; a form without the field has only the file's own type.
			if v, ok := f.get(field); ok || f.file.contentType == "" {
				return v, ok
			}
			return f.file.contentType, true
		}
		return f.get(field)
	})
	if err != nil {
		return err
	}
	return q.checkExtraFields(p, f)
}

// checkExtraFields refuses fields that the policy does not mention: those of the V4 signature always
// (EC 0006-00000228), all others by rule.
func (q *request) checkExtraFields(p *postPolicy, f *formFields) *Error {
	if q.auth.version == "v4" {
		for _, name := range v4Fields {
			if _, sent := f.get(name); sent && !p.mentions(name) {
				return extraField(name)
			}
		}
	}
	if !q.server.opts.Rules.ListedFieldsOnly {
		return nil
	}
	for _, field := range f.list {
		name := strings.ToLower(field.name)
		switch name {
		case "policy", "signature", "ossaccesskeyid", "x-oss-signature", "x-oss-security-token":
			continue
		}
		if !p.mentions(name) {
			return extraField(field.name)
		}
	}
	return nil
}

func extraField(name string) *Error {
	return policyDenied("0006-00000228", "Extra input fields: %s", name)
}
