{{/* Common part of the containers of the Deployment and the test */}}

{{- define "rollouts-exporter.container" -}}
image: {{ include "rollouts-exporter.image" (list . .Values.image .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: {{ include "rollouts-exporter.configDirectory" . }}
    readOnly: true
  {{- if include "rollouts-exporter.hasSecret" . }}
  - name: last9
    mountPath: {{ include "rollouts-exporter.secretDirectory" . }}
    readOnly: true
  {{- end }}
  - name: state
    mountPath: {{ include "rollouts-exporter.directory" . }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "rollouts-exporter.configArgument" -}}
--config={{ include "rollouts-exporter.configDirectory" . }}/config.yaml
{{- end -}}

{{/* Volumes except the one for state. The Secret is mounted as a directory: a single file (subPath) would never change */}}
{{- define "rollouts-exporter.volumes" -}}
- name: config
  configMap:
    name: {{ include "rollouts-exporter.fullname" . }}
{{- if include "rollouts-exporter.hasSecret" . }}
- name: last9
  secret:
    secretName: {{ include "rollouts-exporter.secretName" . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "rollouts-exporter.emptyDir" -}}
- name: state
  emptyDir:
    {{- toYaml .Values.emptyDir | nindent 4 }}
{{- end -}}

{{/* Scheduling and security context of a pod, from (list $ whether-it-gets-a-token) */}}
{{- define "rollouts-exporter.placement" -}}
{{- $ := index . 0 -}}
automountServiceAccountToken: {{ index . 1 }}
enableServiceLinks: false
securityContext:
  {{- toYaml $.Values.podSecurityContext | nindent 2 }}
{{- range $key := list "imagePullSecrets" "nodeSelector" "tolerations" "affinity" "priorityClassName" "dnsConfig" }}
{{- with index $.Values $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{- end -}}
