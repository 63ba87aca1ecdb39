package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/signer/guard"
	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

// addresses checks what clients and OSS see of a tenant: callback.url, where files go, and CORS.
func (d *Doctor) addresses(ctx context.Context, t *v1alpha1.UploadTenant, account *v1alpha1.CloudAccount) []Finding {
	genuine := alibaba(account)
	if t.Status.Bucket != nil {
		genuine = genuine && alibabaHost(t.Status.Bucket.Endpoint)
	}
	findings := d.callback(ctx, t, genuine)
	findings = append(findings, checkUploadURL(t, genuine)...)
	return append(findings, d.cors(ctx, t, genuine)...)
}

// callback checks that OSS can reach callback.url and that it leads to a signer.
func (d *Doctor) callback(ctx context.Context, t *v1alpha1.UploadTenant, genuine bool) []Finding {
	const subject = "callback.url"
	if t.Spec.Callback == nil {
		return []Finding{ok(subject, "not set: uploads are recorded when clients complete them, or found by the sweeper")}
	}
	if !genuine {
		return []Finding{skip(subject, "the account's endpoints are not Alibaba Cloud's, so who reaches %s is not known here", t.Spec.Callback.URL)}
	}
	u, err := url.Parse(t.Spec.Callback.URL)
	if err != nil {
		return []Finding{fail(subject, "correct spec.callback.url", "%v", err)}
	}
	var addresses []netip.Addr
	if literal, err := netip.ParseAddr(u.Hostname()); err == nil {
		addresses = []netip.Addr{literal}
	} else {
		resolving, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		addresses, err = d.Lookup(resolving, u.Hostname())
		if err != nil {
			return []Finding{checkUnresolved(subject, u.Hostname(), err)}
		}
	}
	findings := checkCallback(subject, u, addresses)
	for _, f := range findings {
		if f.Level == Fail {
			return findings // nothing that OSS could reach answers there
		}
	}
	return append(findings, d.probe(ctx, subject, u))
}

func checkUnresolved(subject, host string, err error) Finding {
	var dns *net.DNSError
	if errors.As(err, &dns) && !dns.IsNotFound {
		return warn(subject, "check this machine's DNS", "%s could not be resolved here: %v", host, err)
	}
	return fail(subject, "create a public DNS record for "+host+" that leads to the signer's ingress or gateway", "%s does not resolve, so OSS cannot call back", host)
}

// checkCallback judges the form of the URL and the addresses of its host.
func checkCallback(subject string, u *url.URL, addresses []netip.Addr) []Finding {
	for _, address := range addresses {
		if !guard.Public.Allows(address) {
			return []Finding{fail(subject, "use a host that resolves to a public address for everybody; a company's DNS may answer this machine otherwise",
				"%s resolves to %s, which is not public: OSS refuses to call it", u.Hostname(), address)}
		}
	}
	if u.Scheme != "https" {
		return []Finding{warn(subject, "serve it over https and change spec.callback.url", "%s is not https: whoever listens on the way reads what is uploaded by whom", u.Redacted())}
	}
	return []Finding{ok(subject, "https, and %s is public", u.Hostname())}
}

// probe sends a callback that nobody signed. Only a signer refuses it with the code of its contract.
func (d *Doctor) probe(ctx context.Context, subject string, u *url.URL) Finding {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), http.NoBody)
	if err != nil {
		return fail(subject, "correct spec.callback.url", "%v", err)
	}
	response, err := d.Public.Do(request)
	if err != nil {
		return warn(subject, "nothing to do when only OSS may reach it: allow the addresses of the OSS region; else check ingress, certificate and firewall",
			"it cannot be reached from this machine: %v", reason(err))
	}
	defer response.Body.Close()
	return checkProbe(subject, response)
}

// reason is the cause of a failed request without its URL.
func reason(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func checkProbe(subject string, response *http.Response) Finding {
	var problem struct{ Code string }
	_ = json.NewDecoder(io.LimitReader(response.Body, maxBody)).Decode(&problem) // what is no problem document has no code
	if problem.Code == "callback_unsigned" {
		return ok(subject, "a signer answers there")
	}
	return fail(subject, "lead the path of spec.callback.url to the signer's Service, without a login or a redirect in between (spec.signer.exposure makes the route)",
		"something else than the signer answers there (%s)", statusError(response.StatusCode))
}

// checkUploadURL judges where clients post files to.
func checkUploadURL(t *v1alpha1.UploadTenant, genuine bool) []Finding {
	const subject = "upload address"
	if t.Status.Bucket == nil || t.Status.Bucket.UploadURL == "" {
		return []Finding{skip(subject, "the status names none yet")}
	}
	address := t.Status.Bucket.UploadURL
	if genuine && !strings.HasPrefix(address, "https://") {
		return []Finding{fail(subject, "use an https endpoint in the CloudAccount's endpoints.upload or endpoints.oss", "%s is not https: mini-programs refuse it, and grants travel in clear text", address)}
	}
	return []Finding{ok(subject, "%s (for mini-programs: its host must be in WeChat's uploadFile domain list)", address)}
}

// cors asks OSS and the signer whether pages of the declared origins may upload, as a browser would.
func (d *Doctor) cors(ctx context.Context, t *v1alpha1.UploadTenant, genuine bool) []Finding {
	const subject = "CORS"
	if t.Spec.Bucket.CORS == nil {
		return []Finding{ok(subject, "no origin is declared: web pages cannot upload, mini-programs can")}
	}
	client := d.Any
	if genuine {
		client = d.Public
	}
	targets := map[string]string{}
	if t.Status.Bucket != nil && t.Status.Bucket.UploadURL != "" {
		targets["OSS"] = t.Status.Bucket.UploadURL
	}
	if public := uploadsctl.PublicURL(t); public != "" && genuine {
		targets["the signer"] = public + "/v1/uploads"
	}
	var findings []Finding
	for _, who := range []string{"OSS", "the signer"} {
		if target := targets[who]; target != "" {
			f := preflights(ctx, client, who, target, t.Spec.Bucket.CORS.AllowedOrigins)
			if !genuine && f.Level == Warn {
				f = skip(subject, "the emulated OSS is not reached from this machine")
			}
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 {
		return []Finding{skip(subject, "the status names no upload address yet")}
	}
	return findings
}

// preflights asks one server for every origin.
func preflights(ctx context.Context, client *http.Client, who, target string, origins []string) Finding {
	const subject = "CORS"
	var refused []string
	for _, origin := range origins {
		page := example(origin)
		request, err := http.NewRequestWithContext(ctx, http.MethodOptions, target, http.NoBody)
		if err != nil {
			return fail(subject, "report this as a bug", "%v", err)
		}
		request.Header.Set("Origin", page)
		request.Header.Set("Access-Control-Request-Method", http.MethodPost)
		response, err := client.Do(request)
		if err != nil {
			return warn(subject, "try from a network that reaches it", "%s cannot be reached from this machine: %v", who, reason(err))
		}
		response.Body.Close()
		if allowed := response.Header.Get("Access-Control-Allow-Origin"); allowed != page && allowed != "*" {
			refused = append(refused, origin)
		}
	}
	if len(refused) > 0 {
		return fail(subject, fmt.Sprintf("`kubectl uploads reconcile` writes the bucket's rule anew; a rule of somebody else that comes first, or a proxy before %s, may answer instead", who),
			"%s refuses pages of %s, although spec.bucket.cors allows them", who, strings.Join(refused, ", "))
	}
	return ok(subject, "%s lets pages of %s upload", who, strings.Join(origins, ", "))
}

// example is an origin that a pattern allows.
func example(pattern string) string {
	if pattern == "*" {
		return "https://doctor.example.com"
	}
	return strings.Replace(pattern, "*", "doctor", 1)
}
