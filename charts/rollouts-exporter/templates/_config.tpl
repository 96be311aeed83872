{{/*
The exporter's configuration as YAML: made from the chart's values, with .Values.config merged over it. It must not contain
secrets, since it is stored in a ConfigMap.
*/}}
{{- define "rollouts-exporter.config" -}}
{{- $config := include "rollouts-exporter.fromValues" . | fromYaml -}}
{{- include "rollouts-exporter.overlay" (list $config .Values.config) -}}
{{- include "rollouts-exporter.refuseSecrets" (list "config" $config) -}}
{{- include "rollouts-exporter.refuseConfig" (list . $config) -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Whether the exporter's own pages use TLS */}}
{{- define "rollouts-exporter.hasTls" -}}
{{- if dig "web" "tls" "cert_file" "" (include "rollouts-exporter.config" . | fromYaml) }}true{{ end -}}
{{- end -}}

{{/* A probe from (list $ probe), over HTTPS if the pages use TLS */}}
{{- define "rollouts-exporter.probe" -}}
{{- $probe := deepCopy (index . 1) -}}
{{- if and $probe.httpGet (include "rollouts-exporter.hasTls" (index . 0)) -}}
{{- $_ := set $probe "httpGet" (merge (dict) $probe.httpGet (dict "scheme" "HTTPS")) -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}

{{/* OTLP endpoint of the configuration; empty: no push */}}
{{- define "rollouts-exporter.endpoint" -}}
{{- include "rollouts-exporter.config" . | fromYaml | dig "otlp" "endpoint" "" -}}
{{- end -}}

{{- define "rollouts-exporter.fromValues" -}}
{{- range include "rollouts-exporter.sources" . | fromYamlArray }}
{{- $values := index $.Values .key }}
{{- if ne .scrapes "config" }}
{{ .section }}:
  targets:
    {{- get (dict "service" (list .address) "own" (list .address) "targets" $values.targets "disabled" list) .scrapes | toYaml | nindent 4 }}
{{- end }}
{{- end }}
{{- if or .Values.last9.otlpEndpoint (include "rollouts-exporter.hasSecret" .) }}
otlp:
  {{- with .Values.last9.otlpEndpoint }}
  endpoint: {{ . | quote }}
  {{- end }}
  {{- if include "rollouts-exporter.hasSecret" . }}
  authorization_file: {{ include "rollouts-exporter.secretDirectory" . }}/{{ .Values.last9.secretKey }}
  {{- end }}
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
storage:
  directory: {{ include "rollouts-exporter.directory" . }}
{{- end -}}

{{/* Merge the second mapping over the first, in place. Sprig's mergeOverwrite would ignore null and empty values. */}}
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

{{/* Values that read a credential from a Secret instead, from the path of its setting, such as config.argo.basic_auth.password */}}
{{- define "rollouts-exporter.secretValues" -}}
{{- $steps := splitList "." . | rest -}}{{- $key := last $steps -}}{{- $parents := initial $steps -}}
{{- $value := printf "{%s: null, %s_file: /etc/credential/value}" $key $key -}}
{{- if eq (last $parents) "headers" -}}
{{- $parents = initial $parents -}}
{{- $value = printf "{headers: {%s: null}, %s: /etc/credential/value}" $key (ternary "authorization_file" "bearer_token_file" (has (first $steps) (list "otlp" "read"))) -}}
{{- end -}}
{{- range $step := reverse $parents -}}
{{- $value = ternary (printf "[%s]" $value) (printf "{%s: %s}" $step $value) (regexMatch "^[0-9]+$" $step) -}}
{{- end -}}
config: {{ $value }}
extraVolumes: [{name: credential, secret: {secretName: credential, items: [{key: value, path: value}]}}]
extraVolumeMounts: [{name: credential, mountPath: /etc/credential, readOnly: true}]
{{- end -}}

{{- define "rollouts-exporter.refuseSecrets" -}}
{{- $path := index . 0 -}}
{{- range $key, $value := index . 1 -}}
{{- $at := printf "%s.%v" $path $key -}}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) -}}
{{- include "rollouts-exporter.refuseSecrets" (list $at $value) -}}
{{- else if and (not (kindIs "invalid" $value)) (or (has (toString $key | lower) (list "password" "authorization" "refresh_token" "delete_refresh_token" "secret" "token")) (regexMatch "^config[.]webhooks[.].*[.]url$" $at)) -}}
{{- include "rollouts-exporter.refuse" (list
    (printf "%s would be stored in a ConfigMap, which is not secret: keep it in a Secret (last9.existingSecret, or extraVolumes with authorization_file, password_file, refresh_token_file, token_file, secret_file or url_file)" $at)
    (include "rollouts-exporter.secretValues" $at)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Reject what the exporter would otherwise reject only when it starts */}}
{{- define "rollouts-exporter.refuseConfig" -}}
{{- $ := index . 0 -}}{{- $config := index . 1 -}}
{{- $attributes := default dict $config.attributes -}}
{{- if and (dig "otlp" "endpoint" "" $config) (not (get $attributes "k8s.cluster.name")) (not $attributes.cluster) -}}
{{- include "rollouts-exporter.refuse" (list
    "last9.cluster.name is required to push, since equal rollouts of two clusters would merge: set it to the name of this cluster, or to none if there is only one cluster"
    "last9: {cluster: {name: production-1}}") -}}
{{- end -}}
{{- if and $.Values.last9.existingSecret $.Values.last9.writeToken -}}
{{- include "rollouts-exporter.refuse" (list
    "last9.existingSecret and last9.writeToken are both set: keep one of them, preferably existingSecret"
    (printf "last9:\n  existingSecret: %s\n  writeToken: \"\"" $.Values.last9.existingSecret)) -}}
{{- end -}}
{{- if not (dig "web" "listen" ":9464" $config | hasSuffix ":9464") -}}
{{- include "rollouts-exporter.refuse" (list
    "config.web.listen: probes, Service and monitors use port 9464: remove this setting, and set service.port for another port"
    (printf "config: {web: {listen: \":9464\"}}\nservice: {port: %v}" (default $.Values.service.port (dig "web" "listen" "" $config | regexFind "[0-9]+$")))) -}}
{{- end -}}
{{- if eq (default "deployment" $config.mode) "sidecar" -}}
{{- include "rollouts-exporter.refuse" (list
    "config.mode is sidecar, but this chart creates a Deployment: add the sidecar with the chart of argo-rollouts (sidecar/argo-rollouts.yaml has its values)"
    "config: {mode: deployment}") -}}
{{- end -}}
{{- end -}}
