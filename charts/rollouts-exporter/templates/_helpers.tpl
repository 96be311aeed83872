{{/* Names and labels. Texts are printed by toYaml, which quotes those that YAML reads as something else: a release named 123. */}}

{{- define "rollouts-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters, since "-rollout-state" and a hash, and the names of dashboards are appended */}}
{{- define "rollouts-exporter.fullname" -}}
{{- $name := include "rollouts-exporter.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "rollouts-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/*
Name of an object outside of the release's namespace, from (list $ suffix): a release of this name in another namespace has
one, too, so a hash tells them apart. At most 63 characters: 35, the suffix "-kube-state-metrics", and 9.
*/}}
{{- define "rollouts-exporter.distinctName" -}}
{{- $ := index . 0 -}}{{- $full := include "rollouts-exporter.fullname" $ -}}
{{- $hash := printf "%s/%s" (include "rollouts-exporter.namespace" $) $full | sha256sum | trunc 8 -}}
{{- printf "%s-%s-%s" ($full | trunc 35 | trimSuffix "-") (index . 1) $hash -}}
{{- end -}}

{{- define "rollouts-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rollouts-exporter.name" . | toYaml }}
app.kubernetes.io/instance: {{ .Release.Name | toYaml }}
{{- end -}}

{{/* commonLabels come last: they must not change what selectors select */}}
{{- define "rollouts-exporter.labels" -}}
{{- $labels := include "rollouts-exporter.selectorLabels" . | fromYaml -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $labels "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .Release.Service -}}
{{- merge $labels .Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Metadata of an object, from a mapping with `root`, `name`, and optionally `namespace`, `clusterWide`, `labels`, `annotations` */}}
{{- define "rollouts-exporter.metadata" -}}
name: {{ .name | toYaml }}
{{- if not .clusterWide }}
namespace: {{ default (include "rollouts-exporter.namespace" .root) .namespace | toYaml }}
{{- end }}
labels:
  {{- merge (dict) (default dict .labels) (include "rollouts-exporter.labels" .root | fromYaml) | toYaml | nindent 2 }}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Labels of a pod, from (list $ component extra-labels), which the release's selectors use */}}
{{- define "rollouts-exporter.podLabels" -}}
{{- $labels := include "rollouts-exporter.labels" (index . 0) | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/component" (index . 1) -}}
{{- merge $labels (index . 2) | toYaml -}}
{{- end -}}

{{/* Reference of an image, from (list $ image default-tag) */}}
{{- define "rollouts-exporter.image" -}}
{{- $ := index . 0 -}}{{- $image := index . 1 -}}
{{- $registry := default $image.registry (dig "imageRegistry" "" (default dict $.Values.global)) -}}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (not (empty $registry)) -}}
{{- ternary (printf "%s@%s" $name $image.digest) (printf "%s:%s" $name (default (index . 2) $image.tag)) (not (empty $image.digest)) -}}
{{- end -}}

{{/* Refuse the values, from (list reason yaml-to-paste) */}}
{{- define "rollouts-exporter.refuse" -}}
{{- fail (printf "%s. Paste into your values:\n\n%s\n" (index . 0) (index . 1 | trim | indent 2)) -}}
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
The components to scrape as YAML, one row each. `scrapes` is service (the headless Service of this chart), own (this chart's
kube-state-metrics), targets (those in the values), config (.Values.config has the targets) or disabled.
*/}}
{{- define "rollouts-exporter.sources" -}}
{{- include "rollouts-exporter.refuseTwoSources" . -}}
{{- range $row := list (list "argoRollouts" "argo" 0) (list "kubeStateMetrics" "kube_state_metrics" 8080) (list "rolloutState" "rollout_state" 8082) }}
{{- $key := index $row 0 -}}{{- $section := index $row 1 -}}{{- $values := index $.Values $key -}}
{{- $name := include "rollouts-exporter.distinctName" (list $ (kebabcase $key)) -}}
{{- $address := printf "%s.%s.svc:%v" $name $values.namespace $values.port -}}
{{- $scrapes := ternary "targets" (ternary "service" "nothing" $values.createService) (not (empty $values.targets)) -}}
{{- if eq (toString $values.enabled) "false" -}}{{- $scrapes = "disabled" -}}{{- end -}}
{{- if include "rollouts-exporter.hasTargets" (get $.Values.config $section) -}}{{- $scrapes = "config" -}}{{- end -}}
{{- if and $.Values.rolloutState.create (index $row 2) -}}
{{- $scrapes = "own" -}}
{{- $address = printf "%s.%s.svc:%v" (include "rollouts-exporter.stateName" $) (include "rollouts-exporter.namespace" $) (index $row 2) -}}
{{- end -}}
{{- if eq $scrapes "nothing" -}}
{{- include "rollouts-exporter.refuse" (list
    (printf "%s.createService is false: set %s.targets" $key $key)
    (printf "%s:\n  createService: false\n  targets: [%s.%s.svc:%v]" $key (kebabcase $key) $values.namespace $values.port)) -}}
{{- end }}
- {key: {{ $key }}, section: {{ $section }}, name: {{ $name }}, scrapes: {{ $scrapes }}, address: {{ $address | quote }}}
{{- end }}
{{- end -}}

{{/* Where verify reads; empty: it is off */}}
{{- define "rollouts-exporter.readAddress" -}}
{{- if .Values.verify.enabled -}}
{{- $config := include "rollouts-exporter.config" . | fromYaml -}}
{{- $address := default (dig "read" "address" "" $config) .Values.verify.address -}}
{{- if and (not $address) (not (dig "read" "last9" "cluster" "" $config)) -}}
{{- include "rollouts-exporter.refuse" (list
    "verify.enabled needs the store to read from: set verify.address to the Read URL of your cluster, without /api/v1"
    "verify: {address: \"https://read-app-tsdb.last9.io/hot/v1/metrics/CLUSTER/sender/ORGANIZATION\"}") -}}
{{- end -}}
{{- if not (dig "otlp" "endpoint" "" $config) -}}
{{- include "rollouts-exporter.refuse" (list
    "verify.enabled needs an endpoint to push to: set last9.otlpEndpoint"
    "last9: {otlpEndpoint: \"https://otlp.last9.io\", cluster: {name: production-1}}") -}}
{{- end -}}
{{- default "https://read-app-tsdb.last9.io" $address -}}
{{- end -}}
{{- end -}}

{{/* Whether a section of .Values.config has targets; a list has installations, each with its own */}}
{{- define "rollouts-exporter.hasTargets" -}}
{{- if kindIs "slice" . }}true{{ else if kindIs "map" . }}{{ if hasKey . "targets" }}true{{ end }}{{ end -}}
{{- end -}}

{{/* The port of an OTLP endpoint, which may have no scheme (gRPC) */}}
{{- define "rollouts-exporter.otlpPort" -}}
{{- $url := urlParse (ternary . (printf "https://%s" .) (contains "://" .)) -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (ternary "80" "443" (eq $url.scheme "http")) $port -}}
{{- end -}}
