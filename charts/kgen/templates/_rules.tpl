{{/* (list $ namespace). What kgen's commands ask of the API server, no more. manifests/rbac.yaml holds the same. */}}
{{- define "kgen.rules.submitter" -}}
# One Job per trial.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, get, list, watch, delete, deletecollection]
# The sweep's file, and small sources that travel with it.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, get, list, update, deletecollection]
# What became of the trials; and the short-lived pods that fetch results from a claim and try things out for doctor.
- apiGroups: [""]
  resources: [pods]
  verbs: [create, get, list, watch, delete]
- apiGroups: [""]
  resources: [pods/exec]
  verbs: [create, get]
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# What a plan says before anything is created.
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [{{ index . 1 | quote }}]
  verbs: [get]
- apiGroups: [""]
  resources: [resourcequotas, limitranges]
  verbs: [list]
- apiGroups: [""]
  resources: [persistentvolumeclaims, serviceaccounts]
  verbs: [get]
{{- if (index . 0).Values.rbac.localQueues }}
- apiGroups: [kueue.x-k8s.io]
  resources: [localqueues]
  verbs: [get]
{{- end }}
{{- end -}}

{{- define "kgen.rules.collector" -}}
# The sweeps' files.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list]
# How trials ended, and which images they ran.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- end -}}
