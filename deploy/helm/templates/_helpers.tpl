{{- define "iterable-sync.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "iterable-sync.selector" -}}
app.kubernetes.io/name: iterable-sync
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "iterable-sync.labels" -}}
{{ include "iterable-sync.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
