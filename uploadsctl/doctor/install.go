package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/uploadtenant/uploadtenant/config/crd"
	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

const installRemedy = "install the operator: docs/guides/install.md"

// installation checks what all tenants depend on, from the ground up. A cluster that does not answer ends it.
func (d *Doctor) installation(ctx context.Context) (findings []Finding, reached bool) {
	if findings, reached = d.apiServer(ctx); !reached {
		return findings, false
	}
	findings = append(findings, d.crds(ctx)...)
	findings = append(findings, d.manager(ctx)...)
	return append(findings, d.accounts(ctx)...), true
}

// apiServer checks version and clock.
func (d *Doctor) apiServer(ctx context.Context) (findings []Finding, reached bool) {
	const subject = "API server"
	before := d.Now()
	header, body, err := d.get(ctx, "/version")
	if err != nil {
		return []Finding{fail(subject, "check --kubeconfig, --context and the network", "%v", err)}, false
	}
	after := d.Now()
	var info version.Info
	if err := json.Unmarshal(body, &info); err != nil {
		return []Finding{fail(subject, "check --context: something else than Kubernetes answers", "/version is no JSON: %v", err)}, false
	}
	findings = append(findings, checkVersion(info))
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		findings = append(findings, checkClock(date, before, after))
	}
	return findings, true
}

// get reads a path of the API server with the session's credentials.
func (d *Doctor) get(ctx context.Context, path string) (http.Header, []byte, error) {
	doer, err := rest.HTTPClientFor(d.Config)
	if err != nil {
		return nil, nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(d.Config)
	if err != nil {
		return nil, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(path).String(), http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	return do(doer, request)
}

// minMinor is the oldest Kubernetes 1.x that serves what the CRDs and the admission policy use.
const minMinor = 30

func checkVersion(info version.Info) Finding {
	const subject = "API server"
	// Cloud providers write "30+".
	minor, err := strconv.Atoi(strings.TrimSuffix(info.Minor, "+"))
	if err != nil || info.Major != "1" {
		return warn(subject, "", "its version %s is not one that this check knows", info.GitVersion)
	}
	if minor < minMinor {
		return fail(subject, fmt.Sprintf("upgrade the cluster to Kubernetes 1.%d or later", minMinor), "Kubernetes %s is too old", info.GitVersion)
	}
	return ok(subject, "Kubernetes %s", info.GitVersion)
}

// Clocks may differ so much. A second is the precision of the Date header; a minute takes a fifth of a
// grant's life, and OSS and STS refuse a signature that is 15 minutes off.
const (
	slightSkew = 5 * time.Second
	badSkew    = time.Minute
)

// checkClock compares a time that was told between before and after.
func checkClock(told, before, after time.Time) Finding {
	const subject = "clock"
	var skew time.Duration
	switch {
	case told.After(after):
		skew = told.Sub(after)
	case told.Add(time.Second).Before(before): // Date is cut to the second
		skew = before.Sub(told.Add(time.Second))
	}
	skew = skew.Round(time.Second)
	const remedy = "run an NTP client on this machine and on the nodes: grants, tokens and signatures live by the clock"
	switch {
	case skew >= badSkew:
		return fail(subject, remedy, "this machine and the API server differ by %v", skew)
	case skew >= slightSkew:
		return warn(subject, remedy, "this machine and the API server differ by %v", skew)
	}
	return ok(subject, "this machine and the API server agree")
}

// crds checks the kinds against those that this program was built with.
func (d *Doctor) crds(ctx context.Context) []Finding {
	wanted, err := embeddedCRDs()
	if err != nil {
		return []Finding{fail("CRDs", "report this as a bug", "%v", err)}
	}
	var findings []Finding
	for _, want := range wanted {
		var got apiextensionsv1.CustomResourceDefinition
		err := d.Client.Get(ctx, client.ObjectKeyFromObject(want), &got)
		findings = append(findings, checkCRD(want, &got, err))
	}
	return findings
}

func embeddedCRDs() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	names, err := fs.Glob(crd.FS, "*.yaml")
	if err != nil {
		return nil, err
	}
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, name := range names {
		raw, err := crd.FS.ReadFile(name)
		if err != nil {
			return nil, err
		}
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(raw, definition); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, definition)
	}
	return out, nil
}

// checkCRD compares a CRD with the one that this program knows; err is that of reading it.
func checkCRD(want, got *apiextensionsv1.CustomResourceDefinition, err error) Finding {
	subject := "CRD " + want.Spec.Names.Plural
	switch {
	case apierrors.IsNotFound(err):
		return fail(subject, installRemedy, "it does not exist")
	case apierrors.IsForbidden(err):
		return skip(subject, "you may not read CustomResourceDefinitions")
	case err != nil:
		return fail(subject, "try again", "%v", err)
	}
	for _, c := range got.Status.Conditions {
		if c.Type == apiextensionsv1.Established && c.Status != apiextensionsv1.ConditionTrue {
			return fail(subject, "`kubectl describe crd "+want.Name+"` tells more", "the API server does not serve it (%s): %s", c.Reason, c.Message)
		}
	}
	version := want.Spec.Versions[0]
	for _, v := range got.Spec.Versions {
		if v.Name != version.Name || !v.Served {
			continue
		}
		if !equality.Semantic.DeepEqual(v.Schema, version.Schema) {
			return warn(subject, "upgrade the operator with its CRDs (helm upgrade, with crds.enabled), or use the plugin of the operator's version",
				"%s is of another version than this plugin: fields differ", version.Name)
		}
		return ok(subject, "%s, the same as in this plugin", version.Name)
	}
	return fail(subject, "upgrade the operator with its CRDs, or use the plugin of the operator's version", "%s is not served", version.Name)
}

// manager checks the Deployment of the controllers.
func (d *Doctor) manager(ctx context.Context) []Finding {
	managers, err := uploadsctl.Managers(ctx, d.Client)
	if err != nil {
		return []Finding{unreadable("manager", "list Deployments in all namespaces", err)}
	}
	findings := checkManagers(managers)
	for i := range managers {
		if managers[i].Status.AvailableReplicas == 0 {
			findings = append(findings, d.pods(ctx, managers[i].Namespace, managers[i].Spec.Selector)...)
		}
	}
	return findings
}

func unreadable(subject, what string, err error) Finding {
	if apierrors.IsForbidden(err) {
		return skip(subject, "you may not %s", what)
	}
	return fail(subject, "try again", "%v", uploadsctl.Explain(err))
}

func checkManagers(managers []appsv1.Deployment) []Finding {
	if len(managers) == 0 {
		return []Finding{fail("manager", installRemedy, "there is no Deployment of it in any namespace")}
	}
	var findings []Finding
	for i := range managers {
		m := &managers[i]
		subject := "manager " + m.Namespace + "/" + m.Name
		wanted := int32(1)
		if m.Spec.Replicas != nil {
			wanted = *m.Spec.Replicas
		}
		switch {
		case wanted == 0:
			findings = append(findings, fail(subject, fmt.Sprintf("`kubectl scale deployment %s -n %s --replicas 1`", m.Name, m.Namespace), "it is scaled to zero"))
		case m.Status.AvailableReplicas == 0:
			findings = append(findings, fail(subject, fmt.Sprintf("`kubectl logs deployment/%s -n %s` tells why when it starts and ends", m.Name, m.Namespace),
				"none of its %d replicas is available", wanted))
		case m.Status.AvailableReplicas < wanted:
			findings = append(findings, warn(subject, "", "%d of its %d replicas are available", m.Status.AvailableReplicas, wanted))
		default:
			findings = append(findings, ok(subject, "%d of %d replicas available, %s", m.Status.AvailableReplicas, wanted, uploadsctl.ManagerImage(m)))
		}
	}
	if len(managers) > 1 {
		findings = append(findings, fail("manager", "uninstall all but one release: each of them manages every tenant of the cluster",
			"%d Deployments of it exist", len(managers)))
	}
	return findings
}

// pods tells what is wrong with the pods of a workload.
func (d *Doctor) pods(ctx context.Context, namespace string, selector *metav1.LabelSelector) []Finding {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil // the API server has checked it
	}
	var list corev1.PodList
	if err := d.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: s}); err != nil {
		return []Finding{unreadable("pods in "+namespace, "list pods in namespace "+namespace, err)}
	}
	var findings []Finding
	for i := range list.Items {
		if f := checkPod(&list.Items[i]); f.Level != OK {
			findings = append(findings, d.told(ctx, &list.Items[i], f))
		}
	}
	return findings
}

// told adds to a finding what the kubelet last warned of, such as a Secret that is missing.
func (d *Doctor) told(ctx context.Context, p *corev1.Pod, f Finding) Finding {
	var list corev1.EventList
	err := d.Client.List(ctx, &list, client.InNamespace(p.Namespace), client.MatchingFieldsSelector{
		Selector: fields.Set{"involvedObject.kind": "Pod", "involvedObject.name": p.Name, "type": corev1.EventTypeWarning}.AsSelector(),
	})
	if err != nil || len(list.Items) == 0 {
		return f // the finding stands without it
	}
	last := slices.MaxFunc(list.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	f.Message += fmt.Sprintf("; %s: %s", last.Reason, last.Message)
	return f
}

// checkPod tells why a pod is not ready, as far as the API server knows.
func checkPod(p *corev1.Pod) Finding {
	subject := "pod " + p.Name
	describe := fmt.Sprintf("`kubectl describe pod %s -n %s` tells more", p.Name, p.Namespace)
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return ok(subject, "ready")
		}
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fail(subject, "make room on the nodes, or lower spec.signer.resources", "no node takes it: %s", c.Message)
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil && strings.Contains(c.State.Waiting.Reason, "Image"):
			return fail(subject, "make the image available to the nodes: check its name, the registry and imagePullSecrets", "%s for %s: %s", c.State.Waiting.Reason, c.Image, c.State.Waiting.Message)
		case c.State.Waiting != nil && c.State.Waiting.Reason == "CrashLoopBackOff":
			return fail(subject, fmt.Sprintf("`kubectl logs %s -n %s --previous` tells why", p.Name, p.Namespace), "it ends again and again, %d times so far%s", c.RestartCount, lastEnd(c))
		case c.State.Waiting != nil:
			return fail(subject, describe, "%s", strings.TrimSuffix(c.State.Waiting.Reason+": "+c.State.Waiting.Message, ": "))
		case c.State.Terminated != nil:
			return fail(subject, fmt.Sprintf("`kubectl logs %s -n %s` tells why", p.Name, p.Namespace), "it ended with status %d (%s)", c.State.Terminated.ExitCode, c.State.Terminated.Reason)
		}
	}
	return fail(subject, describe, "it is not ready")
}

func lastEnd(c corev1.ContainerStatus) string {
	if end := c.LastTerminationState.Terminated; end != nil {
		return fmt.Sprintf(" (last with status %d, %s)", end.ExitCode, end.Reason)
	}
	return ""
}

// statusError is an answer that is not a success.
type statusError int

// Error names the status.
func (e statusError) Error() string {
	return fmt.Sprintf("HTTP %d %s", int(e), http.StatusText(int(e)))
}

func isStatus(err error, codes ...int) bool {
	var status statusError
	if errors.As(err, &status) {
		for _, code := range codes {
			if int(status) == code {
				return true
			}
		}
	}
	return false
}
