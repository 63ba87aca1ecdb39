package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

// tenants tells which tenants are worth a look of their own.
func (d *Doctor) tenants(ctx context.Context) []Finding {
	all, err := d.Tenants(ctx, true)
	if err != nil {
		return []Finding{unreadable("tenants", "list UploadTenants in all namespaces; name one of yours", err)}
	}
	return checkTenants(all)
}

func checkTenants(all []uploadsctl.Tenant) []Finding {
	var findings []Finding
	for _, t := range all {
		if t.Ready != metav1.ConditionTrue {
			findings = append(findings, fail("tenant "+t.Namespace+"/"+t.Name,
				fmt.Sprintf("`kubectl uploads doctor %s -n %s`", t.Name, t.Namespace), "not ready (%s): %s", t.Reason, t.Message))
		}
	}
	if len(findings) == 0 {
		findings = append(findings, ok("tenants", "%d, all ready", len(all)))
	}
	return findings
}

// tenant checks one tenant.
func (d *Doctor) tenant(ctx context.Context, name string) []Finding {
	subject, remedy := "tenant "+d.Namespace+"/"+name, "check the name and the namespace (-n): `kubectl uploads status -A`"
	status, err := d.Tenant(ctx, name)
	if err != nil {
		return []Finding{fail(subject, remedy, "%v", err)}
	}
	var object v1alpha1.UploadTenant
	if err := d.Client.Get(ctx, client.ObjectKey{Namespace: d.Namespace, Name: name}, &object); err != nil {
		return []Finding{fail(subject, remedy, "%v", uploadsctl.Explain(err))}
	}
	findings := checkConditions(status)
	findings = append(findings, d.signerPods(ctx, &object)...)
	findings = append(findings, d.endpoints(ctx, &object))
	var account v1alpha1.CloudAccount
	if err := d.Client.Get(ctx, client.ObjectKey{Name: status.Account}, &account); err != nil {
		// Application teams may not read accounts; then the cloud is taken to be the real one.
		findings = append(findings, unreadable("CloudAccount "+status.Account, "read it", err))
	}
	return append(findings, d.addresses(ctx, &object, &account)...)
}

// checkConditions repeats what the controller has found wrong.
func checkConditions(t uploadsctl.Tenant) []Finding {
	var findings []Finding
	for _, c := range t.Conditions {
		part := slices.Contains([]string{v1alpha1.ConditionBucketReady, v1alpha1.ConditionAccessReady, v1alpha1.ConditionSignerReady}, c.Type)
		if part && c.Status != metav1.ConditionTrue {
			findings = append(findings, fail(c.Type, c.Remedy, "%s: %s", c.Reason, c.Message))
		}
	}
	switch {
	case t.Ready == metav1.ConditionTrue && t.ManagementPolicy == v1alpha1.ManagementPaused:
		return append(findings, warn("conditions", t.Remedy, "ready when last seen, but %s (%s)", t.Message, t.Reason))
	case t.Ready == metav1.ConditionTrue:
		return append(findings, ok("conditions", "%s", t.Message))
	case len(findings) == 0:
		return append(findings, fail("conditions", t.Remedy, "%s: %s", t.Reason, t.Message))
	}
	return findings
}

// signerPods checks that every pod of the signer is ready, and asks those that are not why.
func (d *Doctor) signerPods(ctx context.Context, t *v1alpha1.UploadTenant) []Finding {
	var list corev1.PodList
	err := d.Client.List(ctx, &list, client.InNamespace(t.Namespace), client.MatchingLabels{
		signerobjects.LabelName: signerobjects.AppName, signerobjects.LabelInstance: t.Name,
	})
	if err != nil {
		return []Finding{unreadable("signer pods", "list pods in namespace "+t.Namespace, err)}
	}
	if len(list.Items) == 0 {
		return []Finding{fail("signer pods", fmt.Sprintf("`kubectl describe replicaset -n %s -l %s=%s` tells why", t.Namespace, signerobjects.LabelInstance, t.Name), "there is none")}
	}
	var findings []Finding
	ready := 0
	for i := range list.Items {
		p := &list.Items[i]
		f := checkPod(p)
		if f.Level == OK {
			ready++
			continue
		}
		if !p.DeletionTimestamp.IsZero() {
			continue // it is being replaced
		}
		if running(p) {
			f = d.askSigner(ctx, p, f)
		} else {
			f = d.told(ctx, p, f)
		}
		findings = append(findings, f)
	}
	if ready > 0 {
		findings = append(findings, ok("signer pods", "%d of %d ready", ready, len(list.Items)))
	}
	return findings
}

func running(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.State.Running != nil })
}

// askSigner replaces "it is not ready" with the signer's own words.
func (d *Doctor) askSigner(ctx context.Context, p *corev1.Pod, otherwise Finding) Finding {
	state, err := d.SignerState(ctx, p)
	if err != nil || state == "" {
		return otherwise
	}
	return checkSignerState(p, state)
}

// checkSignerState says what to do about the words of /readyz.
func checkSignerState(p *corev1.Pod, state string) Finding {
	remedy := fmt.Sprintf("`kubectl logs %s -n %s` tells more", p.Name, p.Namespace)
	switch {
	case strings.HasPrefix(state, "no credentials"):
		remedy = "the signer cannot assume its role: check that the cluster's issuer is registered in RAM as spec.oidc.providerARN of the CloudAccount says; " + remedy
	case strings.HasPrefix(state, "index unavailable"):
		remedy = "the signer cannot reach its database: check the Secret of spec.index.postgres and the database; " + remedy
	}
	return fail("pod "+p.Name, remedy, "the signer is not ready: %s", state)
}

// endpoints checks that the signer's Service leads somewhere.
func (d *Doctor) endpoints(ctx context.Context, t *v1alpha1.UploadTenant) Finding {
	name := signerobjects.Name(t)
	var list discoveryv1.EndpointSliceList
	err := d.Client.List(ctx, &list, client.InNamespace(t.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: name})
	if err != nil {
		return unreadable("Service "+name, "list EndpointSlices in namespace "+t.Namespace, err)
	}
	return checkEndpoints(name, t.Namespace, list.Items)
}

func checkEndpoints(service, namespace string, slices []discoveryv1.EndpointSlice) Finding {
	ready := 0
	for _, s := range slices {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready { // nil means ready
				ready += len(e.Addresses)
			}
		}
	}
	subject := "Service " + service
	if ready == 0 {
		return fail(subject, fmt.Sprintf("callers get no answer before a signer pod is ready; `kubectl get endpointslices -n %s -l %s=%s` shows what the Service finds",
			namespace, discoveryv1.LabelServiceName, service), "it has no ready endpoint")
	}
	return ok(subject, "%d ready endpoint%s", ready, map[bool]string{false: "s"}[ready == 1])
}
