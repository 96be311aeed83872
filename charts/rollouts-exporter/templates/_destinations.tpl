{{/* Addresses of what gets messages about updates, by setting. The URL of a webhook is in a file: it is taken to be HTTPS. */}}
{{- define "rollouts-exporter.destinations" -}}
{{- $config := include "rollouts-exporter.config" . | fromYaml -}}
{{- $last9 := default dict $config.last9 -}}
{{- $events := default dict $last9.change_events -}}
{{- $addresses := dict -}}
{{- if and $events.enabled (not $events.dry_run) -}}
{{- $_ := set $addresses "last9.change_events" (default "https://app.last9.io" $last9.address) -}}
{{- end -}}
{{- if $config.webhooks -}}
{{- $_ := set $addresses "webhooks" "https://" -}}
{{- end -}}
{{- with dig "grafana" "address" "" $config -}}
{{- $_ := set $addresses "grafana" . -}}
{{- end -}}
{{- toYaml $addresses -}}
{{- end -}}
