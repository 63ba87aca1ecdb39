package oss_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
	"github.com/uploadtenant/uploadtenant/emulator/oss"
)

// rawPolicy is a form whose policy text is given, signed as it is.
func rawPolicy(i *emulatortest.Instance, policy string) *form {
	now := time.Now()
	f := v4Form(adminKey(i), now, bucket, "k", []byte("hello"))
	f.sign(adminKey(i), now.UTC().Format("20060102"), policy)
	return f
}

// conditions is a form whose conditions are given as JSON, besides those of the signature.
func conditions(list string) func(i *emulatortest.Instance) *form {
	return func(i *emulatortest.Instance) *form {
		expiration := time.Now().UTC().Add(time.Minute).Format(time.RFC3339)
		return rawPolicy(i, `{"expiration":"`+expiration+`","conditions":`+list+`}`)
	}
}

func policyText(text string) func(i *emulatortest.Instance) *form {
	return func(i *emulatortest.Instance) *form { return rawPolicy(i, text) }
}

// changed is a good form with one change.
func changed(change func(f *form)) func(i *emulatortest.Instance) *form {
	return func(i *emulatortest.Instance) *form {
		f := v4Form(adminKey(i), time.Now(), bucket, "k", []byte("hello"))
		change(f)
		return f
	}
}

func withCallback(fields map[string]any) func(i *emulatortest.Instance) *form {
	return changed(func(f *form) { f.set("callback", callbackParam(fields)) })
}

func raw(body string) func(i *emulatortest.Instance) *form {
	return func(*emulatortest.Instance) *form { return &form{raw: strings.ReplaceAll(body, "\n", "\r\n")} }
}

// Every EC that the documentation or the SDK's own tests give for what the emulator covers. A row is a request that
// differs from a good one in a single point.
func TestEveryDocumentedEC(t *testing.T) {
	const (
		invalid   = "InvalidArgument"
		badPolicy = "InvalidPolicyDocument"
		denied    = "AccessDenied"
		malformed = "MalformedPOSTRequest"
	)
	malformedText := "The body of your POST request is not well-formed multipart/form-data."
	tests := map[string]struct {
		form    func(i *emulatortest.Instance) *form
		bucket  string
		rules   oss.Rules
		status  int
		code    string
		message string
	}{
		// The multipart body.
		"0006-00000103": {form: changed(func(f *form) { f.after = [][2]string{{"success_action_status", "200"}} }), status: 400, code: malformed, message: malformedText},
		"0006-00000104": {form: raw("--B\nContent-Disposition: form-data; name=\"key\"\n\nk\n--B--\n"), status: 400, code: "IncorrectNumberOfFilesInPOSTRequest", message: "POST requires exactly one file upload per request."},
		"0006-00000107": {form: raw("--B--\n"), status: 400, code: "IncorrectNumberOfFilesInPOSTRequest", message: "POST requires exactly one file upload per request."},
		"0006-00000109": {form: raw("--B\nContent-Type: text/plain\nContent-Disposition: form-data; name=\"key\"\n\nk\n--B--\n"), status: 400, code: malformed, message: malformedText},
		"0006-00000110": {form: changed(func(f *form) { f.set(strings.Repeat("n", 8<<10+1), "v") }), status: 400, code: "FieldItemTooLong"},
		"0006-00000111": {form: changed(func(f *form) { f.set("x-oss-meta-a", strings.Repeat("v", 2<<20+1)) }), status: 400, code: "FieldItemTooLong"},
		"0006-00000112": {form: changed(func(f *form) {
			for n := range 5 {
				f.set(fmt.Sprint("a", n), strings.Repeat("v", 1<<21-1<<10))
			}
		}), status: 400, code: "FieldItemTooLong"},
		"0006-00000117": {form: changed(func(f *form) { f.set("x-oss-forbid-overwrite", "yes") }), status: 400, code: invalid},
		"0006-00000003": {form: func(i *emulatortest.Instance) *form {
			return v4Form(adminKey(i), time.Now(), bucket, "k", []byte("hello"), []any{"content-length-range", 1, 4})
		}, status: 400, code: "EntityTooLarge"},
		"0006-00000004": {form: func(i *emulatortest.Instance) *form {
			return v4Form(adminKey(i), time.Now(), bucket, "k", []byte("hello"), []any{"content-length-range", 6, 9})
		}, status: 400, code: "EntityTooSmall"},

		// The policy document.
		"0006-00000201": {form: policyText(`{"expiration":`), status: 400, code: badPolicy},
		"0006-00000205": {form: policyText(""), status: 400, code: badPolicy},
		"0006-00000206": {form: policyText(`{"expiration":"2099-01-01T00:00:00Z","conditions":[{"key":"k"}],"test":"test"}`), status: 400, code: badPolicy},
		"0006-00000207": {form: policyText(`{"expiration":"2099-01-01T00:00:00Z"}`), status: 400, code: badPolicy},
		"0006-00000208": {form: policyText(`{"conditions":[{"key":"k"}]}`), status: 400, code: badPolicy},
		"0006-00000209": {form: policyText(`{}`), status: 400, code: badPolicy},
		"0006-00000210": {form: policyText(`{"expiration":12345,"conditions":[{"key":"k"}]}`), status: 400, code: badPolicy},
		"0006-00000211": {form: policyText(`{"expiration":"","conditions":[{"key":"k"}]}`), status: 400, code: badPolicy},
		"0006-00000212": {form: policyText(`{"expiration":"01/02/2099","conditions":[{"key":"k"}]}`), status: 400, code: badPolicy},
		"0006-00000213": {form: policyText(`{"expiration":"2013-12-01T12:00:00Z","conditions":[{"key":"k"}]}`), status: 403, code: denied, message: "Invalid according to Policy: Policy expired."},
		"0006-00000214": {form: conditions(`{"key":"k"}`), status: 400, code: badPolicy},
		"0006-00000215": {form: conditions(`[]`), status: 400, code: badPolicy},
		"0006-00000216": {form: conditions(`[["$key","k"]]`), status: 400, code: badPolicy},
		"0006-00000218": {form: conditions(`[["starts-with","$key","user/user1","test"]]`), status: 400, code: badPolicy},
		"0006-00000219": {form: conditions(`[["content-length-range",10,1]]`), status: 400, code: badPolicy},
		"0006-00000221": {form: conditions(`[["content-length-range","1",10]]`), status: 400, code: badPolicy},
		"0006-00000222": {form: conditions(`[123,["content-length-range",10,1024]]`), status: 400, code: badPolicy},
		"0006-00000223": {form: conditions(`[["content-length-range",1,10.5]]`), status: 400, code: badPolicy},
		"0006-00000224": {form: conditions(`[["not-in","cache-control","no-cache"]]`), status: 400, code: badPolicy},
		"0006-00000226": {form: conditions(`[["eq","$x-oss-meta-a","b"]]`), status: 403, code: denied, message: `Invalid according to Policy: Policy Condition failed: ["eq", "$x-oss-meta-a", "b"]`},
		"0006-00000227": {form: conditions(`[["starts-with","$key","user/eric/"]]`), status: 403, code: denied, message: `Invalid according to Policy: Policy Condition failed: ["starts-with", "$key", "user/eric/"]`},
		"0006-00000228": {form: conditions(`[{"key":"k"},{"x-oss-signature-version":"OSS4-HMAC-SHA256"}]`), status: 403, code: denied, message: "Invalid according to Policy: Extra input fields: x-oss-credential"},

		// The signature.
		"0002-00000701": {form: changed(func(f *form) { f.set("x-oss-signature-version", "2") }), status: 400, code: invalid},
		"0002-00000702": {form: changed(func(f *form) { f.drop("policy") }), status: 400, code: invalid},
		"0002-00000703": {form: changed(func(f *form) { f.drop("x-oss-signature") }), status: 400, code: invalid},
		"0002-00000704": {form: changed(func(f *form) { f.set("x-oss-signature", "") }), status: 400, code: invalid},
		"0002-00000705": {form: changed(func(f *form) { f.set("x-oss-signature", strings.Repeat("0", 64)) }), status: 403, code: "SignatureDoesNotMatch", message: "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
		"0002-00000706": {form: changed(func(f *form) { f.drop("x-oss-credential") }), status: 400, code: invalid},
		"0002-00000708": {form: changed(func(f *form) { f.set("x-oss-credential", "/20260101/cn-hangzhou/oss/aliyun_v4_request") }), status: 400, code: invalid},
		"0002-00000709": {form: changed(func(f *form) { f.set("x-oss-credential", "ak/2026-01-01/cn-hangzhou/oss/aliyun_v4_request") }), status: 400, code: invalid},
		"0002-00000710": {form: changed(func(f *form) { f.set("x-oss-credential", "ak/20260101/cn-hangzhou/oss/aws4_request") }), status: 400, code: invalid},
		"0002-00000715": {form: changed(func(f *form) { f.set("x-oss-credential", "ak/20260101/cn-shanghai/oss/aliyun_v4_request") }), status: 400, code: invalid},
		"0002-00000902": {form: func(*emulatortest.Instance) *form {
			return v4Form(key{id: "LTAIunknown", secret: "s"}, time.Now(), bucket, "k", nil)
		}, status: 403, code: "InvalidAccessKeyId", message: "The OSS Access Key Id you provided does not exist in our records."},
		"0002-00000080": {form: func(i *emulatortest.Instance) *form {
			return v1Form(adminKey(i), time.Now(), "k", nil, map[string]string{"key": "k"})
		}, rules: oss.Rules{RefuseV1: true}, status: 403, code: denied},
		"0002-00000008": {form: func(i *emulatortest.Instance) *form {
			k := adminKey(i)
			k.token = "CAISnotmine"
			return v4Form(k, time.Now(), bucket, "k", nil)
		}, status: 403, code: "InvalidSecurityToken"},

		// The callback.
		"0007-00000004": {form: withCallback(map[string]any{"callbackUrl": "www.callback-example.com:test", "callbackBody": "a=b"}), status: 400, code: invalid},
		"0007-00000008": {form: withCallback(map[string]any{"callbackUrl": "127.0.0.1:8088/test.php", "callbackBody": "a=b"}), rules: oss.Rules{RefusePrivateCallbacks: true}, status: 400, code: invalid, message: "Private address is forbidden to callback."},
		"0007-00000011": {form: withCallback(map[string]any{"callbackUrl": "http://x.example"}), status: 400, code: invalid},
		"0007-00000012": {form: withCallback(map[string]any{"callbackUrl": "http://x.example", "callbackBody": "a=b", "callbackBodyType": "text/xml"}), status: 400, code: invalid},

		"0007-00000026": {form: withCallback(map[string]any{"callbackUrl": "http://x.example", "callbackBody": "a=b", "additionalHeaders": map[string]string{"x-oss-a": "b"}}), status: 400, code: invalid},

		// The rest.
		"0015-00000101": {form: changed(func(*form) {}), bucket: "no-such-bucket", status: 404, code: "NoSuchBucket", message: "The specified bucket does not exist."},
		"0003-00000001": {form: changed(func(f *form) {
			for _, name := range []string{"policy", "x-oss-signature", "x-oss-signature-version", "x-oss-credential", "x-oss-date"} {
				f.drop(name)
			}
		}), status: 403, code: denied, message: "You have no right to access this object because of bucket acl."},
	}
	for ec, tt := range tests {
		t.Run(ec, func(t *testing.T) {
			i := emulatortest.Start(t, emulatortest.WithBuckets(bucket), emulatortest.WithRules(tt.rules))
			to := bucket
			if tt.bucket != "" {
				to = tt.bucket
			}
			a := post(t, i, to, tt.form(i))
			if a.Status != tt.status || a.Error.Code != tt.code || a.Error.EC != ec || a.Header.Get("x-oss-ec") != ec {
				t.Errorf("answer = %d %+v, want %d %s %s", a.Status, a.Error, tt.status, tt.code, ec)
			}
			if tt.message != "" && a.Error.Message != tt.message {
				t.Errorf("message = %q, want %q", a.Error.Message, tt.message)
			}
			if a.Error.RequestId == "" || a.Error.RequestId != a.Header.Get("x-oss-request-id") || a.Error.HostId == "" {
				t.Errorf("request id %q (header %q), host id %q", a.Error.RequestId, a.Header.Get("x-oss-request-id"), a.Error.HostId)
			}
		})
	}
}

// asking makes a request that is refused.
type asking func(t *testing.T) answer

// The ECs that take more than a form: temporary keys, signed URLs, configurations.
func TestECsOfOtherRequests(t *testing.T) {
	now := time.Now()
	clock := now
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket), emulatortest.WithClock(func() time.Time { return clock }))
	c := client(i, adminKey(i))
	session := assumeRole(t, i, "uploader", `{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*","Resource":"*"}]}`)
	tests := map[string]asking{
		"0002-00000003": func(t *testing.T) answer {
			t.Helper()
			return post(t, i, bucket, v4Form(key{id: session.id, secret: session.secret}, now, bucket, "k", nil))
		},
		"0002-00000006": func(t *testing.T) answer {
			t.Helper()
			return post(t, i, bucket, v4Form(key{session.id, session.secret, "CAISother"}, now, bucket, "k", nil))
		},
		"0002-00000007": func(t *testing.T) answer {
			t.Helper()
			clock = now.Add(2 * time.Hour)
			defer func() { clock = now }()
			return post(t, i, bucket, v4Form(session, clock, bucket, "k", nil))
		},
		"0002-00000232": func(t *testing.T) answer {
			t.Helper()
			p, err := c.Presign(t.Context(), &sdk.GetObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("k")}, sdk.PresignExpires(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			// The SDK counts whole seconds from when it signs, which may be one fewer.
			return get(t, regexp.MustCompile(`x-oss-expires=\d+`).ReplaceAllString(p.URL, "x-oss-expires=604801"))
		},
		"0007-00000027": func(t *testing.T) answer {
			t.Helper()
			cb := callbackParam(map[string]any{"callbackUrl": "http://x.example", "callbackBody": "a=b"})
			return sdkError(t, func() error {
				_, err := c.PutObject(t.Context(), &sdk.PutObjectRequest{
					Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("k"), Callback: &cb, RequestCommon: sdk.RequestCommon{Parameters: map[string]string{"callback": cb}},
				})
				return err
			})
		},
		"0034-00000001": func(t *testing.T) answer {
			t.Helper()
			return sdkError(t, func() error {
				_, err := c.GetBucketCors(t.Context(), &sdk.GetBucketCorsRequest{Bucket: sdk.Ptr(bucket)})
				return err
			})
		},
		"0034-00000002": func(t *testing.T) answer {
			t.Helper()
			return putCORS(t, c)
		},
		"0034-00000011": func(t *testing.T) answer {
			t.Helper()
			return putCORS(t, c, sdk.CORSRule{AllowedOrigins: []string{"*"}, AllowedMethods: []string{"PATCH"}})
		},
		"0014-00000014": func(t *testing.T) answer {
			t.Helper()
			var rules []sdk.LifecycleRule
			for n := range 1001 {
				rules = append(rules, sdk.LifecycleRule{
					ID: sdk.Ptr(fmt.Sprint(n)), Prefix: sdk.Ptr(fmt.Sprint(n, "/")), Status: sdk.Ptr("Enabled"),
					Expiration: &sdk.LifecycleRuleExpiration{Days: sdk.Ptr(int32(1))},
				})
			}
			return sdkError(t, func() error {
				_, err := c.PutBucketLifecycle(t.Context(), &sdk.PutBucketLifecycleRequest{
					Bucket: sdk.Ptr(bucket), LifecycleConfiguration: &sdk.LifecycleConfiguration{Rules: rules},
				})
				return err
			})
		},
		"0002-00000503": func(t *testing.T) answer {
			t.Helper()
			return request(t, http.MethodGet, i.OSSURL+"/"+bucket, map[string]string{"Authorization": "OSS " + i.AccessKeyID + ":c2ln"})
		},
		"0002-00000505": func(t *testing.T) answer {
			t.Helper()
			return request(t, http.MethodGet, i.OSSURL+"/"+bucket, map[string]string{"Authorization": "OSS " + i.AccessKeyID + ":c2ln", "Date": "yesterday"})
		},
		"0002-00000206": func(t *testing.T) answer {
			t.Helper()
			return request(t, http.MethodGet, i.OSSURL+"/"+bucket, map[string]string{
				"Authorization": "OSS4-HMAC-SHA256 Credential=/20260101/cn-hangzhou/oss/aliyun_v4_request,Signature=00", "x-oss-date": "20260101T000000Z",
			})
		},
		"0002-00000213": func(t *testing.T) answer {
			t.Helper()
			return request(t, http.MethodGet, i.OSSURL+"/"+bucket, map[string]string{
				"Authorization": "OSS4-HMAC-SHA256 Credential=ak/20260101/cn-hangzhou/oss/abc, Signature=00", "x-oss-date": "20260101T000000Z",
			})
		},
		"0026-00000001": func(t *testing.T) answer {
			t.Helper()
			return sdkError(t, func() error {
				_, err := c.GetObject(t.Context(), &sdk.GetObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("nothing")})
				return err
			})
		},
		"0026-00000002": func(t *testing.T) answer {
			t.Helper()
			put := func() error {
				_, err := c.PutObject(t.Context(), &sdk.PutObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("once"), ForbidOverwrite: sdk.Ptr("true")})
				return err
			}
			if err := put(); err != nil {
				t.Fatal(err)
			}
			return sdkError(t, put)
		},
		"0002-00000504": func(t *testing.T) answer {
			t.Helper()
			clock = now.Add(20 * time.Minute)
			defer func() { clock = now }()
			return sdkError(t, func() error {
				_, err := client(i, adminKey(i)).GetBucketInfo(t.Context(), &sdk.GetBucketInfoRequest{Bucket: sdk.Ptr(bucket)})
				return err
			})
		},
		"0002-00000040": func(t *testing.T) answer {
			t.Helper()
			return sdkError(t, func() error {
				_, err := client(i, key{id: i.AccessKeyID, secret: "wrong"}).GetBucketInfo(t.Context(), &sdk.GetBucketInfoRequest{Bucket: sdk.Ptr(bucket)})
				return err
			})
		},
	}
	for ec, ask := range tests {
		t.Run(ec, func(t *testing.T) {
			if a := ask(t); a.Status < 400 || a.Error.EC != ec {
				t.Errorf("answer = %d %+v, want %s", a.Status, a.Error, ec)
			}
		})
	}
}

func putCORS(t *testing.T, c *sdk.Client, rules ...sdk.CORSRule) answer {
	t.Helper()
	return sdkError(t, func() error {
		_, err := c.PutBucketCors(t.Context(), &sdk.PutBucketCorsRequest{
			Bucket: sdk.Ptr(bucket), CORSConfiguration: &sdk.CORSConfiguration{CORSRules: rules},
		})
		return err
	})
}

// sdkError turns an error of the SDK into an answer.
func sdkError(t *testing.T, call func() error) answer {
	t.Helper()
	var e *sdk.ServiceError
	if err := call(); !asServiceError(err, &e) {
		t.Fatalf("error = %v, want one of the service", err)
	}
	return answer{Status: e.StatusCode, Header: e.Headers, Error: ossError{Code: e.Code, Message: e.Message, EC: e.EC, RequestId: e.RequestID}}
}

func get(t *testing.T, address string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}
