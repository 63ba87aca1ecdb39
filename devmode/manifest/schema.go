package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	structuralcel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// kindSchema judges objects of one kind as the API server does.
type kindSchema struct {
	kind       schema.GroupVersionKind
	namespaced bool
	structural *structuralschema.Structural
	openAPI    validation.SchemaValidator
	cel        *structuralcel.Validator
}

// loadSchemas reads every CustomResourceDefinition of crds. relax may change a schema before it is
// compiled; it is given the kind and the schema of the object's root.
func loadSchemas(crds fs.FS, relax func(kind string, root *apiextensions.JSONSchemaProps)) (map[schema.GroupVersionKind]*kindSchema, error) {
	names, err := fs.Glob(crds, "*.yaml")
	if err != nil {
		return nil, err
	}
	schemas := map[schema.GroupVersionKind]*kindSchema{}
	for _, name := range names {
		raw, err := fs.ReadFile(crds, name)
		if err != nil {
			return nil, err
		}
		var def apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(raw, &def); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		for _, version := range def.Spec.Versions {
			s, err := newKindSchema(&def, version, relax)
			if err != nil {
				return nil, fmt.Errorf("compile schema of %s: %w", name, err)
			}
			schemas[s.kind] = s
		}
	}
	return schemas, nil
}

func newKindSchema(def *apiextensionsv1.CustomResourceDefinition, version apiextensionsv1.CustomResourceDefinitionVersion, relax func(string, *apiextensions.JSONSchemaProps)) (*kindSchema, error) {
	var props apiextensions.CustomResourceValidation
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(version.Schema, &props, nil); err != nil {
		return nil, err
	}
	relax(def.Spec.Names.Kind, props.OpenAPIV3Schema)
	structural, err := structuralschema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	openAPI, _, err := validation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &kindSchema{
		kind:       schema.GroupVersionKind{Group: def.Spec.Group, Version: version.Name, Kind: def.Spec.Names.Kind},
		namespaced: def.Spec.Scope == apiextensionsv1.NamespaceScoped,
		structural: structural,
		openAPI:    openAPI,
		cel:        structuralcel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// admit defaults obj in place and returns its metadata, or an error that says everything that the API
// server would refuse. The order and the texts are those of the API server's custom resource handler.
func (s *kindSchema) admit(ctx context.Context, obj map[string]any) (*metav1.ObjectMeta, error) {
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(obj, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, err
	}
	if !found {
		meta = &metav1.ObjectMeta{}
	}
	unknown = append(unknown, pruning.PruneWithOptions(obj, s.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	if len(unknown) > 0 {
		return nil, unknownFieldsError(unknown)
	}
	delete(obj, "status") // belongs to the controller; the API server drops it on create as well
	if meta.Namespace == "" && s.namespaced {
		meta.Namespace = metav1.NamespaceDefault
		if err := objectmeta.SetObjectMeta(obj, meta); err != nil {
			return nil, err
		}
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(obj, s.structural)
	defaulting.Default(obj, s.structural)
	if errs := s.validate(ctx, meta, obj); len(errs) > 0 {
		return nil, &InvalidError{Kind: s.kind.GroupKind(), Name: meta.Name, Errors: errs}
	}
	return meta, nil
}

func (s *kindSchema) validate(ctx context.Context, meta *metav1.ObjectMeta, obj map[string]any) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(meta, s.namespaced, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, validation.ValidateCustomResource(nil, obj, s.openAPI)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, obj)...)
	if slices.ContainsFunc(errs, blocksRules) {
		return append(errs, field.Invalid(nil, nil, "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"))
	}
	ruleErrs, _ := s.cel.Validate(ctx, nil, s.structural, obj, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, ruleErrs...)
}

// blocksRules tells whether err leaves the object in a shape that rules must not be run on.
func blocksRules(err *field.Error) bool {
	switch err.Type {
	case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
		return true
	default:
		return false
	}
}

func unknownFieldsError(paths []string) error {
	var errs []error
	for _, path := range paths {
		errs = append(errs, fmt.Errorf("unknown field %q", path))
	}
	return fmt.Errorf("strict decoding error: %w", errors.Join(errs...))
}
