{{- define "type" -}}
{{- $type := .type }}
{{ .level }} {{ $type.Name }}

{{ template "prose" $type.Doc }}
{{ if $type.References }}
Part of {{ range $i, $r := $type.SortedReferences }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $r }}{{ end }}.
{{ end }}
{{- range index $type.Markers "kubebuilder:validation:XValidation" }}
- {{ template "cell" .Message }}
{{- end }}
{{- with index $type.Markers "kubebuilder:validation:Pattern" }}
- matches `{{ first . }}`
{{- end }}
{{- with index $type.Markers "kubebuilder:validation:MaxLength" }}
- at most {{ first . }} characters
{{- end }}
{{- if or (index $type.Markers "kubebuilder:validation:XValidation") (index $type.Markers "kubebuilder:validation:Pattern") }}
{{ end }}
{{- $told := "" }}{{ range $type.EnumValues }}{{ $told = print $told .Doc }}{{ end -}}
{{- if and $type.EnumValues (not $told) }}
{{ range $i, $v := $type.EnumValues }}{{ if $i }}, {{ end }}`{{ .Name }}`{{ end }}
{{ else if $type.EnumValues }}
| value | meaning |
|---|---|
{{ range $type.EnumValues -}}
| `{{ .Name }}` | {{ template "cell" .Doc }} |
{{ end -}}
{{- else if $type.Members }}
| field | default | meaning | validation |
|---|---|---|---|
{{ if $type.GVK -}}
| `apiVersion` *string* | | `{{ $type.GVK.Group }}/{{ $type.GVK.Version }}` | |
| `kind` *string* | | `{{ $type.GVK.Kind }}` | |
{{ end -}}
{{ range $type.Members -}}
| `{{ .Name }}` *{{ markdownRenderType .Type | replace "object (keys:string, values:string)" "map of strings" }}* | {{ template "default" .Default }} | {{ template "type_members" . }} | {{ template "validation" . }} |
{{ end -}}
{{- end -}}
{{- end -}}

{{- define "default" -}}
{{- $text := . | trimPrefix "{ " | trimSuffix " }" | trim -}}
{{- if $text }}`{{ $text }}`{{ end -}}
{{- end -}}
