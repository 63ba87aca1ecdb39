{{- define "type_members" -}}
{{- if eq .Name "metadata" -}}
Name, namespace, labels and annotations.
{{- else -}}
{{ template "cell" .Doc }}
{{- end -}}
{{- end -}}

{{- /* Text that Markdown would take for something else. */ -}}
{{- define "prose" -}}
{{ . | replace "<" "&lt;" | replace "*" "\\*" }}
{{- end -}}

{{- define "cell" -}}
{{ . | trim | replace "\n" " " | replace "<" "&lt;" | replace "|" "\\|" | replace "*" "\\*" }}
{{- end -}}

{{- /* What a value must be, in words; rules of a struct are told with the struct. */ -}}
{{- define "validation" -}}
{{- $m := .Markers -}}
{{- $out := list -}}
{{- if index $m "required" }}{{ $out = append $out "required" }}{{ end -}}
{{- with index $m "kubebuilder:validation:Minimum" }}{{ $out = append $out (printf "at least %d" (int64 (first .))) }}{{ end -}}
{{- with index $m "kubebuilder:validation:Maximum" }}{{ $out = append $out (printf "at most %d" (int64 (first .))) }}{{ end -}}
{{- range $marker, $words := dict
    "MinLength" "at least %v characters" "MinItems" "at least %v items"
    "MaxLength" "at most %v characters" "MaxItems" "at most %v items" "MaxProperties" "at most %v entries"
    "items:MaxLength" "each at most %v characters" -}}
{{- with index $m (printf "kubebuilder:validation:%s" $marker) -}}
{{- if ne (printf "%v" (first .)) "1" }}{{ $out = append $out (printf $words (first .)) }}{{ else }}{{ $out = append $out "not empty" }}{{ end -}}
{{- end -}}
{{- end -}}
{{- with index $m "kubebuilder:validation:Enum" }}{{ $out = append $out (printf "one of %s" (join ", " (first .))) }}{{ end -}}
{{- $own := .Type -}}
{{- if eq (printf "%d" $own.Kind) "4" }}{{ $own = $own.UnderlyingType }}{{ end -}}
{{- $told := dict -}}
{{- range index $own.Markers "kubebuilder:validation:XValidation" }}{{ $_ := set $told .Message true }}{{ end -}}
{{- range index $m "kubebuilder:validation:XValidation" -}}
{{- if not (hasKey $told .Message) }}{{ $out = append $out .Message }}{{ end -}}
{{- end -}}
{{- template "cell" (join "; " $out) -}}
{{- end -}}
