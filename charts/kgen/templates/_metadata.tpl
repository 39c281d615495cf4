{{/* (list $ "collector" namespace name): what is alike in the metadata of every object. */}}
{{- define "kgen.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 3 | quote }}
namespace: {{ index . 2 | quote }}
labels:
  {{- $own := dict
    "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimAll "-._")
    "app.kubernetes.io/name" (include "kgen.appName" $root)
    "app.kubernetes.io/instance" $root.Release.Name
    "app.kubernetes.io/component" (index . 1)
    "app.kubernetes.io/part-of" "kgen"
    "app.kubernetes.io/version" $root.Chart.AppVersion
    "app.kubernetes.io/managed-by" $root.Release.Service
  }}
  {{- merge $own $root.Values.commonLabels | toYaml | nindent 2 }}
{{- end -}}

{{- define "kgen.appName" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimAll "-._" -}}
{{- end -}}
