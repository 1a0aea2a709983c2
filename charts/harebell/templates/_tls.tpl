{{- /* TLS between the broker and its clients: the embedded broker's certificates, and what each Pod mounts. */}}

{{- /* Whether the embedded broker speaks TLS. */}}
{{- define "harebell.embeddedTls" -}}
{{- with .Values.rabbitmq.embedded }}{{ if and .enabled .tls.enabled }}yes{{ end }}{{ end }}
{{- end }}

{{- /* Scheme and port of the embedded broker; the scheme is the port's name too. */}}
{{- define "harebell.amqpScheme" -}}
{{- ternary "amqps" "amqp" (eq (include "harebell.embeddedTls" .) "yes") }}
{{- end }}

{{- define "harebell.amqpPort" -}}
{{- ternary 5671 5672 (eq (include "harebell.embeddedTls" .) "yes") }}
{{- end }}

{{- /* The Secret with ca.crt, tls.crt and tls.key of the embedded broker. */}}
{{- define "harebell.rabbitmqTlsSecret" -}}
{{- default (printf "%s-tls" (include "harebell.rabbitmqName" .)) .Values.rabbitmq.embedded.tls.existingSecret }}
{{- end }}

{{- /* What clients call the embedded broker, and the addresses among it, as JSON. */}}
{{- define "harebell.rabbitmqNames" -}}
{{- $service := printf "%s.%s.svc" (include "harebell.rabbitmqName" .) .Release.Namespace }}
{{- $names := list $service (printf "%s.%s" $service .Values.clusterDomain) }}{{ $ips := list }}
{{- range .Values.rabbitmq.embedded.tls.extraNames }}
{{- if regexMatch `^[0-9.]+$|:` . }}{{ $ips = append $ips . }}{{ else }}{{ $names = append $names . }}{{ end }}
{{- end }}
{{- dict "names" $names "ips" $ips | toJson }}
{{- end }}

{{- /* A CA as {crt, key}, of what its Secret holds: the old one, or a new one for ten years. */}}
{{- define "harebell.ca" -}}
{{- if hasKey . "ca.key" }}
{{- dict "crt" (get . "ca.crt" | b64dec) "key" (get . "ca.key" | b64dec) | toJson }}
{{- else }}
{{- $ca := genCAWithKey "harebell RabbitMQ" 3650 (genPrivateKey "ecdsa") }}
{{- dict "crt" $ca.Cert "key" $ca.Key | toJson }}
{{- end }}
{{- end }}

{{- /* The entries of a Secret with a certificate, as JSON, of (dict "data" what the Secret holds "ca" {crt, key}
       "subject" "..." "names" [...] "ips" [...]). It is good for five years, and made anew by the first upgrade
       after one, or when the CA or the names are others. */}}
{{- define "harebell.certificate" -}}
{{- $of := printf "%s %s" (sha256sum .ca.crt) (concat .names .ips | join " ") | trim }}
{{- $age := sub (now | unixEpoch | int64) (get .data "made" | b64dec | int64) }}
{{- if and (eq (get .data "made-of" | b64dec) $of) (lt $age 31536000) }}
{{- $kept := dict }}
{{- range $key := list "tls.crt" "tls.key" "made" "made-of" }}{{ $_ := set $kept $key (get $.data $key | b64dec) }}{{ end }}
{{- toJson $kept }}
{{- else }}
{{- $ca := buildCustomCert (b64enc .ca.crt) (b64enc .ca.key) }}
{{- $new := genSignedCertWithKey (trunc 64 .subject) .ips .names 1825 $ca (genPrivateKey "ecdsa") }}
{{- dict "tls.crt" $new.Cert "tls.key" $new.Key "made" (now | unixEpoch) "made-of" $of | toJson }}
{{- end }}
{{- end }}

{{- /* The Secret with the certificate that a component shows to the broker; empty: it shows none. Takes what
       harebell.amqpSecret takes, and "certificate": a Secret named in the values. */}}
{{- define "harebell.amqpCertificateSecret" -}}
{{- $tls := .root.Values.rabbitmq.embedded.tls }}
{{- if .certificate }}
{{- .certificate }}
{{- else if and (include "harebell.embeddedTls" .root) $tls.requireClientCertificate }}
{{- if $tls.existingSecret }}
{{- fail (printf "rabbitmq.embedded.tls.requireClientCertificate with an existingSecret needs existingAmqpCertSecret of %s" .component) }}
{{- end }}
{{- include "harebell.fullname" .root }}-amqp-{{ .component }}
{{- end }}
{{- end }}

{{- /* The broker's URL as a mounted file: not in the environment, where every child process would see it. With it
       the CA and the certificate. Takes what harebell.amqpCertificateSecret takes. */}}
{{- define "harebell.amqpVolume" -}}
name: amqp
projected:
  defaultMode: 0440
  sources:
    - secret:
        name: {{ include "harebell.amqpSecret" . | quote }}
        items:
          - {key: url, path: url}
          {{- if eq (include "harebell.amqpCA" .root) "external" }}
          - {key: {{ .root.Values.rabbitmq.external.caKey | quote }}, path: ca.crt}
          {{- end }}
    {{- if eq (include "harebell.amqpCA" .root) "embedded" }}
    - secret:
        name: {{ include "harebell.rabbitmqTlsSecret" .root | quote }}
        items: [{key: ca.crt, path: ca.crt}]
    {{- end }}
    {{- with include "harebell.amqpCertificateSecret" . }}
    - secret:
        name: {{ . | quote }}
        items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
    {{- end }}
{{- end }}

{{- define "harebell.amqpEnv" -}}
- {name: HAREBELL_AMQP_URL_FILE, value: /etc/harebell/amqp/url}
{{- if include "harebell.amqpCA" .root }}
- {name: HAREBELL_AMQP_CA_FILE, value: /etc/harebell/amqp/ca.crt}
{{- end }}
{{- if include "harebell.amqpCertificateSecret" . }}
- {name: HAREBELL_AMQP_CERT_FILE, value: /etc/harebell/amqp/tls.crt}
- {name: HAREBELL_AMQP_KEY_FILE, value: /etc/harebell/amqp/tls.key}
{{- end }}
{{- end }}

{{- /* Whose CA the broker is verified with; empty: the system's. */}}
{{- define "harebell.amqpCA" -}}
{{- if include "harebell.embeddedTls" . }}embedded
{{- else if and (not .Values.rabbitmq.embedded.enabled) .Values.rabbitmq.external.caKey }}external
{{- end }}
{{- end }}
