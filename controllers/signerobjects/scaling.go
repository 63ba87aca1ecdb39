package signerobjects

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// several tells whether the signer may have more than one replica.
func several(t *v1alpha1.UploadTenant) bool {
	if scaling := t.Spec.Signer.Autoscaling; scaling != nil {
		return scaling.MaxReplicas > 1
	}
	return t.Spec.Signer.Replicas != nil && *t.Spec.Signer.Replicas > 1
}

// scale sets the replicas, which an autoscaler owns when there is one.
func scale(t *v1alpha1.UploadTenant, spec *appsv1ac.DeploymentSpecApplyConfiguration) *appsv1ac.DeploymentSpecApplyConfiguration {
	switch signer := t.Spec.Signer; {
	case signer.Autoscaling != nil:
		return spec
	case signer.Replicas != nil:
		return spec.WithReplicas(*signer.Replicas)
	}
	return spec.WithReplicas(1)
}

// spread keeps replicas on different nodes when it can.
func spread(t *v1alpha1.UploadTenant, pod *corev1ac.PodSpecApplyConfiguration) *corev1ac.PodSpecApplyConfiguration {
	if !several(t) {
		return pod
	}
	for _, key := range []string{corev1.LabelHostname, corev1.LabelTopologyZone} {
		pod.WithTopologySpreadConstraints(corev1ac.TopologySpreadConstraint().
			WithMaxSkew(1).WithTopologyKey(key).WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(selector(t))))
	}
	return pod
}

// Autoscaler scales the Deployment by CPU; nil when the spec does not ask for it.
func Autoscaler(in Input) *autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration {
	t := in.Tenant
	scaling := t.Spec.Signer.Autoscaling
	if scaling == nil {
		return nil
	}
	return autoscalingv2ac.HorizontalPodAutoscaler(Name(t), t.Namespace).
		WithLabels(Labels(t)).WithOwnerReferences(owner(t)).
		WithSpec(autoscalingv2ac.HorizontalPodAutoscalerSpec().
			WithScaleTargetRef(autoscalingv2ac.CrossVersionObjectReference().
				WithAPIVersion("apps/v1").WithKind("Deployment").WithName(Name(t))).
			WithMinReplicas(*scaling.MinReplicas).
			WithMaxReplicas(scaling.MaxReplicas).
			WithMetrics(autoscalingv2ac.MetricSpec().
				WithType(autoscalingv2.ResourceMetricSourceType).
				WithResource(autoscalingv2ac.ResourceMetricSource().
					WithName(corev1.ResourceCPU).
					WithTarget(autoscalingv2ac.MetricTarget().
						WithType(autoscalingv2.UtilizationMetricType).
						WithAverageUtilization(*scaling.TargetCPUUtilization)))))
}

// DisruptionBudget keeps all replicas but one during voluntary disruptions; nil for a single replica, whose
// budget would only block the draining of its node.
func DisruptionBudget(in Input) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	t := in.Tenant
	if !several(t) {
		return nil
	}
	return policyv1ac.PodDisruptionBudget(Name(t), t.Namespace).
		WithLabels(Labels(t)).WithOwnerReferences(owner(t)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(selector(t))))
}
