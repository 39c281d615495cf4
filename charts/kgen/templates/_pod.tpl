{{/* (list $ "collect"): the labels of a pod: kgen's own, as those of the pods that kgen itself starts, so that one
NetworkPolicy is for both. */}}
{{- define "kgen.podLabels" -}}
{{- $root := index . 0 -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "kgen.appName" $root)
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/component" (index . 1)
  "app.kubernetes.io/managed-by" "kgen"
-}}
{{- merge $own $root.Values.podLabels $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* (list $ account command): a pod with kgen's image, beside the results. */}}
{{- define "kgen.podSpec" -}}
{{- $root := index . 0 -}}
{{- $values := $root.Values -}}
{{- $claim := include "kgen.claim" $root -}}
restartPolicy: Never
serviceAccountName: {{ index . 1 | quote }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with $values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ quote . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: kgen
    image: {{ include "kgen.image" $root | quote }}
    {{- with $values.image.pullPolicy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    command:
      {{- toYaml (index . 2) | nindent 6 }}
    env:
      {{- include "kgen.env" $root | nindent 6 }}
    {{- $secret := ternary $values.results.bucket.secretName "" (eq $values.results.store "bucket") }}
    {{- if or $secret $values.extraEnvFrom }}
    envFrom:
      {{- with $secret }}
      - secretRef:
          name: {{ quote . }}
      {{- end }}
      {{- with $values.extraEnvFrom }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- end }}
    {{- with $values.resources }}
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $values.securityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
      - name: scratch
        mountPath: /tmp
      {{- if $claim }}
      - name: results
        mountPath: /results
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: scratch
    emptyDir:
      sizeLimit: 1Gi
  {{- if $claim }}
  - name: results
    persistentVolumeClaim:
      claimName: {{ quote $claim }}
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Each name once, the user's own winning: a name that comes twice is an error of server-side apply.
NVIDIA_VISIBLE_DEVICES, because images made for GPUs would otherwise show a pod all of its node's. */}}
{{- define "kgen.env" -}}
{{- $own := list
  (dict "name" "HOME" "value" "/tmp")
  (dict "name" "TMPDIR" "value" "/tmp")
  (dict "name" "MPLCONFIGDIR" "value" "/tmp")
  (dict "name" "PYTHONUNBUFFERED" "value" "1")
  (dict "name" "NVIDIA_VISIBLE_DEVICES" "value" "void")
-}}
{{- with include "kgen.claim" . -}}
{{- $own = append $own (dict "name" "KGEN_CLAIM" "value" .) -}}
{{- end -}}
{{- $bucket := .Values.results.bucket -}}
{{- if eq .Values.results.store "bucket" -}}
{{- $own = append $own (dict "name" "KGEN_RESULTS" "value" $bucket.url) -}}
{{- end -}}
{{- if and (eq .Values.results.store "bucket") (hasPrefix "s3://" $bucket.url) -}}
{{- with $bucket.endpoint -}}
{{- $own = append $own (dict "name" "AWS_ENDPOINT_URL" "value" .) -}}
{{- end -}}
{{- with $bucket.region -}}
{{- $own = append $own (dict "name" "AWS_REGION" "value" .) -}}
{{- end -}}
{{- end -}}
{{- $all := concat $own .Values.extraEnv -}}
{{- $last := dict -}}
{{- range $all -}}
{{- $_ := set $last .name . -}}
{{- end -}}
{{- $once := list -}}
{{- range $all -}}
{{- if hasKey $last .name -}}
{{- $once = append $once (get $last .name) -}}
{{- $_ := unset $last .name -}}
{{- end -}}
{{- end -}}
{{- toYaml $once -}}
{{- end -}}
