{{/* Names and labels */}}

{{- define "rollouts-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters at most, since "-kube-state-metrics" and the names of dashboards follow */}}
{{- define "rollouts-exporter.fullname" -}}
{{- $name := include "rollouts-exporter.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "rollouts-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rollouts-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rollouts-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "rollouts-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name, namespace and labels of an object: (list $ name namespace labels) */}}
{{- define "rollouts-exporter.metadata" -}}
{{- $ := index . 0 -}}
name: {{ index . 1 }}
namespace: {{ default $.Release.Namespace (index . 2) }}
labels:
  {{- include "rollouts-exporter.labels" $ | nindent 2 }}
  {{- with index . 3 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "rollouts-exporter.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{/* Where the files of the pod are */}}

{{- define "rollouts-exporter.directory" -}}/var/lib/rollouts-exporter{{- end -}}
{{- define "rollouts-exporter.configDirectory" -}}/etc/rollouts-exporter{{- end -}}
{{- define "rollouts-exporter.secretDirectory" -}}/etc/last9{{- end -}}

{{- define "rollouts-exporter.secretName" -}}
{{- default (include "rollouts-exporter.fullname" .) .Values.last9.existingSecret -}}
{{- end -}}

{{- define "rollouts-exporter.hasSecret" -}}
{{- if or .Values.last9.existingSecret .Values.last9.writeToken }}true{{ end -}}
{{- end -}}

{{/* The components to scrape: one row each, as a YAML list of {key, section, suffix, enabled} */}}
{{- define "rollouts-exporter.sources" -}}
- {key: argoRollouts, section: argo, suffix: argo-rollouts, enabled: true}
- {key: kubeStateMetrics, section: kube_state_metrics, suffix: kube-state-metrics, enabled: {{ .Values.kubeStateMetrics.enabled }}}
- {key: rolloutState, section: rollout_state, suffix: rollout-state, enabled: {{ .Values.rolloutState.enabled }}}
{{- end -}}

{{/* The port of an OTLP endpoint, which may have no scheme (gRPC) */}}
{{- define "rollouts-exporter.otlpPort" -}}
{{- $url := urlParse (ternary . (printf "https://%s" .) (contains "://" .)) -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (ternary "80" "443" (eq $url.scheme "http")) $port -}}
{{- end -}}
