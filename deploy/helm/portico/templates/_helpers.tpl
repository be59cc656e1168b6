{{- /* Labels of a component; what selects its pods. Takes its name. */ -}}
{{- define "portico.labels" -}}
app.kubernetes.io/name: portico
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- /* Labels of objects. Takes {root, name}. */ -}}
{{- define "portico.objectLabels" -}}
{{ include "portico.labels" .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "portico.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Settings that are the same for all services: what follows from the chart, then `settings`. */ -}}
{{- define "portico.settings" -}}
PORTICO_PUBLIC_URL: {{ .Values.publicUrl }}
PORTICO_KEK_FILE: /secrets/keys/kek
PORTICO_SERVICES_IDENTITY_KEY_FILE: /secrets/keys/identity_key
PORTICO_SERVICES_TLS_CERT_FILE: /secrets/tls/tls.crt
PORTICO_SERVICES_TLS_KEY_FILE: /secrets/tls/tls.key
PORTICO_SERVICES_TLS_CA_FILE: /secrets/tls/ca.crt
{{- /* Headless services: calls are spread over the addresses of the pods. */}}
PORTICO_SERVICES_CATALOG: https://catalog:3002
PORTICO_SERVICES_ACCESS_REQUEST: https://access-request:3002
PORTICO_SERVICES_REGISTRATION: https://registration:3002
PORTICO_SERVICES_GATEWAY: https://gateway:3002
PORTICO_SERVICES_NOTIFICATION: https://notification:3002
PORTICO_SERVICES_ACCOUNTS: https://accounts:3002
{{- /* The job does it. */}}
PORTICO_DATABASE_MIGRATE: never
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{- /* What is the same in every pod: no rights, no token of the cluster. Takes {root, account}. */ -}}
{{- define "portico.pod" -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "portico.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Secrets of a service by the name of their volume, as JSON. Takes {root, name, service}. */ -}}
{{- define "portico.secrets" -}}
{{- $secrets := dict "keys" .root.Values.secrets.keys }}
{{- range $kind, $secret := .service.secrets }}
{{- $_ := set $secrets (kebabcase $kind) ($secret | default (printf "%s-%s" $.name (kebabcase $kind))) }}
{{- end }}
{{- toJson $secrets }}
{{- end }}
