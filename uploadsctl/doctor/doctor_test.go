package doctor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/utils/ptr"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

// expect fails unless a finding has the level and its text holds every part; what is wrong needs a remedy.
func expect(t *testing.T, f Finding, level Level, parts ...string) {
	t.Helper()
	text := f.Subject + ": " + f.Message + " -> " + f.Remedy
	if f.Level != level {
		t.Errorf("%s is %s, want %s", text, f.Level, level)
	}
	if f.Level == Fail && f.Remedy == "" {
		t.Errorf("%s has no remedy", text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in: %s", part, text)
		}
	}
}

func TestVersion(t *testing.T) {
	for minor, want := range map[string]Level{"29": Fail, "30": OK, "30+": OK, "36": OK, "x": Warn} {
		expect(t, checkVersion(version.Info{Major: "1", Minor: minor, GitVersion: "v1." + minor}), want, "v1."+minor)
	}
}

func TestClock(t *testing.T) {
	before := time.Date(2026, 3, 1, 12, 0, 0, 500e6, time.UTC)
	after := before.Add(200 * time.Millisecond)
	tests := map[string]struct {
		told time.Time
		want Level
		part string
	}{
		"the same second, cut":  {before.Truncate(time.Second), OK, ""},
		"within the request":    {before.Add(100 * time.Millisecond), OK, ""},
		"a little behind":       {before.Add(-3 * time.Second), OK, ""},
		"ten seconds ahead":     {after.Add(10 * time.Second), Warn, "10s"},
		"ten seconds behind":    {before.Add(-11 * time.Second), Warn, "10s"},
		"an hour ahead":         {after.Add(time.Hour), Fail, "1h0m0s"},
		"two minutes behind":    {before.Add(-121 * time.Second), Fail, "2m0s"},
		"just under the minute": {after.Add(59 * time.Second), Warn, "59s"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) { expect(t, checkClock(tc.told, before, after), tc.want, tc.part) })
	}
}

func TestCRD(t *testing.T) {
	wanted, err := embeddedCRDs()
	if err != nil || len(wanted) != 2 {
		t.Fatalf("%d CRDs, %v", len(wanted), err)
	}
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "customresourcedefinitions"}, "x")
	secret := apierrors.NewForbidden(schema.GroupResource{Resource: "customresourcedefinitions"}, "x", errors.New("no"))
	tests := map[string]struct {
		change func(*apiextensionsv1.CustomResourceDefinition)
		err    error
		want   Level
		part   string
	}{
		"the same":        {nil, nil, OK, "the same"},
		"missing":         {nil, gone, Fail, "install"},
		"may not be read": {nil, secret, Skip, "may not"},
		"not served": {func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Served = false },
			nil, Fail, "not served"},
		"another version": {func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Name = "v1" }, nil, Fail, "v1alpha1 is not served"},
		"another schema": {func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Versions[0].Schema.OpenAPIV3Schema.Description = "older"
		}, nil, Warn, "fields differ"},
		"not established": {func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{
				Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionFalse, Reason: "NotAccepted", Message: "names conflict",
			}}
		}, nil, Fail, "names conflict"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := wanted[0].DeepCopy()
			if tc.change != nil {
				tc.change(got)
			}
			expect(t, checkCRD(wanted[0], got, tc.err), tc.want, tc.part)
		})
	}
}

func deployment(name string, wanted, available int32) appsv1.Deployment {
	d := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "uploadtenant-system", Name: name}}
	d.Spec.Replicas = ptr.To(wanted)
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "manager", Image: "manager:v1"}}
	d.Status.AvailableReplicas = available
	return d
}

func TestManagers(t *testing.T) {
	tests := map[string]struct {
		managers []appsv1.Deployment
		want     []Level
		part     string
	}{
		"none":           {nil, []Level{Fail}, "install"},
		"at work":        {[]appsv1.Deployment{deployment("u", 1, 1)}, []Level{OK}, "manager:v1"},
		"one of two":     {[]appsv1.Deployment{deployment("u", 2, 1)}, []Level{Warn}, "1 of its 2"},
		"down":           {[]appsv1.Deployment{deployment("u", 1, 0)}, []Level{Fail}, "kubectl logs deployment/u -n uploadtenant-system"},
		"scaled to zero": {[]appsv1.Deployment{deployment("u", 0, 0)}, []Level{Fail}, "--replicas 1"},
		"two releases":   {[]appsv1.Deployment{deployment("u", 1, 1), deployment("v", 1, 1)}, []Level{OK, OK, Fail}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := checkManagers(tc.managers)
			if len(got) != len(tc.want) {
				t.Fatalf("%d findings, want %d: %+v", len(got), len(tc.want), got)
			}
			for i, f := range got {
				expect(t, f, tc.want[i], tc.part)
			}
		})
	}
}

func TestPod(t *testing.T) {
	waiting := func(reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Image: "signer:v1", RestartCount: 4, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	crashed := waiting("CrashLoopBackOff", "back-off")
	crashed.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
	tests := map[string]struct {
		conditions []corev1.PodCondition
		containers []corev1.ContainerStatus
		want       Level
		parts      []string
	}{
		"ready":         {[]corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}, nil, OK, nil},
		"unschedulable": {[]corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes: Insufficient cpu"}}, nil, Fail, []string{"Insufficient cpu"}},
		"no image":      {nil, []corev1.ContainerStatus{waiting("ImagePullBackOff", "not found")}, Fail, []string{"signer:v1", "not found", "registry"}},
		"crashes":       {nil, []corev1.ContainerStatus{crashed}, Fail, []string{"4 times", "137", "OOMKilled", "--previous"}},
		"no Secret":     {nil, []corev1.ContainerStatus{waiting("ContainerCreating", "secret not found")}, Fail, []string{"ContainerCreating", "kubectl describe pod p -n family"}},
		"not ready":     {nil, []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}, Fail, []string{"not ready"}},
		"ended":         {nil, []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error"}}}}, Fail, []string{"status 2"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "family"}, Status: corev1.PodStatus{Conditions: tc.conditions, ContainerStatuses: tc.containers}}
			expect(t, checkPod(p), tc.want, tc.parts...)
		})
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "family"}}
	expect(t, checkSignerState(pod, "no credentials: denied"), Fail, "registered in RAM", "no credentials: denied")
	expect(t, checkSignerState(pod, "index unavailable: timeout"), Fail, "database")
	expect(t, checkSignerState(pod, "draining"), Fail, "kubectl logs p -n family")
}

func account(change func(*v1alpha1.CloudAccount)) *v1alpha1.CloudAccount {
	a := &v1alpha1.CloudAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Generation: 2}}
	a.Spec.OIDC = &v1alpha1.AccountOIDC{Issuer: "https://issuer.example.com"}
	a.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAsDeclared, ObservedGeneration: 2}}
	if change != nil {
		change(a)
	}
	return a
}

func TestAccount(t *testing.T) {
	expect(t, checkAccount(account(nil)), OK)
	expect(t, checkAccount(account(func(a *v1alpha1.CloudAccount) { a.Generation = 3 })), Fail, "not looked")
	expect(t, checkAccount(account(func(a *v1alpha1.CloudAccount) { a.Status.Conditions = nil })), Fail, "not looked")
	expect(t, checkAccount(account(func(a *v1alpha1.CloudAccount) {
		a.Status.Conditions = append(a.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionOrphaned, Status: metav1.ConditionTrue, Message: "2 roles"})
	})), Warn, "2 roles", "kubectl uploads orphans")
	for reason := range accountRemedies {
		expect(t, checkAccount(account(func(a *v1alpha1.CloudAccount) {
			a.Status.Conditions[0].Status, a.Status.Conditions[0].Reason = metav1.ConditionFalse, reason
		})), Fail, reason)
	}
}

func TestIssuerMustBeThatOfTheCluster(t *testing.T) {
	expect(t, checkIssuer("i", account(nil), "https://issuer.example.com"), OK)
	expect(t, checkIssuer("i", account(nil), "https://other.example.com"), Fail, "no signer can assume", "set spec.oidc.issuer")
}

func TestAlibaba(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"": true, "https://oss-cn-hangzhou-internal.aliyuncs.com": true, "http://emulator.alibaba-cloud.svc:9000": false,
		"https://aliyuncs.com.evil.example": false, "https://oss-cn-hangzhou.aliyuncs.com": true, "https://notaliyuncs.com": false,
	} {
		a := account(func(a *v1alpha1.CloudAccount) { a.Spec.Endpoints.OSS = endpoint })
		if alibaba(a) != want {
			t.Errorf("alibaba(%q) = %t", endpoint, !want)
		}
	}
}

func TestTenantsThatAreNotReadyAreNamed(t *testing.T) {
	good := uploadsctl.Tenant{Namespace: "a", Name: "good", Ready: metav1.ConditionTrue}
	bad := uploadsctl.Tenant{Namespace: "a", Name: "bad", Ready: metav1.ConditionFalse, Reason: "SecretNotFound", Message: "there is none"}
	got := checkTenants([]uploadsctl.Tenant{good, bad})
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	expect(t, got[0], Fail, "a/bad", "SecretNotFound", "kubectl uploads doctor bad -n a")
	expect(t, checkTenants([]uploadsctl.Tenant{good})[0], OK, "1, all ready")
}

func TestConditions(t *testing.T) {
	failed := uploadsctl.Condition{Type: v1alpha1.ConditionAccessReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonPermissionDenied, Message: "no", Remedy: "grant it"}
	stalled := uploadsctl.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonPermissionDenied, Message: "no"}
	tests := map[string]struct {
		tenant uploadsctl.Tenant
		want   Level
		parts  []string
	}{
		"ready":        {uploadsctl.Tenant{Ready: metav1.ConditionTrue, Message: "takes uploads"}, OK, []string{"takes uploads"}},
		"paused":       {uploadsctl.Tenant{Ready: metav1.ConditionTrue, ManagementPolicy: v1alpha1.ManagementPaused, Reason: "PausedByTenant"}, Warn, []string{"PausedByTenant"}},
		"a part":       {uploadsctl.Tenant{Ready: metav1.ConditionFalse, Conditions: []uploadsctl.Condition{failed, stalled}}, Fail, []string{"AccessReady", "grant it"}},
		"nobody looks": {uploadsctl.Tenant{Ready: metav1.ConditionUnknown, Reason: "NotObserved", Remedy: "wait"}, Fail, []string{"NotObserved"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := checkConditions(tc.tenant)
			if len(got) != 1 {
				t.Fatalf("%+v", got)
			}
			expect(t, got[0], tc.want, tc.parts...)
		})
	}
}

func TestEndpoints(t *testing.T) {
	slice := func(ready ...*bool) discoveryv1.EndpointSlice {
		var s discoveryv1.EndpointSlice
		for _, r := range ready {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: r}})
		}
		return s
	}
	expect(t, checkEndpoints("album-signer", "family", nil), Fail, "no ready endpoint", "kubectl get endpointslices -n family")
	expect(t, checkEndpoints("album-signer", "family", []discoveryv1.EndpointSlice{slice(ptr.To(false))}), Fail)
	expect(t, checkEndpoints("album-signer", "family", []discoveryv1.EndpointSlice{slice(ptr.To(true), ptr.To(false))}), OK, "1 ready endpoint")
	expect(t, checkEndpoints("album-signer", "family", []discoveryv1.EndpointSlice{slice(ptr.To(true)), slice(nil)}), OK, "2 ready endpoints")
}

func TestCallbackMustBePublic(t *testing.T) {
	tests := map[string]struct {
		url       string
		addresses []string
		want      Level
		part      string
	}{
		"public https":       {"https://upload.example.com/cb", []string{"203.0.113.7", "2001:db8::1"}, OK, "public"},
		"http":               {"http://upload.example.com/cb", []string{"203.0.113.7"}, Warn, "not https"},
		"private":            {"https://upload.example.com/cb", []string{"10.1.2.3"}, Fail, "10.1.2.3"},
		"one of two private": {"https://upload.example.com/cb", []string{"203.0.113.7", "192.168.0.1"}, Fail, "192.168.0.1"},
		"loopback":           {"https://upload.example.com/cb", []string{"127.0.0.1"}, Fail, "127.0.0.1"},
		"carrier NAT":        {"https://upload.example.com/cb", []string{"100.64.1.1"}, Fail, "100.64.1.1"},
		"metadata service":   {"https://upload.example.com/cb", []string{"100.100.100.200"}, Fail, "100.100.100.200"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			var addresses []netip.Addr
			for _, a := range tc.addresses {
				addresses = append(addresses, netip.MustParseAddr(a))
			}
			expect(t, checkCallback("callback.url", u, addresses)[0], tc.want, tc.part)
		})
	}
	expect(t, checkUnresolved("callback.url", "upload.example.com", &net.DNSError{IsNotFound: true}), Fail, "public DNS record")
	expect(t, checkUnresolved("callback.url", "upload.example.com", &net.DNSError{IsTimeout: true}), Warn, "this machine's DNS")
}

func TestProbeKnowsASigner(t *testing.T) {
	answer := func(status int, body string) *http.Response {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}
	}
	expect(t, checkProbe("callback.url", answer(403, `{"code":"callback_unsigned"}`)), OK, "a signer answers")
	expect(t, checkProbe("callback.url", answer(302, "")), Fail, "302", "login or a redirect")
	expect(t, checkProbe("callback.url", answer(404, "<html>")), Fail, "404")
	expect(t, checkProbe("callback.url", answer(403, `{"code":"other"}`)), Fail, "403")
}

func TestPreflights(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") != http.MethodPost {
			t.Errorf("%s %v is no preflight of an upload", r.Method, r.Header)
		}
		if origin := r.Header.Get("Origin"); origin == "https://h5.example.com" || origin == "https://doctor.example.org" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
	}))
	defer server.Close()
	expect(t, preflights(t.Context(), server.Client(), "OSS", server.URL, []string{"https://h5.example.com", "https://*.example.org"}), OK, "OSS lets pages of https://h5.example.com")
	expect(t, preflights(t.Context(), server.Client(), "OSS", server.URL, []string{"https://h5.example.com", "https://evil.example.com"}), Fail, "refuses pages of https://evil.example.com")
	server.Close()
	expect(t, preflights(t.Context(), server.Client(), "OSS", server.URL, []string{"https://h5.example.com"}), Warn, "cannot be reached from this machine")
}

func tenant(change func(*v1alpha1.UploadTenant)) *v1alpha1.UploadTenant {
	t := &v1alpha1.UploadTenant{}
	t.Spec.Callback = &v1alpha1.CallbackSpec{URL: "https://upload.example.com/family/album/callback"}
	t.Spec.Bucket.CORS = &v1alpha1.CORSSpec{AllowedOrigins: []string{"https://h5.example.com"}}
	t.Status.Bucket = &v1alpha1.BucketStatus{UploadURL: "https://family-album.oss-cn-hangzhou.aliyuncs.com"}
	if change != nil {
		change(t)
	}
	return t
}

func TestUploadURL(t *testing.T) {
	plain := tenant(func(t *v1alpha1.UploadTenant) { t.Status.Bucket.UploadURL = "http://family-album.oss.example" })
	expect(t, checkUploadURL(tenant(nil), true)[0], OK, "uploadFile domain list")
	expect(t, checkUploadURL(plain, true)[0], Fail, "not https")
	expect(t, checkUploadURL(plain, false)[0], OK)
	expect(t, checkUploadURL(tenant(func(t *v1alpha1.UploadTenant) { t.Status.Bucket = nil }), true)[0], Skip)
}

// internet answers for every host as a signer and an OSS that allow everything.
type internet struct{ asked []string }

func (i *internet) RoundTrip(r *http.Request) (*http.Response, error) {
	i.asked = append(i.asked, r.Method+" "+r.URL.String())
	response := &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"code":"callback_unsigned"}`))}
	response.Header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	return response, nil
}

// A tenant's addresses are looked up, judged and asked; nothing is sent to what is not public.
func TestAddresses(t *testing.T) {
	look := func(address string) (*internet, []Finding) {
		net := &internet{}
		d := &Doctor{
			Public: &http.Client{Transport: net}, Any: &http.Client{Transport: net},
			Lookup: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr(address)}, nil
			},
		}
		return net, d.addresses(t.Context(), tenant(nil), account(nil))
	}
	net, findings := look("203.0.113.7")
	for _, f := range findings {
		expect(t, f, OK)
	}
	if len(findings) != 5 || len(net.asked) != 3 || net.asked[0] != "POST https://upload.example.com/family/album/callback" {
		t.Errorf("%d findings after asking %v", len(findings), net.asked)
	}
	// An application team may not read the account; the tenant's own status tells an emulator, too.
	emulated := tenant(func(t *v1alpha1.UploadTenant) { t.Status.Bucket.Endpoint = "http://emulator.alibaba-cloud.svc:9000" })
	expect(t, (&Doctor{Any: &http.Client{Transport: &internet{}}}).addresses(t.Context(), emulated, &v1alpha1.CloudAccount{})[0], Skip)

	net, findings = look("10.0.0.7")
	expect(t, findings[0], Fail, "not public")
	for _, asked := range net.asked {
		if strings.HasPrefix(asked, http.MethodPost) {
			t.Errorf("a callback was sent to a private address: %v", net.asked)
		}
	}
}

func TestReportSaysHowMuchIsWrong(t *testing.T) {
	var out bytes.Buffer
	r := Report{Findings: []Finding{ok("a", "good"), fail("b", "do this", "bad"), warn("c", "", "odd"), skip("d", "unknown")}}
	if err := r.write(&out, uploadsctl.Text); err != nil {
		t.Fatal(err)
	}
	want := "ok    a  good\nFAIL  b  bad\n           -> do this\nwarn  c  odd\n-     d  unknown\n\n1 of 4 checks failed.\n"
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}
