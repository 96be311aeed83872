{{/* Names and labels */}}

{{- define "rollouts-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters, since "-kube-state-metrics" and the names of dashboards are appended */}}
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

{{/* Metadata of an object, from (list $ name namespace labels) */}}
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

{{/* Paths in the pod */}}

{{- define "rollouts-exporter.directory" -}}/var/lib/rollouts-exporter{{- end -}}
{{- define "rollouts-exporter.configDirectory" -}}/etc/rollouts-exporter{{- end -}}
{{- define "rollouts-exporter.secretDirectory" -}}/etc/last9{{- end -}}

{{- define "rollouts-exporter.readDirectory" -}}/etc/last9-read{{- end -}}

{{- define "rollouts-exporter.secretName" -}}
{{- default (include "rollouts-exporter.fullname" .) .Values.last9.existingSecret -}}
{{- end -}}

{{- define "rollouts-exporter.hasSecret" -}}
{{- if or .Values.last9.existingSecret .Values.last9.writeToken }}true{{ end -}}
{{- end -}}

{{/*
The components to scrape as YAML, one row each. `scrapes` is service (the headless Service of this chart), targets (those
in the values), config (.Values.config has the targets) or disabled.
*/}}
{{- define "rollouts-exporter.sources" -}}
{{- range $row := list (list "argoRollouts" "argo") (list "kubeStateMetrics" "kube_state_metrics") (list "rolloutState" "rollout_state") }}
{{- $key := index $row 0 -}}{{- $section := index $row 1 -}}{{- $values := index $.Values $key -}}
{{- $config := get $.Values.config $section -}}
{{- $scrapes := ternary "targets" (ternary "service" "nothing" $values.createService) (not (empty $values.targets)) -}}
{{- if eq (toString $values.enabled) "false" -}}{{- $scrapes = "disabled" -}}{{- end -}}
{{- if or (kindIs "slice" $config) (and (kindIs "map" $config) (hasKey (default dict $config) "targets")) -}}{{- $scrapes = "config" -}}{{- end -}}
{{- if eq $scrapes "nothing" -}}
{{- fail (printf "%s.createService is false: set %s.targets, such as [%s.%s.svc:%v]" $key $key (kebabcase $key) $values.namespace $values.port) -}}
{{- end }}
- {key: {{ $key }}, section: {{ $section }}, name: {{ include "rollouts-exporter.fullname" $ }}-{{ kebabcase $key }}, scrapes: {{ $scrapes }}}
{{- end }}
{{- end -}}

{{/* Where verify reads; empty: it is off */}}
{{- define "rollouts-exporter.readAddress" -}}
{{- if .Values.verify.enabled -}}
{{- $config := include "rollouts-exporter.config" . | fromYaml -}}
{{- $address := default (dig "read" "address" "" $config) .Values.verify.address -}}
{{- if and (not $address) (not (dig "read" "last9" "cluster" "" $config)) -}}
{{- fail "verify.enabled needs the store to read from: set verify.address to the Read URL of your cluster, without /api/v1" -}}
{{- end -}}
{{- if not (dig "otlp" "endpoint" "" $config) -}}
{{- fail "verify.enabled needs an endpoint to push to: set last9.otlpEndpoint" -}}
{{- end -}}
{{- default "https://read-app-tsdb.last9.io" $address -}}
{{- end -}}
{{- end -}}

{{/* The port of an OTLP endpoint, which may have no scheme (gRPC) */}}
{{- define "rollouts-exporter.otlpPort" -}}
{{- $url := urlParse (ternary . (printf "https://%s" .) (contains "://" .)) -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (ternary "80" "443" (eq $url.scheme "http")) $port -}}
{{- end -}}
