// Package v1alpha1 holds the UploadTenant and CloudAccount kinds of the API group
// oss.uploadtenant.io, their condition types and reasons, and their validation rules.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=oss.uploadtenant.io
package v1alpha1
