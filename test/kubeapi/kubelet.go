package kubeapi

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// AnnotationHold on a Deployment keeps the stand-in for the kubelet from making it available.
const AnnotationHold = "test.uploadtenant.io/hold"

// kubelet marks every Deployment available, as the deployment controller and the kubelet would.
type kubelet struct{ client.Client }

// Reconcile marks one Deployment.
func (k *kubelet) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var deployment appsv1.Deployment
	if err := k.Get(ctx, request.NamespacedName, &deployment); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	replicas := ptr.Deref(deployment.Spec.Replicas, 1)
	done := deployment.Status.ObservedGeneration == deployment.Generation && deployment.Status.AvailableReplicas == replicas
	if done || deployment.Annotations[AnnotationHold] != "" {
		return ctrl.Result{}, nil
	}
	before := deployment.DeepCopy()
	deployment.Status = appsv1.DeploymentStatus{
		ObservedGeneration: deployment.Generation,
		Replicas:           replicas, UpdatedReplicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable"}},
	}
	return ctrl.Result{}, client.IgnoreNotFound(k.Status().Patch(ctx, &deployment, client.MergeFrom(before)))
}

// RunKubelet stands in for the kubelet until ctx ends.
func RunKubelet(ctx context.Context, cfg *rest.Config) error {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return err
	}
	err = ctrl.NewControllerManagedBy(mgr).Named("kubelet").For(&appsv1.Deployment{}).Complete(&kubelet{mgr.GetClient()})
	if err != nil {
		return err
	}
	if err := mgr.Start(ctx); ctx.Err() == nil {
		return err
	}
	return nil // how it ends after the tests is no concern of theirs
}
