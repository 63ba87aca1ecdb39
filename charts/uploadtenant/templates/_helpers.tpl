{{/* Name of everything namespaced in this release. */}}
{{- define "uploadtenant.name" -}}
{{- if contains "uploadtenant" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-uploadtenant" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "uploadtenant.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "uploadtenant.name" .) -}}
{{- end -}}

{{- define "uploadtenant.selectorLabels" -}}
app.kubernetes.io/name: uploadtenant
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end -}}

{{- define "uploadtenant.labels" -}}
{{ include "uploadtenant.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Call with (list $ .Values.path.to.image). */}}
{{- define "uploadtenant.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- printf "%s:%s" $image.repository ($image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}

{{/* The CloudAccount of the values. */}}
{{- define "uploadtenant.account" -}}
apiVersion: oss.uploadtenant.io/v1alpha1
kind: CloudAccount
metadata:
  name: {{ .Values.account.name }}
spec:
  {{- toYaml .Values.account.spec | nindent 2 }}
{{- end -}}
