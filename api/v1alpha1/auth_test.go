package v1alpha1_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

func withWeChat(change func(*v1alpha1.WeChatAuth)) *v1alpha1.AuthSpec {
	w := &v1alpha1.WeChatAuth{AppID: "wx0123456789abcdef", SecretRef: v1alpha1.SecretKeyReference{Name: "album-wechat"}}
	change(w)
	return &v1alpha1.AuthSpec{WeChat: w}
}

func withForward(change func(*v1alpha1.ForwardAuth)) *v1alpha1.AuthSpec {
	f := &v1alpha1.ForwardAuth{URL: "http://api.family.svc:8080/internal/whoami?for=uploads"}
	change(f)
	return &v1alpha1.AuthSpec{Forward: f}
}

func withClaims(claims map[string]string) *v1alpha1.AuthSpec {
	return &v1alpha1.AuthSpec{JWT: &v1alpha1.JWTAuth{JWKSURL: "https://id.example.com/jwks.json", RequiredClaims: claims}}
}

func TestAuthenticationValidation(t *testing.T) {
	jwt := tenant().Spec.Auth.JWT
	count := func(n int32) *int32 { return &n }
	tests := map[string]struct {
		auth *v1alpha1.AuthSpec
		want string
	}{
		"nothing":            {&v1alpha1.AuthSpec{}, "set auth.wechat, auth.jwt or auth.forward"},
		"wechat":             {withWeChat(func(*v1alpha1.WeChatAuth) {}), ""},
		"forward":            {withForward(func(*v1alpha1.ForwardAuth) {}), ""},
		"wechat and jwt":     {&v1alpha1.AuthSpec{WeChat: withWeChat(func(*v1alpha1.WeChatAuth) {}).WeChat, JWT: jwt}, ""},
		"wechat and forward": {&v1alpha1.AuthSpec{WeChat: withWeChat(func(*v1alpha1.WeChatAuth) {}).WeChat, Forward: withForward(func(*v1alpha1.ForwardAuth) {}).Forward}, ""},
		"jwt and forward":    {&v1alpha1.AuthSpec{JWT: jwt, Forward: withForward(func(*v1alpha1.ForwardAuth) {}).Forward}, "set only one of auth.jwt and auth.forward"},

		"wechat without appID":     {withWeChat(func(w *v1alpha1.WeChatAuth) { w.AppID = "" }), "auth.wechat.appID must be the AppID"},
		"wechat appID of a URL":    {withWeChat(func(w *v1alpha1.WeChatAuth) { w.AppID = "wx1&secret=x" }), "auth.wechat.appID must be the AppID"},
		"wechat without secret":    {withWeChat(func(w *v1alpha1.WeChatAuth) { w.SecretRef.Name = "" }), "auth.wechat.secretRef.name"},
		"wechat by unionid":        {withWeChat(func(w *v1alpha1.WeChatAuth) { w.UserFrom = v1alpha1.WeChatUnionID }), ""},
		"wechat by phone":          {withWeChat(func(w *v1alpha1.WeChatAuth) { w.UserFrom = "Phone" }), "Unsupported value"},
		"wechat session too short": {withWeChat(func(w *v1alpha1.WeChatAuth) { w.SessionDuration = duration(4 * time.Minute) }), "auth.wechat.sessionDuration must be a duration between 5m and 24h"},
		"wechat session too long":  {withWeChat(func(w *v1alpha1.WeChatAuth) { w.SessionDuration = duration(25 * time.Hour) }), "auth.wechat.sessionDuration must be a duration between 5m and 24h"},
		"wechat longest session":   {withWeChat(func(w *v1alpha1.WeChatAuth) { w.SessionDuration = duration(24 * time.Hour) }), ""},
		"wechat without attempts":  {withWeChat(func(w *v1alpha1.WeChatAuth) { w.FailedLoginsPerMinute = count(0) }), "should be greater than or equal to 1"},
		"wechat endpoint":          {withWeChat(func(w *v1alpha1.WeChatAuth) { w.Endpoint = "http://emulator.alibaba-cloud.svc:9001" }), ""},
		"wechat endpoint's path":   {withWeChat(func(w *v1alpha1.WeChatAuth) { w.Endpoint = "http://emulator/x" }), "auth.wechat.endpoint must be an http(s) base URL"},

		"forward to a file":      {withForward(func(f *v1alpha1.ForwardAuth) { f.URL = "file:///etc/passwd" }), "auth.forward.url must be an http(s) URL"},
		"forward with a user":    {withForward(func(f *v1alpha1.ForwardAuth) { f.URL = "http://u:p@api/" }), "auth.forward.url must be an http(s) URL"},
		"forward header":         {withForward(func(f *v1alpha1.ForwardAuth) { f.UserHeader = "X-Uid" }), ""},
		"forward field":          {withForward(func(f *v1alpha1.ForwardAuth) { f.UserField = "data.user_id" }), ""},
		"forward header of two":  {withForward(func(f *v1alpha1.ForwardAuth) { f.UserHeader = "X-Uid: 1\nX-Y" }), "auth.forward.userHeader must be the name of a header"},
		"forward field of none":  {withForward(func(f *v1alpha1.ForwardAuth) { f.UserField = "data..id" }), "auth.forward.userField must be names separated by dots"},
		"forward both":           {withForward(func(f *v1alpha1.ForwardAuth) { f.UserHeader, f.UserField = "X-Uid", "id" }), "set at most one of auth.forward.userHeader and auth.forward.userField"},
		"forward uncached":       {withForward(func(f *v1alpha1.ForwardAuth) { f.CacheSeconds = count(0) }), ""},
		"forward cached a day":   {withForward(func(f *v1alpha1.ForwardAuth) { f.CacheSeconds = count(86400) }), "should be less than or equal to 3600"},
		"required claims":        {withClaims(map[string]string{"roles": "uploader", "email_verified": "true"}), ""},
		"required claim, empty":  {withClaims(map[string]string{"roles": ""}), "auth.jwt.requiredClaims needs a name"},
		"required claim, nobody": {withClaims(map[string]string{"": "x"}), "auth.jwt.requiredClaims needs a name"},
		"required claim, long":   {withClaims(map[string]string{"a": strings.Repeat("x", 257)}), "auth.jwt.requiredClaims needs a name"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := tenant()
			o.Spec.Auth = *test.auth
			check(t, verdict(t, o), test.want)
		})
	}
}

func TestAuthenticationDefaultsAreThoseOfTheCRD(t *testing.T) {
	for name, auth := range map[string]*v1alpha1.AuthSpec{"wechat": withWeChat(func(*v1alpha1.WeChatAuth) {}), "forward": withForward(func(*v1alpha1.ForwardAuth) {})} {
		o := tenant()
		o.Name, o.Spec.Auth = "auth-"+name, *auth
		byCode := o.DeepCopy()
		byCode.Default()
		if err := api.Create(t.Context(), o, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(o.Spec, byCode.Spec); diff != "" {
			t.Errorf("%s (-CRD +code):\n%s", name, diff)
		}
	}
}
