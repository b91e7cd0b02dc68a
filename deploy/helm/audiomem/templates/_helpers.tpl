{{- define "audiomem.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "audiomem.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "audiomem.name" .) .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name (include "audiomem.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "audiomem.selector" -}}
app.kubernetes.io/name: {{ include "audiomem.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "audiomem.labels" -}}
{{ include "audiomem.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "audiomem.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "audiomem.fullname" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "audiomem.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* The Secret with tokens.json; empty for none. */}}
{{- define "audiomem.tokens" -}}
{{- if .Values.tokens.existingSecret }}{{ .Values.tokens.existingSecret }}
{{- else if .Values.tokens.content }}{{ include "audiomem.fullname" . }}-tokens
{{- end }}
{{- end }}

{{- /* "yes" where replicas share nothing that only one may have. */}}
{{- define "audiomem.many" -}}
{{- if or (not .Values.persistence.enabled) (and (not .Values.serve.writable) (eq .Values.persistence.accessMode "ReadOnlyMany")) }}yes{{ end }}
{{- end }}

{{- define "audiomem.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  {{- if .root.Values.tls.existingSecret }}
  scheme: HTTPS
  {{- end }}
  {{- with .root.Values.serve.allowHosts }}
  httpHeaders:
    - name: Host
      value: {{ first . | quote }}
  {{- end }}
{{- end }}

{{- define "audiomem.check" -}}
{{- if and .Values.serve.writable (not (include "audiomem.tokens" .)) }}
{{- fail "serve.writable needs tokens: set tokens.existingSecret or tokens.content" }}
{{- end }}
{{- range .Values.tables }}
{{- if and (hasPrefix "/data/" .) (not $.Values.persistence.enabled) }}
{{- fail (printf "%s is in no volume: set persistence.enabled" .) }}
{{- end }}
{{- end }}
{{- if and .Values.autoscaling.enabled (not (include "audiomem.many" .)) }}
{{- fail "autoscaling needs tables at URLs, or persistence.accessMode ReadOnlyMany: only one server writes to a volume" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas is above maxReplicas" }}
{{- end }}
{{- end }}
