package devmode

import (
	"fmt"
	"mime"
	"slices"
	"strings"
	"time"
)

// Guide is what a person needs next: addresses, and lines to paste that upload a file. took is how long the
// start was.
func (s *Server) Guide(took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nUploadTenant %s/%s is up after %.1f s. Ctrl-C stops it; %s.\n\n", s.Tenant.Namespace, s.Tenant.Name, took.Seconds(), s.keeps())
	row := func(what, url, note string) { fmt.Fprintf(&b, "  %-10s %-28s %s\n", what, url, note) }
	row("signer", s.SignerURL, "Authorization: Bearer dev:<user>")
	row("OSS", s.OSSURL, "what it holds: "+s.OSSURL+"/_emulator/")
	row("RAM, STS", s.APIURL, "administrator's AccessKey: "+s.AdminKeyFile)
	row("metrics", s.OpsURL+"/metrics", "")
	if wechat := s.Tenant.Spec.Auth.WeChat; wechat != nil && wechat.Endpoint == "" {
		row("WeChat", s.APIURL, `log in with {"code":"emu:<openid>:<anything>"} at /v1/sessions/wechat`)
	}
	if s.EventsSecretFile != "" {
		row("events", s.Tenant.Spec.Events.URL, "signed with the secret in "+s.EventsSecretFile)
	}
	fmt.Fprintf(&b, "\nUpload a file as user alice (needs curl; paste the lines into another terminal):\n\n")
	for _, line := range s.sampleLines() {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	b.WriteString("\n")
	return b.String()
}

func (s *Server) keeps() string {
	if s.state.temporary {
		return "nothing is kept, --data DIR would keep it"
	}
	return "everything is kept in " + s.state.dir
}

// sampleLines create a file that the tenant accepts and upload it with curl alone.
func (s *Server) sampleLines() []string {
	contentType, ext := s.sampleType()
	size := max(s.Tenant.Spec.Limits.Size.Min.Value(), min(5, s.Tenant.Spec.Limits.Size.Max.Value()))
	name := "hello" + ext
	const auth = "-H 'Authorization: Bearer dev:alice'"
	const json = "-H 'Content-Type: application/json'"
	lines := []string{
		fmt.Sprintf("head -c %d /dev/zero > %s", size, name),
		fmt.Sprintf(`curl -sS %s/v1/uploads %s %s -d '{"files":[{"name":"%s","size":%d,"contentType":"%s"}]}' -o grant.json`,
			s.SignerURL, auth, json, name, size, contentType),
		fmt.Sprintf(`sed 's/.*"fields":{//; s/}.*//' grant.json | grep -o '"[^"]*":"[^"]*"' | sed 's/":"/=/; s/^/form-string = /' | curl -sS -K - -F file=@%s %s/%s`,
			name, s.UploadURL, s.Tenant.Spec.Bucket.Name),
	}
	if s.Tenant.Spec.Callback == nil { // nobody tells the signer, so the client does
		lines = append(lines, fmt.Sprintf(`curl -sS %s/v1/uploads/complete %s %s -d "{$(grep -o '"ticket":"[^"]*"' grant.json)}"`, s.SignerURL, auth, json))
	}
	return append(lines, fmt.Sprintf("curl -sS %s/v1/uploads %s", s.SignerURL, auth))
}

// sampleType picks a content type that the tenant accepts and a file name extension for it, with its dot.
func (s *Server) sampleType() (contentType, ext string) {
	limits := s.Tenant.Spec.Limits
	for _, e := range limits.Extensions {
		t, _, _ := strings.Cut(mime.TypeByExtension("."+e), ";")
		if slices.ContainsFunc(limits.ContentTypes, func(pattern string) bool { return matchesType(pattern, t) }) {
			return t, "." + e
		}
	}
	contentType = strings.Replace(limits.ContentTypes[0], "/*", "/octet-stream", 1)
	if known := map[string]string{"image/*": "image/png", "video/*": "video/mp4", "audio/*": "audio/mpeg", "text/*": "text/plain"}[limits.ContentTypes[0]]; known != "" {
		contentType = known
	}
	if len(limits.Extensions) > 0 {
		return contentType, "." + limits.Extensions[0]
	}
	if exts, err := mime.ExtensionsByType(contentType); err == nil && len(exts) > 0 {
		return contentType, exts[0]
	}
	return contentType, ".bin"
}

func matchesType(pattern, contentType string) bool {
	family, wildcard := strings.CutSuffix(pattern, "*")
	return pattern == contentType || wildcard && strings.HasPrefix(contentType, family)
}
