{{- define "gvDetails" -}}
{{- $seen := dict -}}
{{- $gv := . -}}
{{ range list "UploadTenant" "CloudAccount" }}{{ template "walk" (dict "type" ($gv.TypeForKind .) "seen" $seen "level" "##") }}{{ end }}
{{- end -}}

{{- /* A type, and behind it what it is made of: who reads on finds the parts in the order of the YAML. */ -}}
{{- define "walk" -}}
{{- $seen := .seen -}}
{{- $type := .type -}}
{{- if and (markdownShouldRenderType $type) (contains "uploadtenant" $type.Package) (not (hasKey $seen $type.Name)) -}}
{{- $_ := set $seen $type.Name true -}}
{{- template "type" (dict "type" $type "level" .level) -}}
{{- range $type.Members -}}
{{- $base := .Type -}}
{{- /* Kinds 4 and 5 are pointers and slices, 3 are maps. */ -}}
{{- range until 3 }}{{ if has (printf "%d" $base.Kind) (list "4" "5") }}{{ $base = $base.UnderlyingType }}{{ end }}{{ end -}}
{{- if eq (printf "%d" $base.Kind) "3" }}{{ $base = $base.ValueType }}{{ end -}}
{{- template "walk" (dict "type" $base "seen" $seen "level" "###") -}}
{{- end -}}
{{- end -}}
{{- end -}}
