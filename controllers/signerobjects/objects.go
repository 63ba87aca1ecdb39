// Package signerobjects renders the Kubernetes objects of a signer. Everything here is a pure function of
// its input; applying is the reconciler's part.
package signerobjects

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/controllers/signerconfig"
	"github.com/uploadtenant/uploadtenant/policy"
	"github.com/uploadtenant/uploadtenant/signer/config"
)

// Labels of every object of a signer. The manager's caches hold only what carries LabelManagedBy.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance"
	LabelManagedBy = "app.kubernetes.io/managed-by"

	AppName   = "uploadtenant-signer"
	ManagedBy = "uploadtenant"
)

// AnnotationConfigHash on the pod template rolls the signer out when config.Fixed changes. A running signer
// follows the rest, config.Live, by itself.
const AnnotationConfigHash = "oss.uploadtenant.io/config-hash"

// AnnotationTicketKeys on the pod template makes changed ticket keys roll the signer out.
const AnnotationTicketKeys = "oss.uploadtenant.io/ticket-keys"

// Keys of the ConfigMap and of the Secret with the ticket keys.
const (
	configKey = "config.json"
	// TicketKeysKey is the only key of the Secret.
	TicketKeysKey = "keys.json"
	// SessionKey is the only key of the Secret with the brokered session.
	SessionKey = "credentials.json"
)

// Ports of the signer's container.
const (
	apiPort = 8080
	opsPort = 8081
)

// gracePeriod covers how a signer ends by itself: 10 s in which it is not ready but answers, 20 s for
// requests in flight and 20 s for an event that is being delivered.
const gracePeriod = 55

// tokenLifetime of the projected token, in seconds: the kubelet renews it at 80 %, and an hour is more
// than one AssumeRoleWithOIDC needs.
const tokenLifetime = 3600

// Name is the name of the signer's ServiceAccount, ConfigMap, Deployment and Service.
func Name(tenant *v1alpha1.UploadTenant) string { return tenant.Name + "-signer" }

// TicketSecretName is the name of the Secret with the ticket keys.
func TicketSecretName(tenant *v1alpha1.UploadTenant) string { return Name(tenant) + "-tickets" }

// SessionSecretName is the name of the Secret with the brokered session.
func SessionSecretName(tenant *v1alpha1.UploadTenant) string { return Name(tenant) + "-session" }

// URL of the signer inside the cluster.
func URL(tenant *v1alpha1.UploadTenant) string {
	return "http://" + Name(tenant) + "." + tenant.Namespace + ".svc"
}

// Labels of a tenant's objects.
func Labels(tenant *v1alpha1.UploadTenant) map[string]string {
	return map[string]string{LabelName: AppName, LabelInstance: tenant.Name, LabelManagedBy: ManagedBy}
}

// selector is what the Deployment and the Service select; it never changes.
func selector(tenant *v1alpha1.UploadTenant) map[string]string {
	return map[string]string{LabelName: AppName, LabelInstance: tenant.Name}
}

func owner(tenant *v1alpha1.UploadTenant) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("UploadTenant").
		WithName(tenant.Name).WithUID(tenant.UID).
		WithController(true).WithBlockOwnerDeletion(true)
}

// Input is what the objects are made of.
type Input struct {
	Tenant *v1alpha1.UploadTenant
	Config config.Config
	// Image of the signer.
	Image string
	// TicketKeys identifies the ticket keys, which the signer reads when it starts.
	TicketKeys string
}

// ServiceAccount is the identity that the role trusts. It has no right in the cluster.
func ServiceAccount(in Input) *corev1ac.ServiceAccountApplyConfiguration {
	t := in.Tenant
	return corev1ac.ServiceAccount(Name(t), t.Namespace).
		WithLabels(Labels(t)).WithOwnerReferences(owner(t)).
		WithAutomountServiceAccountToken(false)
}

// ConfigMap holds the configuration as one file.
func ConfigMap(in Input) (*corev1ac.ConfigMapApplyConfiguration, error) {
	raw, err := json.MarshalIndent(in.Config, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the signer's configuration: %w", err)
	}
	t := in.Tenant
	return corev1ac.ConfigMap(Name(t), t.Namespace).
		WithLabels(Labels(t)).WithOwnerReferences(owner(t)).
		WithData(map[string]string{configKey: string(raw)}), nil
}

// Service leads to the API port only: health and metrics stay on the pod.
func Service(in Input) *corev1ac.ServiceApplyConfiguration {
	t := in.Tenant
	return corev1ac.Service(Name(t), t.Namespace).
		WithLabels(Labels(t)).WithOwnerReferences(owner(t)).
		WithSpec(corev1ac.ServiceSpec().
			WithSelector(selector(t)).
			WithPorts(corev1ac.ServicePort().WithName("http").WithPort(80).
				WithProtocol(corev1.ProtocolTCP).WithTargetPort(intstr.FromString("http"))))
}

// Deployment runs the signer. A new pod answers before the old one goes, so that a changed configuration
// fails no request.
func Deployment(in Input) *appsv1ac.DeploymentApplyConfiguration {
	t := in.Tenant
	template := corev1ac.PodTemplateSpec().
		WithLabels(Labels(t)).
		WithAnnotations(map[string]string{AnnotationConfigHash: configHash(in.Config.Fixed), AnnotationTicketKeys: in.TicketKeys}).
		WithSpec(podSpec(in))
	return appsv1ac.Deployment(Name(t), t.Namespace).
		WithLabels(Labels(t)).WithOwnerReferences(owner(t)).
		WithSpec(scale(t, appsv1ac.DeploymentSpec()).
			WithRevisionHistoryLimit(2).
			WithStrategy(appsv1ac.DeploymentStrategy().
				WithType(appsv1.RollingUpdateDeploymentStrategyType).
				WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
					WithMaxUnavailable(intstr.FromInt32(0)).WithMaxSurge(intstr.FromInt32(1)))).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selector(t))).
			WithTemplate(template))
}

func podSpec(in Input) *corev1ac.PodSpecApplyConfiguration {
	return spread(in.Tenant, corev1ac.PodSpec()).
		WithServiceAccountName(Name(in.Tenant)).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(gracePeriod).
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(65532).WithRunAsGroup(65532).WithFSGroup(65532).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithContainers(container(in)).
		WithVolumes(volumes(in)...)
}

func container(in Input) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName("signer").
		WithImage(in.Image).
		WithImagePullPolicy(corev1.PullIfNotPresent).
		WithArgs(args(in.Tenant)...).
		WithEnv(environment(in.Tenant)...).
		WithPorts(
			corev1ac.ContainerPort().WithName("http").WithContainerPort(apiPort).WithProtocol(corev1.ProtocolTCP),
			corev1ac.ContainerPort().WithName("ops").WithContainerPort(opsPort).WithProtocol(corev1.ProtocolTCP)).
		WithReadinessProbe(probe("/readyz").WithPeriodSeconds(3).WithFailureThreshold(3)).
		WithLivenessProbe(probe("/healthz").WithPeriodSeconds(10).WithFailureThreshold(6)).
		WithStartupProbe(probe("/healthz").WithPeriodSeconds(1).WithFailureThreshold(60)).
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithReadOnlyRootFilesystem(true).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))).
		WithResources(resources(in.Tenant)).
		WithVolumeMounts(mounts(in)...)
}

// args of the signer. What is left out does not roll out the signers that run.
func args(t *v1alpha1.UploadTenant) []string {
	list := []string{"--config", signerconfig.ConfigFile, "--addr", fmt.Sprintf(":%d", apiPort), "--ops-addr", fmt.Sprintf(":%d", opsPort)}
	if t.Spec.Signer.LogLevel == v1alpha1.SignerLogDebug {
		list = append(list, "--log-level", "debug")
	}
	return list
}

// environment holds the standard variables of OpenTelemetry when the tenant is traced, and nothing secret.
func environment(t *v1alpha1.UploadTenant) []*corev1ac.EnvVarApplyConfiguration {
	tracing := t.Spec.Signer.Tracing
	if tracing == nil {
		return nil
	}
	variable := func(name, value string) *corev1ac.EnvVarApplyConfiguration {
		return corev1ac.EnvVar().WithName(name).WithValue(value)
	}
	return []*corev1ac.EnvVarApplyConfiguration{
		variable("OTEL_EXPORTER_OTLP_ENDPOINT", tracing.Endpoint),
		variable("OTEL_TRACES_SAMPLER", "traceidratio"),
		variable("OTEL_TRACES_SAMPLER_ARG", fmt.Sprintf("%.2f", float64(*tracing.SamplePercent)/100)),
		variable("OTEL_RESOURCE_ATTRIBUTES", "k8s.namespace.name="+t.Namespace+",k8s.deployment.name="+Name(t)),
	}
}

func probe(path string) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().
		WithTimeoutSeconds(2).
		WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString("ops")))
}

// resources fit an idle signer many times over; there is no CPU limit, because throttling a signer only
// makes uploads slower.
func resources(t *v1alpha1.UploadTenant) *corev1ac.ResourceRequirementsApplyConfiguration {
	if own := t.Spec.Signer.Resources; own != nil {
		return corev1ac.ResourceRequirements().WithRequests(own.Requests).WithLimits(own.Limits)
	}
	return corev1ac.ResourceRequirements().
		WithRequests(corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("10m"),
			corev1.ResourceMemory: resource.MustParse("32Mi"),
		}).
		WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")})
}

// volumes: one projected volume holds every file of the configuration, because a mount cannot be nested in
// a read-only one; it follows changed Secrets and ConfigMaps, which a subPath would not.
func volumes(in Input) []*corev1ac.VolumeApplyConfiguration {
	t := in.Tenant
	files := []*corev1ac.VolumeProjectionApplyConfiguration{
		corev1ac.VolumeProjection().WithConfigMap(corev1ac.ConfigMapProjection().WithName(Name(t)).
			WithItems(corev1ac.KeyToPath().WithKey(configKey).WithPath("config.json"))),
		secretFile(TicketSecretName(t), TicketKeysKey, "tickets/keys.json"),
	}
	if jwt := t.Spec.Auth.JWT; jwt != nil && jwt.SecretRef != nil {
		files = append(files, secretFile(jwt.SecretRef.Name, jwt.SecretRef.Key, "secrets/jwt/secret"))
	}
	if wechat := t.Spec.Auth.WeChat; wechat != nil {
		files = append(files, secretFile(wechat.SecretRef.Name, wechat.SecretRef.Key, "secrets/wechat/secret"))
	}
	if check := t.Spec.Verification.MediaCheck; check != nil {
		files = append(files, secretFile(check.PushSecretRef.Name, "token", "secrets/push/token"),
			optionalFile(check.PushSecretRef.Name, "encodingAESKey", "secrets/push/encodingAESKey"))
	}
	if events := t.Spec.Events; events != nil {
		files = append(files, secretFile(events.SecretRef.Name, events.SecretRef.Key, "secrets/events/secret"))
	}
	if postgres := t.Spec.Index.Postgres; postgres != nil {
		files = append(files, secretFile(postgres.SecretRef.Name, postgres.SecretRef.Key, "secrets/index/dsn"),
			optionalFile(postgres.SecretRef.Name, "ca.crt", "secrets/index/ca.crt"))
	}
	if in.Config.Credentials.SessionFile != "" {
		files = append(files, secretFile(SessionSecretName(t), SessionKey, "session/credentials.json"))
	}
	token := corev1ac.VolumeProjection().WithServiceAccountToken(corev1ac.ServiceAccountTokenProjection().
		WithAudience(policy.TokenAudience).WithExpirationSeconds(tokenLifetime).WithPath("token"))
	all := []*corev1ac.VolumeApplyConfiguration{
		corev1ac.Volume().WithName("files").WithProjected(corev1ac.ProjectedVolumeSource().WithSources(files...)),
	}
	if t.Spec.Index.Postgres == nil {
		all = append(all, corev1ac.Volume().WithName("index").WithEmptyDir(corev1ac.EmptyDirVolumeSource()))
	}
	if in.Config.Credentials.TokenFile != "" {
		all = append(all, corev1ac.Volume().WithName("oidc").WithProjected(corev1ac.ProjectedVolumeSource().WithSources(token)))
	}
	return all
}

func secretFile(secret, key, path string) *corev1ac.VolumeProjectionApplyConfiguration {
	return corev1ac.VolumeProjection().WithSecret(corev1ac.SecretProjection().WithName(secret).
		WithItems(corev1ac.KeyToPath().WithKey(key).WithPath(path)))
}

// optionalFile is there when the Secret has the key.
func optionalFile(secret, key, path string) *corev1ac.VolumeProjectionApplyConfiguration {
	file := secretFile(secret, key, path)
	file.Secret.WithOptional(true)
	return file
}

func mounts(in Input) []*corev1ac.VolumeMountApplyConfiguration {
	all := []*corev1ac.VolumeMountApplyConfiguration{
		corev1ac.VolumeMount().WithName("files").WithMountPath("/etc/uploadtenant").WithReadOnly(true),
	}
	if in.Tenant.Spec.Index.Postgres == nil {
		all = append(all, corev1ac.VolumeMount().WithName("index").WithMountPath("/var/lib/uploadtenant"))
	}
	if in.Config.Credentials.TokenFile != "" {
		all = append(all, corev1ac.VolumeMount().WithName("oidc").WithMountPath("/var/run/secrets/uploadtenant/oidc").WithReadOnly(true))
	}
	return all
}

// configHash identifies the part of a configuration that a running signer cannot follow.
func configHash(fixed config.Fixed) string {
	// It always encodes: it holds strings, numbers, slices and maps only.
	raw, _ := json.Marshal(fixed)
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])[:16]
}
