{{/*
This chart's own kube-state-metrics: two processes in one pod, since a kube-state-metrics with custom-resource state reads
everything again, pods included, whenever any CRD of the cluster changes, and shows nothing meanwhile.
*/}}

{{- define "rollouts-exporter.stateName" -}}
{{- include "rollouts-exporter.fullname" . }}-rollout-state
{{- end -}}

{{- define "rollouts-exporter.refuseTwoSources" -}}
{{- if .Values.rolloutState.create -}}
{{- $reasons := list -}}
{{- if eq (toString .Values.kubeStateMetrics.enabled) "true" -}}{{- $reasons = append $reasons "kubeStateMetrics.enabled is true" -}}{{- end -}}
{{- range $key, $section := dict "kubeStateMetrics" "kube_state_metrics" "rolloutState" "rollout_state" -}}
{{- if (index $.Values $key).targets -}}{{- $reasons = append $reasons (printf "%s.targets is set" $key) -}}{{- end -}}
{{- if include "rollouts-exporter.hasTargets" (get $.Values.config $section) -}}
{{- $reasons = append $reasons (printf "config.%s.targets is set" $section) -}}
{{- end -}}
{{- end -}}
{{- with $reasons -}}
{{- include "rollouts-exporter.refuse" (list
    (printf "rolloutState.create brings a kube-state-metrics with Rollouts, pods and ReplicaSets, but %s: every object would be read twice" (join " and " .))
    "rolloutState: {create: true}\nkubeStateMetrics: {enabled: auto, targets: []}\n\n# or, to use what the cluster has:\n# rolloutState: {create: false}\n# kubeStateMetrics: {enabled: true}") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A setting that is a list, or text with commas, as a list, from (list value default) */}}
{{- define "rollouts-exporter.listSetting" -}}
{{- $value := index . 0 -}}
{{- if kindIs "invalid" $value -}}{{- $value = index . 1 -}}{{- end -}}
{{- if kindIs "string" $value -}}{{- $value = splitList "," $value -}}{{- end -}}
{{- $items := list -}}
{{- range $value -}}{{- with trim (toString .) -}}{{- $items = append $items . -}}{{- end -}}{{- end -}}
{{- toYaml $items -}}
{{- end -}}

{{/* Custom-resource state of Rollouts: the configuration in sidecar/rollout-state.yaml; with the labels if series.labels asks for them */}}
{{- define "rollouts-exporter.customResourceState" -}}
{{- $state := (.Files.Get "sidecar/rollout-state.yaml" | fromYaml).customResourceState.config -}}
{{- if include "rollouts-exporter.listSetting" (list (dig "series" "labels" nil .Values.config) list) | fromYamlArray -}}
{{- $labels := dict "name" "rollout_labels" "help" "Labels of a Rollout" "each" (dict "type" "Info" "info" (dict "labelsFromPath" (dict "label_*" (list "metadata" "labels")))) -}}
{{- range $state.spec.resources -}}
{{- if eq .groupVersionKind.kind "Rollout" -}}{{- $_ := set . "metrics" (append .metrics $labels) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $state -}}
{{- end -}}

{{/* Arguments of the process that shows pods and ReplicaSets: the families that the exporter reads, with the labels it needs */}}
{{- define "rollouts-exporter.objectArguments" -}}
{{- $lifecycle := default dict .Values.config.lifecycle -}}
{{- $roles := include "rollouts-exporter.listSetting" (list $lifecycle.role_label (list "role")) | fromYamlArray -}}
{{- $commit := include "rollouts-exporter.listSetting" (list $lifecycle.commit_time list) | fromYamlArray -}}
{{- $families := list "kube_pod_container_info" "kube_pod_deletion_timestamp" "kube_pod_info" "kube_pod_labels" "kube_pod_status_phase" "kube_pod_status_ready" "kube_replicaset_annotations" "kube_replicaset_created" "kube_replicaset_labels" "kube_replicaset_owner" "kube_replicaset_spec_replicas" "kube_replicaset_status_replicas" }}
- --resources=pods,replicasets
- --metric-allowlist=^({{ join "|" $families }})$
- --metric-labels-allowlist=pods=[{{ concat (list "rollouts-pod-template-hash") $roles | join "," }}]{{ with $commit }},replicasets=[{{ join "," . }}]{{ end }}
- --metric-annotations-allowlist=replicasets=[{{ concat (list "rollout.argoproj.io/revision") $commit | join "," }}]
{{- end -}}

{{/* A container of the pod, from (list $ name first-port arguments) */}}
{{- define "rollouts-exporter.stateContainer" -}}
{{- $ := index . 0 -}}{{- $port := index . 2 -}}{{- $state := $.Values.rolloutState -}}
- name: {{ index . 1 }}
  image: {{ include "rollouts-exporter.image" (list $ $state.image "") | quote }}
  imagePullPolicy: {{ $state.image.pullPolicy }}
  securityContext:
    {{- include "rollouts-exporter.adaptedContext" (list $ $.Values.securityContext) | nindent 4 }}
  resources:
    {{- toYaml $state.resources | nindent 4 }}
  args:
    - --port={{ $port }}
    - --telemetry-port={{ add $port 1 }}
    - --enable-gzip-encoding
    - --use-apiserver-cache
    {{- with $state.namespaces }}
    - --namespaces={{ join "," . }}
    {{- end }}
    {{- index . 3 | trim | nindent 4 }}
  ports:
    - name: {{ index . 1 }}
      containerPort: {{ $port }}
  {{- /* Not /livez, which asks the API server: a restart while that is down would lose what was read before. */}}
  livenessProbe:
    httpGet: {path: /healthz, port: {{ $port }}}
    timeoutSeconds: 5
  readinessProbe:
    httpGet: {path: /readyz, port: {{ add $port 1 }}}
    timeoutSeconds: 5
{{- end -}}
