package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion names the API group and version of every kind in this package.
	GroupVersion = schema.GroupVersion{Group: "oss.uploadtenant.io", Version: "v1alpha1"}

	// SchemeGroupVersion is the name that generated code uses for GroupVersion.
	SchemeGroupVersion = GroupVersion

	// SchemeBuilder collects the functions that register this package's kinds.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers this package's kinds with a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&UploadTenant{}, &UploadTenantList{},
		&CloudAccount{}, &CloudAccountList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
