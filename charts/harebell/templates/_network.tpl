{{- /* Rules of NetworkPolicies. */}}

{{- /* One rule over TCP, of (dict "from" or "to" [peers] "ports" [numbers]). No peers: anybody. */}}
{{- define "harebell.networkRule" -}}
- ports: {{- range .ports }}
    - {port: {{ int . }}, protocol: TCP}
  {{- end }}
  {{- with .from }}
  from: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "harebell.dnsRule" -}}
{{- with .Values.networkPolicy.dns -}}
- ports: {{- range .ports }}
    - {port: {{ int . }}, protocol: UDP}
    - {port: {{ int . }}, protocol: TCP}
  {{- end }}
  {{- with .to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
