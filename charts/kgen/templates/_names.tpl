{{/* The first part of every name: as in most charts, but never cut here, so that two long releases stay apart. */}}
{{- define "kgen.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- end -}}

{{/* (list $ "collector" 52): the name of an object; where it is too long, a hash takes the place of what is cut. */}}
{{- define "kgen.name" -}}
{{- $full := include "kgen.fullname" (index . 0) -}}
{{- $part := index . 1 -}}
{{- $limit := index . 2 -}}
{{- if le (len (printf "%s-%s" $full $part)) $limit -}}
{{- printf "%s-%s" $full $part -}}
{{- else -}}
{{- $room := sub (sub $limit 10) (len $part) | int -}}
{{- printf "%s-%s-%s" ($full | trunc $room | trimAll "-.") ($full | sha256sum | trunc 8) $part -}}
{{- end -}}
{{- end -}}

{{/* (list $ "trial"): the name of a ServiceAccount. */}}
{{- define "kgen.account" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- (index $root.Values.serviceAccounts $part).name | default (include "kgen.name" (list $root $part 63)) -}}
{{- end -}}

{{- define "kgen.claim" -}}
{{- if eq .Values.results.store "claim" -}}
{{- .Values.results.claim.existingClaim | default (include "kgen.name" (list . "results" 63)) -}}
{{- end -}}
{{- end -}}

{{- define "kgen.queue" -}}
{{- .Values.queue.name | default (include "kgen.name" (list . "queue" 63)) -}}
{{- end -}}

{{/* As JSON: the release's own, then the others, none twice. */}}
{{- define "kgen.namespaces" -}}
{{- prepend .Values.namespaces .Release.Namespace | uniq | toJson -}}
{{- end -}}

{{- define "kgen.image" -}}
{{- $image := .Values.image -}}
{{- $image.repository -}}
{{- with $image.tag | default (ternary "" .Chart.AppVersion (not (empty $image.digest))) }}:{{ . }}{{ end -}}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}
