package oss_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
)

func asServiceError(err error, e **sdk.ServiceError) bool { return errors.As(err, e) }

// rpc calls RAM or STS as the admin and decodes the answer.
func rpc(t *testing.T, i *emulatortest.Instance, version, action string, params map[string]string, out any) {
	t.Helper()
	var nonce [16]byte
	rand.Read(nonce[:])
	v := url.Values{
		"Version": {version}, "Action": {action}, "Format": {"JSON"}, "SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"},
		"SignatureNonce": {hex.EncodeToString(nonce[:])}, "AccessKeyId": {i.AccessKeyID},
		"Timestamp": {time.Now().UTC().Format("2006-01-02T15:04:05Z")},
	}
	for name, value := range params {
		v.Set(name, value)
	}
	encode := func(s string) string {
		return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
	}
	h := hmac.New(sha1.New, []byte(i.AccessKeySecret+"&"))
	io.WriteString(h, "GET&%2F&"+encode(strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(v.Encode())))
	v.Set("Signature", base64.StdEncoding.EncodeToString(h.Sum(nil)))
	req, err := http.NewRequest(http.MethodGet, i.APIURL+"/?"+v.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := do(t, req)
	if a.Status != http.StatusOK {
		t.Fatalf("%s: %d %s", action, a.Status, a.Body)
	}
	if out != nil {
		if err := json.Unmarshal([]byte(a.Body), out); err != nil {
			t.Fatal(err)
		}
	}
}

// assumeRole makes a role with one policy and a session of it.
func assumeRole(t *testing.T, i *emulatortest.Instance, role, policy string) key {
	t.Helper()
	const ram, sts = "2015-05-01", "2015-04-01"
	trust := `{"Version":"1","Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"RAM":["acs:ram::` + i.AccountID + `:root"]}}]}`
	rpc(t, i, ram, "CreateRole", map[string]string{"RoleName": role, "AssumeRolePolicyDocument": trust}, nil)
	rpc(t, i, ram, "CreatePolicy", map[string]string{"PolicyName": role, "PolicyDocument": policy}, nil)
	rpc(t, i, ram, "AttachPolicyToRole", map[string]string{"RoleName": role, "PolicyName": role, "PolicyType": "Custom"}, nil)
	var out struct {
		Credentials struct{ AccessKeyId, AccessKeySecret, SecurityToken string }
	}
	rpc(t, i, sts, "AssumeRole", map[string]string{
		"RoleArn": "acs:ram::" + i.AccountID + ":role/" + role, "RoleSessionName": "test-session",
	}, &out)
	return key{out.Credentials.AccessKeyId, out.Credentials.AccessKeySecret, out.Credentials.SecurityToken}
}

func TestRightsOfARole(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithBuckets(bucket))
	k := assumeRole(t, i, "uploader", `{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:PutObject","Resource":"acs:oss:*:*:`+bucket+`/album/*"}]}`)
	c := client(i, k)
	for name, tt := range map[string]struct {
		key  string
		want int
	}{
		"below the prefix": {"album/a.jpg", 204},
		"elsewhere":        {"secret/a.jpg", 403},
		"next to it":       {"album2/a.jpg", 403},
	} {
		t.Run(name, func(t *testing.T) {
			a := post(t, i, bucket, v4Form(k, time.Now(), bucket, tt.key, []byte("x")))
			if a.Status != tt.want || tt.want == 403 && a.Error.Code != "AccessDenied" {
				t.Errorf("PostObject %s: %d %+v, want %d", tt.key, a.Status, a.Error, tt.want)
			}
			_, err := c.PutObject(t.Context(), &sdk.PutObjectRequest{Bucket: sdk.Ptr(bucket), Key: &tt.key, Body: strings.NewReader("x")})
			if (err == nil) != (tt.want == 204) {
				t.Errorf("PutObject %s: %v", tt.key, err)
			}
		})
	}
	for name, call := range map[string]func() error{
		"GetObject": func() error {
			_, err := c.GetObject(t.Context(), &sdk.GetObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("album/a.jpg")})
			return err
		},
		"DeleteObject": func() error {
			_, err := c.DeleteObject(t.Context(), &sdk.DeleteObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("album/a.jpg")})
			return err
		},
		"ListObjectsV2": func() error {
			_, err := c.ListObjectsV2(t.Context(), &sdk.ListObjectsV2Request{Bucket: sdk.Ptr(bucket)})
			return err
		},
		"GetBucketInfo": func() error {
			_, err := c.GetBucketInfo(t.Context(), &sdk.GetBucketInfoRequest{Bucket: sdk.Ptr(bucket)})
			return err
		},
		"PutBucket": func() error {
			_, err := c.PutBucket(t.Context(), &sdk.PutBucketRequest{Bucket: sdk.Ptr("another-bucket")})
			return err
		},
		"ListBuckets": func() error { _, err := c.ListBuckets(t.Context(), nil); return err },
		"PutObjectTagging": func() error {
			_, err := c.PutObject(t.Context(), &sdk.PutObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("album/b"), Tagging: sdk.Ptr("a=b")})
			return err
		},
		"CopyObject from elsewhere": func() error {
			_, err := c.CopyObject(t.Context(), &sdk.CopyObjectRequest{Bucket: sdk.Ptr(bucket), Key: sdk.Ptr("album/c"), SourceKey: sdk.Ptr("album/a.jpg")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if a := sdkError(t, call); a.Status != 403 || a.Error.Code != "AccessDenied" {
				t.Errorf("%d %+v, want AccessDenied", a.Status, a.Error)
			}
		})
	}
}

func TestSignedURLOfATemporaryKey(t *testing.T) {
	for name, version := range map[string]sdk.SignatureVersionType{"V1": sdk.SignatureVersionV1, "V4": sdk.SignatureVersionV4} {
		t.Run(name, func(t *testing.T) {
			clock := &movable{}
			i := emulatortest.Start(t, emulatortest.WithBuckets(bucket), emulatortest.WithClock(clock.now))
			k := assumeRole(t, i, "reader", `{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:GetObject","Resource":"acs:oss:*:*:`+bucket+`/open/*"}]}`)
			putObject(t, client(i, adminKey(i)), "open/k", "x")
			putObject(t, client(i, adminKey(i)), "closed/k", "x")
			c := client(i, k, func(c *sdk.Config) { c.WithSignatureVersion(version) })
			open := presign(t, c, "open/k", 6*time.Hour)
			if a := get(t, open); a.Status != 200 || a.Body != "x" {
				t.Errorf("below the prefix: %d %s", a.Status, a.Body)
			}
			if a := get(t, presign(t, c, "closed/k", time.Hour)); a.Error.Code != "AccessDenied" {
				t.Errorf("elsewhere: %d %+v", a.Status, a.Error)
			}
			if a := get(t, strings.Replace(open, url.QueryEscape(k.token), "CAISother", 1)); a.Error.Code != "InvalidSecurityToken" {
				t.Errorf("other token: %d %+v", a.Status, a.Error)
			}
			clock.advance(2 * time.Hour) // the session lasts one
			if a := get(t, open); a.Error.Code != "SecurityTokenExpired" {
				t.Errorf("after the session: %d %+v", a.Status, a.Error)
			}
		})
	}
}
