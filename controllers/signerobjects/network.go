package signerobjects

import (
	"net/url"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// NetworkPolicy lets callers and Prometheus in on the signer's two ports, and the signer out to DNS and to
// the ports of what its configuration names; nil when the spec switches it off. Addresses are not
// restricted, because those of OSS change.
func NetworkPolicy(in Input) *networkingv1ac.NetworkPolicyApplyConfiguration {
	t := in.Tenant
	if t.Spec.Signer.NetworkPolicy == v1alpha1.NetworkPolicyOff {
		return nil
	}
	port := func(protocol corev1.Protocol, number int) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
		return networkingv1ac.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(int32(number)))
	}
	out := networkingv1ac.NetworkPolicyEgressRule().WithPorts(port(corev1.ProtocolUDP, 53), port(corev1.ProtocolTCP, 53))
	for _, number := range ports(in) {
		out.WithPorts(port(corev1.ProtocolTCP, number))
	}
	return networkingv1ac.NetworkPolicy(Name(t), t.Namespace).
		WithLabels(Labels(t)).WithOwnerReferences(owner(t)).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(selector(t))).
			WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
			WithIngress(networkingv1ac.NetworkPolicyIngressRule().
				WithPorts(port(corev1.ProtocolTCP, apiPort), port(corev1.ProtocolTCP, opsPort))).
			WithEgress(out))
}

// ports are 80 and 443 and those that the configuration's URLs name. The port that a NetworkPolicy sees is
// the one of the pod behind a Service, so a Service that maps ports inside the cluster needs Off.
func ports(in Input) []int {
	numbers := []int{80, 443}
	urls := []string{in.Config.Bucket.Endpoint, in.Config.Credentials.STSEndpoint}
	auth := in.Config.Auth
	if auth.JWT != nil {
		urls = append(urls, auth.JWT.JWKSURL)
	}
	if auth.WeChat != nil {
		urls = append(urls, auth.WeChat.BaseURL)
	}
	if auth.Forward != nil {
		urls = append(urls, auth.Forward.URL)
	}
	if tracing := in.Tenant.Spec.Signer.Tracing; tracing != nil {
		urls = append(urls, tracing.Endpoint)
	}
	if in.Config.Events != nil {
		urls = append(urls, in.Config.Events.URL)
	}
	urls = append(urls, in.Config.Callback.KeyURLPrefixes...)
	for _, raw := range urls {
		if u, err := url.Parse(raw); err == nil && u.Port() != "" {
			if number, err := strconv.Atoi(u.Port()); err == nil {
				numbers = append(numbers, number)
			}
		}
	}
	if postgres := in.Tenant.Spec.Index.Postgres; postgres != nil && postgres.Port != nil {
		numbers = append(numbers, int(*postgres.Port))
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// apiPath is the prefix of the signer's own interface.
const apiPath = "/v1/"

// paths of the signer that callers need: its interface, its description, and the path of callback.url.
func paths(in Input) (prefix string, exact []string) {
	exact = []string{"/openapi.json"}
	if u, err := url.Parse(in.Config.Callback.URL); err == nil && u.Path != "" {
		exact = append(exact, u.Path)
	}
	return apiPath, exact
}

// Host is what callers outside use: the spec's, else that of callback.url.
func Host(in Input) string {
	if exposure := in.Tenant.Spec.Signer.Exposure; exposure != nil && exposure.Host != "" {
		return exposure.Host
	}
	u, err := url.Parse(in.Config.Callback.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Ingress leads to the signer from outside; nil when the spec asks for none.
func Ingress(in Input) *networkingv1ac.IngressApplyConfiguration {
	t := in.Tenant
	if t.Spec.Signer.Exposure == nil || t.Spec.Signer.Exposure.Ingress == nil {
		return nil
	}
	spec := t.Spec.Signer.Exposure.Ingress
	backend := networkingv1ac.IngressBackend().WithService(networkingv1ac.IngressServiceBackend().
		WithName(Name(t)).WithPort(networkingv1ac.ServiceBackendPort().WithName("http")))
	prefix, exact := paths(in)
	rules := networkingv1ac.HTTPIngressRuleValue().WithPaths(networkingv1ac.HTTPIngressPath().
		WithPath(prefix).WithPathType(networkingv1.PathTypePrefix).WithBackend(backend))
	for _, path := range exact {
		rules.WithPaths(networkingv1ac.HTTPIngressPath().WithPath(path).WithPathType(networkingv1.PathTypeExact).WithBackend(backend))
	}
	rule := networkingv1ac.IngressRule().WithHTTP(rules)
	host := Host(in)
	if host != "" {
		rule.WithHost(host)
	}
	out := networkingv1ac.IngressSpec().WithRules(rule)
	if spec.ClassName != "" {
		out.WithIngressClassName(spec.ClassName)
	}
	if spec.TLSSecretName != "" {
		tls := networkingv1ac.IngressTLS().WithSecretName(spec.TLSSecretName)
		if host != "" {
			tls.WithHosts(host)
		}
		out.WithTLS(tls)
	}
	return networkingv1ac.Ingress(Name(t), t.Namespace).
		WithLabels(Labels(t)).WithOwnerReferences(owner(t)).WithAnnotations(spec.Annotations).WithSpec(out)
}

// HTTPRoute leads to the signer through a Gateway; nil when the spec asks for none. It is unstructured,
// because the Gateway API is optional in a cluster.
func HTTPRoute(in Input) *unstructured.Unstructured {
	t := in.Tenant
	if t.Spec.Signer.Exposure == nil || t.Spec.Signer.Exposure.Gateway == nil {
		return nil
	}
	gateway := t.Spec.Signer.Exposure.Gateway
	parent := map[string]any{"name": gateway.Name}
	if gateway.Namespace != "" {
		parent["namespace"] = gateway.Namespace
	}
	if gateway.SectionName != "" {
		parent["sectionName"] = gateway.SectionName
	}
	match := func(kind, path string) any {
		return map[string]any{"path": map[string]any{"type": kind, "value": path}}
	}
	prefix, exact := paths(in)
	matches := []any{match("PathPrefix", prefix)}
	for _, path := range exact {
		matches = append(matches, match("Exact", path))
	}
	spec := map[string]any{
		"parentRefs": []any{parent},
		"rules": []any{map[string]any{
			"matches":     matches,
			"backendRefs": []any{map[string]any{"name": Name(t), "port": int64(80)}},
		}},
	}
	if host := Host(in); host != "" {
		spec["hostnames"] = []any{host}
	}
	return optional(t, "gateway.networking.k8s.io/v1", "HTTPRoute", spec)
}

// ServiceMonitor lets the Prometheus operator scrape the signer's ops port, which the Service does not have.
func ServiceMonitor(in Input) *unstructured.Unstructured {
	matchLabels := map[string]any{}
	for key, value := range selector(in.Tenant) {
		matchLabels[key] = value
	}
	return optional(in.Tenant, "monitoring.coreos.com/v1", "ServiceMonitor", map[string]any{
		"selector":  map[string]any{"matchLabels": matchLabels},
		"endpoints": []any{map[string]any{"targetPort": "ops", "path": "/metrics"}},
	})
}

func optional(t *v1alpha1.UploadTenant, apiVersion, kind string, spec map[string]any) *unstructured.Unstructured {
	labels := map[string]any{}
	for key, value := range Labels(t) {
		labels[key] = value
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{
			"name": Name(t), "namespace": t.Namespace, "labels": labels,
			"ownerReferences": []any{map[string]any{
				"apiVersion": v1alpha1.GroupVersion.String(), "kind": "UploadTenant",
				"name": t.Name, "uid": string(t.UID), "controller": true, "blockOwnerDeletion": true,
			}},
		},
		"spec": spec,
	}}
}
