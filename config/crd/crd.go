// Package crd carries the generated CustomResourceDefinitions, so that a program without a cluster can judge
// a manifest by the very schema that the API server would use.
package crd

import "embed"

// FS holds one generated YAML file per kind, named <group>_<plural>.yaml.
//
//go:embed oss.uploadtenant.io_*.yaml
var FS embed.FS
