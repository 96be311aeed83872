{{/* Common part of the containers of the Deployment and the test */}}

{{- define "rollouts-exporter.container" -}}
image: {{ include "rollouts-exporter.image" (list . .Values.image .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "rollouts-exporter.adaptedContext" (list . .Values.securityContext) | nindent 2 }}
env:
  - name: ROLLOUTS_EXPORTER_CONFIG    # for commands by kubectl exec
    value: {{ include "rollouts-exporter.configDirectory" . }}/config.yaml
  {{- with .Values.extraEnv }}
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
  {{- if include "rollouts-exporter.hasToken" . }}
  - name: token
    mountPath: {{ include "rollouts-exporter.tokenDirectory" . }}
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
    name: {{ include "rollouts-exporter.fullname" . | toYaml }}
{{- if include "rollouts-exporter.hasSecret" . }}
- name: last9
  secret:
    secretName: {{ include "rollouts-exporter.secretName" . | toYaml }}
{{- end }}
{{- if include "rollouts-exporter.hasToken" . }}
- name: token
  projected:
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: {{ .Values.serviceAccount.token.expirationSeconds }}
          {{- with .Values.serviceAccount.token.audience }}
          audience: {{ . | quote }}
          {{- end }}
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: ca.crt}]
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

{{/* Spec of the pods that push a heartbeat and read it back. Only they have the credential for reading. */}}
{{- define "rollouts-exporter.verifyPod" -}}
{{- include "rollouts-exporter.placement" (list . (include "rollouts-exporter.account" .) false) }}
restartPolicy: Never
containers:
  - name: verify
    {{- /* volumeMounts is its last key */}}
    {{- include "rollouts-exporter.container" . | nindent 4 }}
      {{- if .Values.verify.secret.name }}
      - name: read
        mountPath: {{ include "rollouts-exporter.readDirectory" . }}
        readOnly: true
      {{- end }}
    args:
      - {{ include "rollouts-exporter.configArgument" . }}
      {{- with .Values.extraArgs }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      {{- with .Values.verify.address }}
      - {{ printf "--set=read.address=%s" . | quote }}
      {{- end }}
      {{- if .Values.verify.secret.name }}
      - --set=read.authorization_file={{ include "rollouts-exporter.readDirectory" . }}/{{ .Values.verify.secret.key }}
      {{- end }}
      - verify
      - --timeout={{ .Values.verify.timeout }}
volumes:
  {{- include "rollouts-exporter.volumes" . | nindent 2 }}
  {{- include "rollouts-exporter.emptyDir" . | nindent 2 }}
  {{- if .Values.verify.secret.name }}
  - name: read
    secret:
      secretName: {{ .Values.verify.secret.name }}
  {{- end }}
{{- end -}}

{{/* Account, scheduling and security context of a pod, from (list $ account whether-it-gets-its-token) */}}
{{- define "rollouts-exporter.placement" -}}
{{- $ := index . 0 -}}
serviceAccountName: {{ index . 1 | toYaml }}
automountServiceAccountToken: {{ index . 2 }}
enableServiceLinks: false
securityContext:
  {{- include "rollouts-exporter.adaptedContext" (list $ $.Values.podSecurityContext) | nindent 2 }}
{{- range $key := list "imagePullSecrets" "nodeSelector" "tolerations" "affinity" "priorityClassName" "runtimeClassName" "hostAliases" "dnsConfig" }}
{{- with index $.Values $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A security context from (list $ context), without the ids that OpenShift assigns: its default policy admits no others */}}
{{- define "rollouts-exporter.adaptedContext" -}}
{{- $ := index . 0 -}}{{- $adapt := $.Values.adaptSecurityContext -}}
{{- if or (eq $adapt "force") (and (eq $adapt "auto") ($.Capabilities.APIVersions.Has "security.openshift.io/v1")) -}}
{{- omit (index . 1) "runAsUser" "runAsGroup" "fsGroup" | toYaml -}}
{{- else -}}
{{- toYaml (index . 1) -}}
{{- end -}}
{{- end -}}

{{/* Account of the exporter's pods. They need no right, so its token is mounted only for a setting that reads it. */}}
{{- define "rollouts-exporter.account" -}}
{{- default (ternary (include "rollouts-exporter.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "rollouts-exporter.tokenDirectory" -}}/var/run/secrets/kubernetes.io/serviceaccount{{- end -}}

{{- define "rollouts-exporter.hasToken" -}}
{{- include "rollouts-exporter.config" . | fromYaml | toJson | regexFind (printf "_file\":\"%s/" (include "rollouts-exporter.tokenDirectory" .)) -}}
{{- end -}}
