package aliyun_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uploadtenant/uploadtenant/cloud"
	"github.com/uploadtenant/uploadtenant/cloud/aliyun"
	"github.com/uploadtenant/uploadtenant/cloud/cloudtest"
	"github.com/uploadtenant/uploadtenant/emulator/emulatortest"
	"github.com/uploadtenant/uploadtenant/test/await"
)

func emulated(e *emulatortest.Instance) cloud.Account {
	return cloud.Account{
		ID: e.AccountID, Region: e.Region,
		Endpoints:   cloud.Endpoints{OSS: e.OSSURL, RAM: e.APIURL, STS: e.APIURL},
		Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: e.AccessKeyID, AccessKeySecret: e.AccessKeySecret}},
	}
}

func open(t *testing.T, account cloud.Account) cloud.Services {
	t.Helper()
	services, err := aliyun.NewOpener(aliyun.Options{CallTimeout: await.Patience}).Open(account)
	if err != nil {
		t.Fatal(err)
	}
	return services
}

// TestSDKsConform runs the same suite as the in-memory fake, over the real SDKs and wire protocols.
func TestSDKsConform(t *testing.T) {
	e := emulatortest.Start(t)
	cloudtest.Conform(t, open(t, emulated(e)), e.AccountID)
}

func TestServicesMayBeUsedInParallel(t *testing.T) {
	e := emulatortest.Start(t)
	s := open(t, emulated(e))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := fmt.Sprintf("ut-parallel-%d", i)
			err := errors.Join(
				s.Buckets.Create(t.Context(), name, ""),
				s.Policies.Create(t.Context(), cloud.Policy{Name: name, Document: `{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:GetObject","Resource":"*"}]}`}),
			)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestWrongKeysAreDenied(t *testing.T) {
	// A bucket that does not exist is told to strangers as well, so the one that is asked for must exist.
	e := emulatortest.Start(t, emulatortest.WithBuckets("some-bucket"))
	tests := map[string]cloud.StaticCredentials{
		"unknown key":  {AccessKeyID: "LTAI-nobody", AccessKeySecret: "x"},
		"wrong secret": {AccessKeyID: e.AccessKeyID, AccessKeySecret: "x"},
	}
	for name, credentials := range tests {
		t.Run(name, func(t *testing.T) {
			account := emulated(e)
			account.Credentials.Static = &credentials
			s := open(t, account)
			_, identityErr := s.Identity.Caller(t.Context())
			_, _, bucketErr := s.Buckets.Observe(t.Context(), "some-bucket")
			_, _, roleErr := s.Roles.Observe(t.Context(), "ut-some")
			for _, err := range []error{identityErr, bucketErr, roleErr} {
				if cloud.ClassOf(err) != cloud.Denied {
					t.Errorf("class of %v is %s, want Denied", err, cloud.ClassOf(err))
				}
				if err != nil && !strings.Contains(err.Error(), "correct its credentials") {
					t.Errorf("message %q does not say what to do", err)
				}
			}
		})
	}
}

// answering serves one fixed answer with a new request id each time.
func answering(t *testing.T, status int, contentType, body string) string {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("x-oss-request-id", fmt.Sprint("REQUEST-", n))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "$ID", fmt.Sprint("REQUEST-", n)))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestErrorsAreClassifiedByCodeAndReadTheSame(t *testing.T) {
	rpc := func(code string) string {
		return `{"RequestId":"$ID","HostId":"ram","Code":"` + code + `","Message":"said at $ID"}`
	}
	xml := func(code string) string {
		return `<?xml version="1.0"?><Error><Code>` + code + `</Code><Message>said at $ID</Message><RequestId>$ID</RequestId><EC>0</EC></Error>`
	}
	tests := map[string]struct {
		status int
		oss    bool
		code   string
		want   cloud.Class
	}{
		"throttled by user":       {400, false, "Throttling.User", cloud.Throttled},
		"throttled by status":     {429, false, "SomethingNew", cloud.Throttled},
		"no permission":           {403, false, "NoPermission", cloud.Denied},
		"role quota":              {409, false, "LimitExceeded.Role", cloud.Quota},
		"malformed policy":        {400, false, "MalformedPolicyDocument", cloud.Invalid},
		"lagging read":            {409, false, "DeleteConflict.Role.Policy", cloud.Retryable},
		"server error":            {500, false, "InternalError", cloud.Retryable},
		"unknown client error":    {400, false, "SomethingNew", cloud.Invalid},
		"unknown gateway error":   {502, false, "SomethingNew", cloud.Retryable},
		"bucket of somebody else": {409, true, "BucketAlreadyExists", cloud.Conflict},
		"too many buckets":        {400, true, "TooManyBuckets", cloud.Quota},
		"access denied":           {403, true, "AccessDenied", cloud.Denied},
		"oss is down":             {503, true, "ServiceUnavailable", cloud.Retryable},
		"oss limits":              {503, true, "QpsLimitExceeded", cloud.Throttled},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			call := func(s cloud.Services) error { return s.Roles.Create(t.Context(), cloud.Role{Name: "r"}) }
			url := answering(t, tc.status, "application/json", rpc(tc.code))
			if tc.oss {
				call = func(s cloud.Services) error { return s.Buckets.Create(t.Context(), "some-bucket", "") }
				url = answering(t, tc.status, "application/xml", xml(tc.code))
			}
			s := open(t, cloud.Account{
				ID: "1", Region: "cn-hangzhou", Endpoints: cloud.Endpoints{OSS: url, RAM: url, STS: url},
				Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: "id", AccessKeySecret: "secret"}},
			})
			first, second := call(s), call(s)
			if got := cloud.ClassOf(first); got != tc.want {
				t.Errorf("class = %s, want %s: %v", got, tc.want, first)
			}
			if first.Error() != second.Error() {
				t.Errorf("the same failure reads %q and %q", first, second)
			}
			var classified *cloud.Error
			if !errors.As(first, &classified) || classified.RequestID == "" {
				t.Errorf("no request id for the log: %+v", classified)
			}
			for _, unwanted := range []string{"REQUEST-", "said at", "Signature", "http"} {
				if strings.Contains(first.Error(), unwanted) {
					t.Errorf("message %q holds %q", first, unwanted)
				}
			}
		})
	}
}

func TestUnreachableServices(t *testing.T) {
	const closed = "http://127.0.0.1:1" // a free port of the upper range may be anybody's by now
	s := open(t, cloud.Account{
		ID: "1", Region: "cn-hangzhou", Endpoints: cloud.Endpoints{OSS: closed, RAM: closed, STS: closed},
		Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: "id", AccessKeySecret: "secret"}},
	})
	_, _, bucketErr := s.Buckets.Observe(t.Context(), "some-bucket")
	_, _, roleErr := s.Roles.Observe(t.Context(), "r")
	for _, err := range []error{bucketErr, roleErr} {
		if cloud.ClassOf(err) != cloud.Retryable || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("err = %v, class %s", err, cloud.ClassOf(err))
		}
	}
}

// TestCallsEndWithTheirContext although the RPC SDK knows no contexts.
func TestCallsEndWithTheirContext(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	defer close(release)
	opener := aliyun.NewOpener(aliyun.Options{CallTimeout: 50 * time.Millisecond})
	s, err := opener.Open(cloud.Account{
		ID: "1", Region: "cn-hangzhou", Endpoints: cloud.Endpoints{OSS: hanging.URL, RAM: hanging.URL, STS: hanging.URL},
		Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: "id", AccessKeySecret: "secret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _, roleErr := s.Roles.Observe(t.Context(), "r")
	_, _, bucketErr := s.Buckets.Observe(t.Context(), "some-bucket")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, cancelledErr := s.Roles.Observe(cancelled, "r")
	for _, err := range []error{roleErr, bucketErr, cancelledErr} {
		if cloud.ClassOf(err) != cloud.Retryable {
			t.Errorf("err = %v", err)
		}
	}
}

func TestProductionSpeaksHTTPS(t *testing.T) {
	var urls []string
	recorder := roundTripper(func(r *http.Request) (*http.Response, error) {
		urls = append(urls, r.URL.Scheme+"://"+r.URL.Host)
		return nil, errors.New("recorded")
	})
	s, err := aliyun.NewOpener(aliyun.Options{Transport: recorder}).Open(cloud.Account{
		ID: "1", Region: "cn-hangzhou",
		Credentials: cloud.Credentials{Static: &cloud.StaticCredentials{AccessKeyID: "id", AccessKeySecret: "secret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Identity.Caller(t.Context())
	_, _, _ = s.Roles.Observe(t.Context(), "r")
	_, _, _ = s.Buckets.Observe(t.Context(), "some-bucket")
	want := "https://sts.cn-hangzhou.aliyuncs.com https://ram.aliyuncs.com https://some-bucket.oss-cn-hangzhou.aliyuncs.com"
	if got := strings.Join(urls, " "); got != want {
		t.Errorf("calls went to %s, want %s", got, want)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
