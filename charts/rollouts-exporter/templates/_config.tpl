{{/*
The exporter's configuration: what the chart's values come to, with .Values.config laid over it. It is YAML, and no
secret may stand in it, since it goes into a ConfigMap.
*/}}
{{- define "rollouts-exporter.config" -}}
{{- $config := include "rollouts-exporter.fromValues" . | fromYaml -}}
{{- include "rollouts-exporter.overlay" (list $config .Values.config) -}}
{{- include "rollouts-exporter.refuseSecrets" (list "config" $config) -}}
{{- include "rollouts-exporter.refuseConfig" (list . $config) -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "rollouts-exporter.fromValues" -}}
{{- range include "rollouts-exporter.sources" . | fromYamlArray }}
{{ .section }}:
  targets: {{ include "rollouts-exporter.targets" (list $ .) }}
{{- end }}
{{- with .Values.last9.otlpEndpoint }}
otlp:
  endpoint: {{ . | quote }}
  {{- if include "rollouts-exporter.hasSecret" $ }}
  authorization_file: {{ include "rollouts-exporter.secretDirectory" $ }}/{{ $.Values.last9.secretKey }}
  {{- end }}
  queue:
    directory: {{ include "rollouts-exporter.directory" $ }}/spool
{{- end }}
{{- if or .Values.last9.cluster.name .Values.last9.environment }}
attributes:
  {{- with .Values.last9.cluster.name }}
  k8s.cluster.name: {{ . | quote }}
  {{- end }}
  {{- with .Values.last9.environment }}
  deployment.environment: {{ . | quote }}
  {{- end }}
{{- end }}
memory:
  directory: {{ include "rollouts-exporter.directory" . }}
web:
  listen: ":9464"
{{- end -}}

{{/* Whom to ask: the targets as given, else the headless Service */}}
{{- define "rollouts-exporter.targets" -}}
{{- $ := index . 0 -}}{{- $source := index . 1 -}}{{- $values := index $.Values $source.key -}}
{{- if not $source.enabled -}}
[]
{{- else if $values.targets -}}
{{ toJson $values.targets }}
{{- else if $values.createService -}}
[{{ printf "%s-%s.%s.svc:%v" (include "rollouts-exporter.fullname" $) $source.suffix $values.namespace $values.port }}]
{{- else -}}
{{- fail (printf "%s.createService is false, so name whom to scrape: set %s.targets, such as [%s.%s.svc:%v]" $source.key $source.key $source.suffix $values.namespace $values.port) -}}
{{- end -}}
{{- end -}}

{{/* Lay the second mapping over the first, in place. Sprig's mergeOverwrite would keep what is to be emptied. */}}
{{- define "rollouts-exporter.overlay" -}}
{{- $under := index . 0 -}}
{{- range $key, $value := index . 1 -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $under $key)) -}}
{{- include "rollouts-exporter.overlay" (list (get $under $key) $value) -}}
{{- else -}}
{{- $_ := set $under $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "rollouts-exporter.refuseSecrets" -}}
{{- $path := index . 0 -}}
{{- range $key, $value := index . 1 -}}
{{- $at := printf "%s.%v" $path $key -}}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) -}}
{{- include "rollouts-exporter.refuseSecrets" (list $at $value) -}}
{{- else if has (toString $key | lower) (list "password" "authorization") -}}
{{- fail (printf "%s would stand in a ConfigMap for all to read: keep it in a Secret (last9.existingSecret, or extraVolumes with authorization_file or password_file)" $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the exporter itself would refuse only once it runs */}}
{{- define "rollouts-exporter.refuseConfig" -}}
{{- $ := index . 0 -}}{{- $config := index . 1 -}}
{{- $attributes := default dict $config.attributes -}}
{{- if and (dig "otlp" "endpoint" "" $config) (not (get $attributes "k8s.cluster.name")) (not $attributes.cluster) -}}
{{- fail "last9.cluster.name is required to push, since equal rollouts of two clusters would merge: set it to this cluster's name, or to none where one cluster is all there is" -}}
{{- end -}}
{{- if and $.Values.last9.existingSecret $.Values.last9.writeToken -}}
{{- fail "last9.existingSecret and last9.writeToken are both set: keep one of them, best existingSecret" -}}
{{- end -}}
{{- if eq (default "deployment" $config.mode) "sidecar" -}}
{{- fail "config.mode is sidecar, but this chart makes a Deployment: as a sidecar it is run by the controller's own chart, see charts/sidecar" -}}
{{- end -}}
{{- end -}}
