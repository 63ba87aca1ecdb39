package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// accountRemedies by the reason of a CloudAccount's Ready; docs/spec/cloudaccount.md has them, too.
var accountRemedies = map[string]string{
	v1alpha1.ReasonWrongAccount:        "correct spec.accountID or the credentials",
	v1alpha1.ReasonCredentialsNotFound: "create the Secret with the keys that the message names, in the manager's namespace",
	v1alpha1.ReasonPermissionDenied:    "correct the key, the role or the role's trust policy (docs/guides/install.md)",
	v1alpha1.ReasonCloudUnavailable:    "it is tried again within a minute; check spec.endpoints and the manager's way to the internet",
	v1alpha1.ReasonThrottled:           "it is tried again within a minute",
	v1alpha1.ReasonInvalidRequest:      "correct the endpoint or ARN that the message names",
}

// accounts checks every CloudAccount and the identity of the cluster in it.
func (d *Doctor) accounts(ctx context.Context) []Finding {
	var list v1alpha1.CloudAccountList
	if err := d.Client.List(ctx, &list); err != nil {
		return []Finding{unreadable("CloudAccounts", "list CloudAccounts", err)}
	}
	if len(list.Items) == 0 {
		return []Finding{fail("CloudAccounts", "create one: docs/guides/install.md, config/samples/cloudaccount.yaml", "there is none, so no tenant can become ready")}
	}
	var findings []Finding
	for i := range list.Items {
		account := &list.Items[i]
		findings = append(findings, checkAccount(account), d.issuer(ctx, account))
	}
	return findings
}

// checkAccount judges the condition Ready.
func checkAccount(a *v1alpha1.CloudAccount) Finding {
	subject := "CloudAccount " + a.Name
	ready := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || ready.ObservedGeneration < a.Generation:
		return fail(subject, "wait a moment; when it stays so, the manager is not at work", "the manager has not looked at it yet")
	case ready.Status != metav1.ConditionTrue:
		return fail(subject, accountRemedies[ready.Reason], "not ready (%s): %s", ready.Reason, ready.Message)
	}
	if orphaned := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionOrphaned); orphaned != nil && orphaned.Status == metav1.ConditionTrue {
		return warn(subject, "`kubectl uploads orphans` lists them", "%s", orphaned.Message)
	}
	return ok(subject, "account %s in %s, as %s", a.Spec.AccountID, a.Spec.Region, a.Status.PrincipalARN)
}

// alibaba tells whether the account's OSS is Alibaba's own and not an emulator's.
func alibaba(a *v1alpha1.CloudAccount) bool {
	return alibabaHost(a.Spec.Endpoints.OSS) && alibabaHost(a.Spec.Endpoints.STS)
}

// alibabaHost judges one endpoint; left out, it is the public one.
func alibabaHost(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return endpoint == "" || err == nil && strings.HasSuffix(u.Hostname(), ".aliyuncs.com")
}

// discovery is the path below an issuer where its keys are found (OpenID Connect Discovery 1.0, section 4).
const discovery = "/.well-known/openid-configuration"

// issuer checks that the tokens of this cluster are those that the account's identity provider accepts, and
// that the cloud can read their keys. That the provider is registered shows in the signers' readiness.
func (d *Doctor) issuer(ctx context.Context, a *v1alpha1.CloudAccount) Finding {
	subject := "issuer for " + a.Name
	if a.Spec.OIDC == nil {
		return ok(subject, "none is declared: the manager brokers the signers' sessions")
	}
	_, body, err := d.get(ctx, discovery)
	if isStatus(err, http.StatusForbidden, http.StatusUnauthorized) {
		return skip(subject, "you may not read the cluster's %s", discovery)
	}
	if err != nil {
		return fail(subject, "try again", "read the cluster's %s: %v", discovery, err)
	}
	var document struct{ Issuer string }
	if err := json.Unmarshal(body, &document); err != nil {
		return fail(subject, "enable service-account issuer discovery", "the cluster's %s is no JSON: %v", discovery, err)
	}
	if f := checkIssuer(subject, a, document.Issuer); f.Level != OK {
		return f
	}
	if !alibaba(a) {
		return ok(subject, "%s; the account's endpoints are not Alibaba Cloud's, so whether they can read its keys is not checked", document.Issuer)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(document.Issuer, "/")+discovery, http.NoBody)
	if err != nil {
		return fail(subject, "correct the API server's --service-account-issuer", "%v", err)
	}
	if _, _, err := do(d.Public, request); err != nil {
		return warn(subject, "RAM reads the issuer's keys from the internet: publish them (RRSA on ACK does), or leave spec.oidc out to broker sessions",
			"%s is not readable from this machine: %v", document.Issuer, err)
	}
	return ok(subject, "%s, readable from the internet", document.Issuer)
}

func checkIssuer(subject string, a *v1alpha1.CloudAccount, issuer string) Finding {
	if a.Spec.OIDC.Issuer == issuer {
		return ok(subject, "%s", issuer)
	}
	return fail(subject, fmt.Sprintf("set spec.oidc.issuer of the CloudAccount to %s, and register that issuer in RAM", issuer),
		"tokens of this cluster come from %s, the CloudAccount declares %s: no signer can assume its role", issuer, a.Spec.OIDC.Issuer)
}

// maxBody that a check reads.
const maxBody = 1 << 20

// do sends a request and returns header and body of a success, else a statusError.
func do(client *http.Client, request *http.Request) (http.Header, []byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err == nil && response.StatusCode != http.StatusOK {
		err = statusError(response.StatusCode)
	}
	return response.Header, body, err
}
