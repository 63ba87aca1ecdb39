package admin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	acscredentials "github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"

	"github.com/uploadtenant/uploadtenant/emulator"
	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
	"github.com/uploadtenant/uploadtenant/emulator/faults"
	"github.com/uploadtenant/uploadtenant/emulator/requestlog"
	"github.com/uploadtenant/uploadtenant/test/await"
)

type fixture struct {
	*emulatortest.Instance
	t   *testing.T
	oss *oss.Client
	sts *sts.Client
}

func start(t *testing.T) *fixture {
	t.Helper()
	i := emulatortest.Start(t, emulatortest.WithBuckets("album"))
	c := oss.NewClient(oss.LoadDefaultConfig().WithRegion(i.Region).WithEndpoint(i.OSSURL).WithUsePathStyle(true).WithRetryMaxAttempts(1).
		WithConnectTimeout(await.Patience).WithReadWriteTimeout(await.Patience).
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(i.AccessKeyID, i.AccessKeySecret)))
	s, err := sts.NewClientWithOptions(i.Region, sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false).WithTimeout(await.Patience),
		acscredentials.NewAccessKeyCredential(i.AccessKeyID, i.AccessKeySecret))
	if err != nil {
		t.Fatal(err)
	}
	s.Domain = strings.TrimPrefix(i.APIURL, "http://")
	return &fixture{i, t, c, s}
}

func (f *fixture) put(key string) error {
	_, err := f.oss.PutObject(f.t.Context(), &oss.PutObjectRequest{Bucket: oss.Ptr("album"), Key: oss.Ptr(key), Body: strings.NewReader("content of " + key)})
	return err
}

func (f *fixture) admin(method, path, body string, into any) {
	f.t.Helper()
	req, err := http.NewRequest(method, f.OSSURL+"/_emulator/"+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		f.t.Fatalf("%s %s: %s %s", method, path, resp.Status, raw)
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			f.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
}

func (f *fixture) faults(body string) { f.t.Helper(); f.admin("PUT", "faults", body, nil) }

func (f *fixture) requests(query string) []requestlog.Entry {
	f.t.Helper()
	var out struct{ Items []requestlog.Entry }
	f.admin("GET", "requests?"+query, "", &out)
	return out.Items
}

func TestInjectedErrorsReachBothHalves(t *testing.T) {
	f := start(t)
	f.faults(`{"errorRate":1,"errorCode":"ServiceUnavailable","operations":["PutObject","GetCallerIdentity"]}`)
	var server *oss.ServiceError
	if err := f.put("a"); err == nil || !errors.As(err, &server) || server.StatusCode != http.StatusServiceUnavailable || server.Code != "ServiceUnavailable" {
		t.Errorf("PutObject: %v", err)
	}
	if _, err := f.sts.GetCallerIdentity(sts.CreateGetCallerIdentityRequest()); err == nil || !strings.Contains(err.Error(), "ServiceUnavailable") {
		t.Errorf("GetCallerIdentity: %v", err)
	}
	if _, err := f.oss.ListObjectsV2(t.Context(), &oss.ListObjectsV2Request{Bucket: oss.Ptr("album")}); err != nil {
		t.Errorf("ListObjectsV2 is not named, but: %v", err)
	}
	f.admin("DELETE", "faults", "", nil)
	if err := f.put("a"); err != nil {
		t.Errorf("after DELETE: %v", err)
	}
	got := f.requests("operation=PutObject")
	if len(got) != 2 || got[0].Code != "ServiceUnavailable" || got[0].Status != 503 || got[1].Status != 200 ||
		got[1].Bucket != "album" || got[1].Key != "a" || got[1].Caller != "acs:ram::1234567890123456:user/admin" || got[1].RequestID == "" {
		t.Errorf("the log holds %+v", got)
	}
	if got := f.requests("operation=GetCallerIdentity"); len(got) != 1 || got[0].Service != "api" || got[0].Code != "ServiceUnavailable" {
		t.Errorf("the log holds %+v", got)
	}
}

func TestLostAnswerLeavesTheObjectAndLostRequestDoesNot(t *testing.T) {
	f := start(t)
	f.faults(`{"responseDrop":1,"operations":["PutObject"]}`)
	if err := f.put("answer-lost"); err == nil {
		t.Error("the answer arrived")
	}
	f.faults(`{"requestDrop":1,"operations":["PutObject"]}`)
	if err := f.put("request-lost"); err == nil {
		t.Error("the request got through")
	}
	f.admin("DELETE", "faults", "", nil)
	page, err := f.oss.ListObjectsV2(t.Context(), &oss.ListObjectsV2Request{Bucket: oss.Ptr("album")})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, o := range page.Contents {
		keys = append(keys, *o.Key)
	}
	if got := strings.Join(keys, " "); got != "answer-lost" {
		t.Errorf("the bucket holds %q", got)
	}
}

func TestNewObjectsAppearLateInLists(t *testing.T) {
	f := start(t)
	f.faults(`{"listDelayMs":60000}`)
	if err := f.put("a"); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		page, err := f.oss.ListObjectsV2(t.Context(), &oss.ListObjectsV2Request{Bucket: oss.Ptr("album")})
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Contents)
	}
	if n := count(); n != 0 {
		t.Errorf("%d objects at once", n)
	}
	if _, err := f.oss.HeadObject(t.Context(), &oss.HeadObjectRequest{Bucket: oss.Ptr("album"), Key: oss.Ptr("a")}); err != nil {
		t.Errorf("HEAD is not a list: %v", err)
	}
	f.admin("DELETE", "faults", "", nil)
	if n := count(); n != 1 {
		t.Errorf("%d objects after the fault", n)
	}
}

func TestClockOffsetAndExpiredTokens(t *testing.T) {
	f := start(t)
	f.faults(`{"clockOffsetMs":3600000}`)
	if _, err := f.sts.GetCallerIdentity(sts.CreateGetCallerIdentityRequest()); err == nil || !strings.Contains(err.Error(), "InvalidTimeStamp.Expired") {
		t.Errorf("an hour ahead: %v", err)
	}
	f.admin("DELETE", "faults", "", nil)
	create := requests.NewCommonRequest()
	create.Method, create.Scheme, create.Domain, create.Version, create.ApiName = "POST", "HTTP", f.sts.Domain, "2015-05-01", "CreateRole"
	create.QueryParams["RoleName"] = "r"
	create.QueryParams["AssumeRolePolicyDocument"] = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::1234567890123456:root"}}]}`
	if _, err := f.sts.ProcessCommonRequest(create); err != nil {
		t.Fatal(err)
	}
	assume := sts.CreateAssumeRoleRequest()
	assume.RoleArn, assume.RoleSessionName = "acs:ram::1234567890123456:role/r", "alice"
	resp, err := f.sts.AssumeRole(assume)
	if err != nil {
		t.Fatal(err)
	}
	session, err := sts.NewClientWithOptions(f.Region, sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false).WithTimeout(await.Patience),
		acscredentials.NewStsTokenCredential(resp.Credentials.AccessKeyId, resp.Credentials.AccessKeySecret, resp.Credentials.SecurityToken))
	if err != nil {
		t.Fatal(err)
	}
	session.Domain = f.sts.Domain
	if _, err := session.GetCallerIdentity(sts.CreateGetCallerIdentityRequest()); err != nil {
		t.Fatal(err)
	}
	f.faults(`{"expireTokens":true}`)
	if _, err := session.GetCallerIdentity(sts.CreateGetCallerIdentityRequest()); err == nil || !strings.Contains(err.Error(), "InvalidSecurityToken.Expired") {
		t.Errorf("a token that was ended: %v", err)
	}
}

func TestLatencyOfOneOperation(t *testing.T) {
	f := start(t)
	f.faults(`{"latencyByOperation":{"PutObject":150}}`)
	begin := time.Now()
	if err := f.put("a"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 150*time.Millisecond {
		t.Errorf("took %s", took)
	}
	if got := f.requests("operation=PutObject"); len(got) != 1 || got[0].DurationMs < 150 {
		t.Errorf("the log holds %+v", got)
	}
}

func TestWeChatIsOnTheAPIAddress(t *testing.T) {
	f := start(t)
	resp, err := http.Get(f.APIURL + "/sns/jscode2session?appid=wx1&secret=s&js_code=emu:oAlice:1&grant_type=authorization_code")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if !bytes.Contains(body, []byte(`"openid":"oAlice"`)) {
		t.Errorf("answered %s", body)
	}
	if got := f.requests("service=wechat"); len(got) != 1 || got[0].Operation != "code2Session" {
		t.Errorf("the log holds %+v", got)
	}
}

func TestContentIsServedAsImageOrDownloadOnly(t *testing.T) {
	f := start(t)
	for key, contentType := range map[string]string{"a.png": "image/png", "a.html": "text/html", "a.svg": "image/svg+xml"} {
		if _, err := f.oss.PutObject(t.Context(), &oss.PutObjectRequest{Bucket: oss.Ptr("album"), Key: oss.Ptr(key),
			ContentType: oss.Ptr(contentType), Body: strings.NewReader("<script>1</script>")}); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]string{"a.png": "image/png inline", "a.html": "application/octet-stream attachment", "a.svg": "application/octet-stream attachment"} {
		resp, err := http.Get(f.OSSURL + "/_emulator/api/content?bucket=album&key=" + key)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := fmt.Sprint(resp.Header.Get("Content-Type"), " ", resp.Header.Get("Content-Disposition")); got != want {
			t.Errorf("%s is served as %q, want %q", key, got, want)
		}
	}
}

func TestFaultsOfTheCommandLineAreInForceFromTheStart(t *testing.T) {
	i := emulatortest.Start(t, emulatortest.WithOptions(func(o *emulator.Options) {
		o.Faults = &faults.Config{ErrorRate: 1, Operations: []string{"ListBuckets"}}
	}))
	resp, err := http.Get(i.OSSURL + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %s", resp.Status)
	}
}

// TestDisabledKeyOpensNothing covers the seam between the halves: RAM switches a key off, OSS must refuse it.
func TestDisabledKeyOpensNothing(t *testing.T) {
	f := start(t)
	call := func(action string, params map[string]string) []byte {
		t.Helper()
		req := requests.NewCommonRequest()
		req.Method, req.Scheme, req.Domain, req.Version, req.ApiName = http.MethodPost, "HTTP", f.sts.Domain, "2015-05-01", action
		for k, v := range params {
			req.QueryParams[k] = v
		}
		resp, err := f.sts.ProcessCommonRequest(req)
		if err != nil {
			t.Fatalf("%s: %v", action, err)
		}
		return resp.GetHttpContentBytes()
	}
	call("CreateUser", map[string]string{"UserName": "bob"})
	call("AttachPolicyToUser", map[string]string{"UserName": "bob", "PolicyType": "System", "PolicyName": "AliyunOSSFullAccess"})
	var made struct {
		AccessKey struct{ AccessKeyId, AccessKeySecret string }
	}
	if err := json.Unmarshal(call("CreateAccessKey", map[string]string{"UserName": "bob"}), &made); err != nil {
		t.Fatal(err)
	}
	bob := oss.NewClient(oss.LoadDefaultConfig().WithRegion(f.Region).WithEndpoint(f.OSSURL).WithUsePathStyle(true).WithRetryMaxAttempts(1).
		WithConnectTimeout(await.Patience).WithReadWriteTimeout(await.Patience).
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(made.AccessKey.AccessKeyId, made.AccessKey.AccessKeySecret)))
	list := func() error {
		_, err := bob.ListObjectsV2(t.Context(), &oss.ListObjectsV2Request{Bucket: oss.Ptr("album")})
		return err
	}
	if err := list(); err != nil {
		t.Fatal(err)
	}
	presigned, err := bob.Presign(t.Context(), &oss.GetObjectRequest{Bucket: oss.Ptr("album"), Key: oss.Ptr("a")})
	if err != nil {
		t.Fatal(err)
	}
	call("UpdateAccessKey", map[string]string{"UserName": "bob", "UserAccessKeyId": made.AccessKey.AccessKeyId, "Status": "Inactive"})
	var refused *oss.ServiceError
	if err := list(); !errors.As(err, &refused) || refused.Code != "InvalidAccessKeyId" || refused.EC != "0002-00000903" {
		t.Errorf("a disabled key: %v", err)
	}
	resp, err := http.Get(presigned.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a URL signed with a disabled key: %s", resp.Status)
	}
	call("DeleteAccessKey", map[string]string{"UserName": "bob", "UserAccessKeyId": made.AccessKey.AccessKeyId})
	if err := list(); !errors.As(err, &refused) || refused.EC != "0002-00000902" {
		t.Errorf("a deleted key: %v", err)
	}
}
