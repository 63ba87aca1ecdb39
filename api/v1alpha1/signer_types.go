package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
)

// SignerSpec shapes the signer's Deployment and how callers reach it.
// +kubebuilder:validation:XValidation:rule="!(has(self.replicas) && has(self.autoscaling))",message="set at most one of signer.replicas and signer.autoscaling"
type SignerSpec struct {
	// replicas of the signer, 1 when left out. More than one needs index.postgres.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// autoscaling by CPU instead of a fixed number of replicas.
	// +optional
	Autoscaling *AutoscalingSpec `json:"autoscaling,omitempty"`

	// resources of the signer's container. Left out: 10m CPU and 32Mi requested, 256Mi memory at most.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// networkPolicy of the signer's pods: Restricted lets traffic in on the signer's ports and out to DNS and
	// to TCP ports 80, 443 and those of the account's endpoints; Off makes none.
	// +kubebuilder:default=Restricted
	// +optional
	NetworkPolicy NetworkPolicyMode `json:"networkPolicy,omitempty"`

	// exposure makes the signer reachable from outside, on the host and path of callback.url.
	// +optional
	Exposure *ExposureSpec `json:"exposure,omitempty"`

	// logLevel of the signer. Debug logs every request, with the ids of the uploads that it granted; Info what
	// was recorded, decided and refused.
	// +kubebuilder:default=Info
	// +optional
	LogLevel SignerLogLevel `json:"logLevel,omitempty"`

	// tracing tells an OpenTelemetry collector what became of each upload, from grant to delivery.
	// +optional
	Tracing *TracingSpec `json:"tracing,omitempty"`
}

// SignerLogLevel is how much a signer logs.
// +kubebuilder:validation:Enum=Info;Debug
type SignerLogLevel string

// Log levels of a signer.
const (
	SignerLogInfo  SignerLogLevel = "Info"
	SignerLogDebug SignerLogLevel = "Debug"
)

// TracingSpec names a collector that takes OTLP over HTTP.
type TracingSpec struct {
	// endpoint of the collector without the path /v1/traces, for example
	// http://otel-collector.observability.svc:4318.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+(/[^?#\\\\s]*)?$')",message="signer.tracing.endpoint must be an http(s) URL without user, query or fragment, for example http://otel-collector.observability.svc:4318"
	// +required
	Endpoint string `json:"endpoint"`

	// samplePercent of uploads are traced. Every replica takes the same ones.
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	SamplePercent *int32 `json:"samplePercent,omitempty"`
}

// AutoscalingSpec is a HorizontalPodAutoscaler by CPU.
// +kubebuilder:validation:XValidation:rule="self.minReplicas <= self.maxReplicas",message="signer.autoscaling.minReplicas must not be larger than maxReplicas"
type AutoscalingSpec struct {
	// minReplicas is the lower end.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the upper end.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +required
	MaxReplicas int32 `json:"maxReplicas"`

	// targetCPUUtilization in percent of the requested CPU.
	// +kubebuilder:default=80
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +optional
	TargetCPUUtilization *int32 `json:"targetCPUUtilization,omitempty"`
}

// NetworkPolicyMode tells whether the signer gets a NetworkPolicy.
// +kubebuilder:validation:Enum=Restricted;Off
type NetworkPolicyMode string

// Network policy modes.
const (
	NetworkPolicyRestricted NetworkPolicyMode = "Restricted"
	NetworkPolicyOff        NetworkPolicyMode = "Off"
)

// ExposureSpec is exactly one way to reach the signer from outside.
// +kubebuilder:validation:XValidation:rule="has(self.ingress) != has(self.gateway)",message="set exactly one of signer.exposure.ingress and signer.exposure.gateway"
type ExposureSpec struct {
	// host that callers use; the host of callback.url when left out.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([a-z0-9-]*[a-z0-9])?[.])*[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="signer.exposure.host must be a host name without scheme and port, for example upload.example.com"
	// +optional
	Host string `json:"host,omitempty"`

	// ingress makes an Ingress.
	// +optional
	Ingress *IngressSpec `json:"ingress,omitempty"`

	// gateway makes an HTTPRoute of the Gateway API, whose CRDs must be installed.
	// +optional
	Gateway *GatewaySpec `json:"gateway,omitempty"`
}

// IngressSpec shapes the Ingress.
type IngressSpec struct {
	// className of the ingress controller; the cluster's default when left out.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ClassName string `json:"className,omitempty"`

	// tlsSecretName holds the certificate of the host.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	TLSSecretName string `json:"tlsSecretName,omitempty"`

	// annotations for the ingress controller.
	// +kubebuilder:validation:MaxProperties=32
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// GatewaySpec names the Gateway that the HTTPRoute attaches to.
type GatewaySpec struct {
	// name of the Gateway.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`

	// namespace of the Gateway; the tenant's own when left out.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// sectionName is one listener of the Gateway.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	SectionName string `json:"sectionName,omitempty"`
}
