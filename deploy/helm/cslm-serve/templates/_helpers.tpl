{{- define "cslm.name" -}}
{{- contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "cslm.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cslm.labels" -}}
{{ include "cslm.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "cslm.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "cslm.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "cslm.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Requests and limits, and GPUs in both. Takes resources and gpu. */ -}}
{{- define "cslm.resources" -}}
{{- $gpu := dict }}
{{- if .gpu.count }}{{ $_ := set $gpu .gpu.resource .gpu.count }}{{ end }}
requests: {{ merge (dict) $gpu .resources.requests | toJson }}
limits: {{ merge (dict) $gpu .resources.limits | toJson }}
{{- end }}

{{- define "cslm.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- end }}

{{- /* Fills the pod's volume with the weights, and ends. */ -}}
{{- define "cslm.pull" -}}
- name: pull
  image: {{ include "cslm.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [pull]
  env:
    - {name: CSLM_BUNDLE, value: {{ .Values.bundle | quote }}}
    - {name: HF_HUB_DISABLE_TELEMETRY, value: "1"}
    - {name: HF_XET_CHUNK_CACHE_SIZE_BYTES, value: "0"} # everything is fetched once
    {{- if .Values.hubToken.secret }}
    - {name: HF_TOKEN_PATH, value: /run/secrets/hub/{{ .Values.hubToken.key }}}
    {{- end }}
  securityContext: {{- include "cslm.security" . | nindent 4 }}
  resources:
    requests: {cpu: "1", memory: 1Gi}
    limits: {memory: 8Gi}
  volumeMounts:
    - {name: bundles, mountPath: /bundles}
    - {name: cache, mountPath: /home/cslm}
    - {name: tmp, mountPath: /tmp}
    {{- if .Values.hubToken.secret }}
    - {name: hub-token, mountPath: /run/secrets/hub, readOnly: true}
    {{- end }}
{{- end }}

{{- define "cslm.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 4Gi}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: 2Gi}
{{- if .Values.hubToken.secret }}
- name: hub-token
  secret: {secretName: {{ .Values.hubToken.secret }}, defaultMode: 0440}
{{- end }}
{{- if .Values.apiKey.secret }}
- name: api-key
  secret: {secretName: {{ .Values.apiKey.secret }}, defaultMode: 0440}
{{- end }}
{{- if .Values.keys.secret }}
- name: keys
  secret: {secretName: {{ .Values.keys.secret }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{- define "cslm.claims" -}}
{{- range $name, $storage := .Values.storage }}
- metadata: {name: {{ $name }}}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with $storage.class }}
    storageClassName: {{ . }}
    {{- end }}
    resources: {requests: {storage: {{ $storage.size }}}}
{{- end }}
{{- end }}
