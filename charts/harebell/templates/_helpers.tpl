{{- /* Names. Short enough that every name made from them stays within its limit of 52 or 63 characters. */}}
{{- define "harebell.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $whole .Values.fullnameOverride | replace "." "-" | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "harebell.serviceAccountName" -}}
{{- default (include "harebell.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "harebell.apiKeysSecret" -}}
{{- default (printf "%s-api-keys" (include "harebell.fullname" .)) .Values.api.existingSecret }}
{{- end }}

{{- define "harebell.apiBootstrapSecret" -}}
{{- include "harebell.fullname" . }}-api-bootstrap-key
{{- end }}

{{- /* What becomes of the first key: "made" now, with the Secret of keys; "none" is made, but the Secret is, empty;
       "there", as text in a Secret of its own; or "gone": there is nothing to make, and nothing to show. */}}
{{- define "harebell.apiBootstrap" -}}
{{- if .Values.api.existingSecret }}gone
{{- else if lookup "v1" "Secret" .Release.Namespace (include "harebell.apiKeysSecret" .) }}
{{- ternary "there" "gone" (not (empty (lookup "v1" "Secret" .Release.Namespace (include "harebell.apiBootstrapSecret" .)))) }}
{{- else if .Values.api.bootstrapKey.enabled }}made
{{- else }}none
{{- end }}
{{- end }}

{{- define "harebell.rabbitmqName" -}}
{{- include "harebell.fullname" . }}-rabbitmq
{{- end }}

{{- /* The Secret with the broker's URL for one component, of (dict "root" $ "component" "operator" "archiver" or
       "agent-TYPE" "given" a Secret named in the values). */}}
{{- define "harebell.amqpSecret" -}}
{{- if .given }}
{{- .given }}
{{- else if .root.Values.rabbitmq.embedded.enabled }}
{{- include "harebell.fullname" .root }}-amqp-{{ .component }}
{{- else }}
{{- required "set rabbitmq.external.existingSecret, or rabbitmq.embedded.enabled=true" .root.Values.rabbitmq.external.existingSecret }}
{{- end }}
{{- end }}

{{- /* The Secret with the database's URL; empty: there is no database, and so no archive. */}}
{{- define "harebell.databaseSecret" -}}
{{- if .Values.postgresql.embedded.enabled }}
{{- include "harebell.fullname" . }}-postgresql
{{- else }}
{{- .Values.postgresql.external.existingSecret }}
{{- end }}
{{- end }}

{{- /* The Secret with the URL for who may only read what became of Tasks; empty: the API does without the archive. */}}
{{- define "harebell.readerSecret" -}}
{{- if .Values.postgresql.embedded.enabled }}
{{- include "harebell.fullname" . }}-postgresql-reader
{{- else }}
{{- .Values.postgresql.external.existingReaderSecret }}
{{- end }}
{{- end }}

{{- /* Labels; those of "selector" never change. Both take (dict "root" $ "component" "..."). */}}
{{- define "harebell.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* No versions on Pods: a new chart would restart the broker, with nothing changed for it. */}}
{{- define "harebell.podLabels" -}}
{{ include "harebell.selector" . }}
app.kubernetes.io/part-of: harebell
{{- end }}

{{- define "harebell.labels" -}}
{{ include "harebell.podLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* [registry/]repository(@digest|:tag), of (dict "root" $ "image" ...). */}}
{{- define "harebell.image" -}}
{{- $name := list .image.registry .image.repository | compact | join "/" }}
{{- if .image.digest }}{{ $name }}@{{ .image.digest }}
{{- else }}{{ $name }}:{{ default .root.Chart.AppVersion .image.tag }}
{{- end }}
{{- end }}

{{- /* The two halves of Pod Security "restricted", and a fixed user. The Pod's half takes a user id. */}}
{{- define "harebell.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "harebell.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Where a Pod runs, of (dict "root" $ "component" "..." "values" {nodeSelector, tolerations, affinity,
       topologySpreadConstraints, priorityClassName}). */}}
{{- define "harebell.placement" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- if .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range .values.topologySpreadConstraints }}
  - {{- $own := dict "labelSelector" (dict "matchLabels" (include "harebell.selector" $ | fromYaml)) }}
    {{- merge (deepCopy .) (hasKey . "labelSelector" | ternary dict $own) | toYaml | nindent 4 }}
  {{- end }}
{{- else if not .values.affinity }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "harebell.selector" . | nindent 8 }}
{{- end }}
{{- end }}

{{- /* Probes of our own containers, of the port's name. Start-up may wait for the broker's first boot. */}}
{{- define "harebell.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{- /* What a Secret of ours holds already, so that an upgrade keeps it: of (dict "root" $ "name" ...). */}}
{{- define "harebell.existing" -}}
{{- $found := lookup "v1" "Secret" .root.Release.Namespace .name }}
{{- dig "data" dict (default dict $found) | toJson }}
{{- end }}

{{- /* The value of one key, of (dict "data" ... "key" ... "length" n): the old one, or a new random one. */}}
{{- define "harebell.kept" -}}
{{- if hasKey .data .key }}{{ get .data .key | b64dec }}{{ else }}{{ randAlphaNum (int .length) }}{{ end }}
{{- end }}

{{- /* Bytes of a quantity such as 512Mi. A number would be read from 5e+09. */}}
{{- define "harebell.bytes" -}}
{{- if not (kindIs "string" .) }}{{ int64 . }}{{ else }}
{{- $units := dict "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776
      "Pi" 1125899906842624 }}
{{- $unit := regexFind "[A-Za-z]+$" . }}
{{- if and $unit (not (hasKey $units $unit)) }}{{ fail (printf "unknown unit in quantity %q" .) }}{{ end }}
{{- mulf (regexFind "^[0-9.]+" . | float64) (default 1 (get $units $unit)) | int64 }}
{{- end }}
{{- end }}

{{- /* RabbitMQ's configuration; no secrets. */}}
{{- define "harebell.rabbitmqConfig" -}}
log.console = true
# Users and their permissions; so there is no default user.
load_definitions = /etc/harebell/rabbitmq/definitions.json
# Since 4.1 this asks no Kubernetes API: Pod 0 founds the cluster, the others join it.
cluster_formation.peer_discovery_backend = k8s
queue_leader_locator = balanced
# A queue made while nodes were missing, or before there were three, gets its three replicas when they are there.
quorum_queue.continuous_membership_reconciliation.enabled = true
quorum_queue.continuous_membership_reconciliation.target_group_size = 3
# Of the management plugin, which is not there; Prometheus reads the counters themselves.
management_agent.disable_metrics_collector = true
{{- if .tls.enabled }}
listeners.tcp = none
listeners.ssl.default = 5671
ssl_options.cacertfile = /etc/harebell/rabbitmq/tls/ca.crt
ssl_options.certfile = /etc/harebell/rabbitmq/tls/tls.crt
ssl_options.keyfile = /etc/harebell/rabbitmq/tls/tls.key
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
ssl_options.verify = {{ ternary "verify_peer" "verify_none" .tls.requireClientCertificate }}
ssl_options.fail_if_no_peer_cert = {{ .tls.requireClientCertificate }}
{{- end }}
disk_free_limit.absolute = {{ .diskFreeLimit }}
{{- with dig "limits" "memory" "" .resources }}
vm_memory_high_watermark.absolute = {{ mulf (include "harebell.bytes" .) 0.6 | int64 }}
{{- end }}
# The write-ahead log is held in memory, up to three of these.
raft.wal_max_size_bytes = 33554432
{{- with .extraConfig }}
{{ trim . }}
{{- end }}
{{- end }}

{{- /* The users of the embedded broker: {component: {name, permissions: {configure, write, read}, topics}}.
       The same expressions as in bus/src/harebell_bus/permissions.py, where their reasons are. */}}
{{- define "harebell.rabbitmqUsers" -}}
{{- $names := list `harebell\.work` `harebell\.replies` `harebell\.heartbeats` `harebell\.dead-letters` `harebell\.commands`
      `harebell\.announcements` `harebell\.records` `harebell\.history` `harebell\.history\.intake` `harebell\.archive` `harebell\.archive-reports`
      `harebell\.work\..+` }}
{{- $all := printf `^(%s)$` (join "|" $names) }}
{{- $users := dict "operator" (dict "name" "harebell-operator" "topics" list
      "permissions" (dict "configure" $all "write" $all "read" $all)) }}
{{- if include "harebell.databaseSecret" . }}
{{- $_ := set $users "archiver" (dict "name" "harebell-archiver" "topics" list
      "permissions" (dict "configure" "^$" "write" `^(harebell\.archive)$` "read" `^(harebell\.history)$`)) }}
{{- end }}
{{- range $type := include "harebell.agentTypes" . | fromJsonArray }}
{{- $own := printf `harebell\.agent\.%s\..+` $type }}
{{- $_ := set $users (printf "agent-%s" $type) (dict
      "name" (printf "harebell-agent-%s" $type)
      "topics" (list (dict "exchange" "harebell.commands" "write" "^$" "read" (printf `^%s\.[^*#]+$` $type)))
      "permissions" (dict
        "configure" (printf `^(%s)$` $own)
        "write" (printf `^(harebell\.replies|harebell\.heartbeats|harebell\.dead-letters|%s)$` $own)
        "read" (printf `^(harebell\.commands|harebell\.announcements|harebell\.work\.%s\.[^.]+|%s)$` $type $own))) }}
{{- end }}
{{- toJson $users }}
{{- end }}

{{- /* The policies of the embedded broker, of its values: those of bus/src/harebell_bus/policies.py, where their reasons
       are, and a limit in bytes, so that the history leaves room on the volume for work. */}}
{{- define "harebell.rabbitmqPolicies" -}}
{{- $given := .policies }}
{{- $half := divf (include "harebell.bytes" .persistence.size) 2 | int64 }}
{{- $history := dict "max-age" $given.history.maxAge
      "max-length-bytes" (include "harebell.bytes" $given.history.maxBytes | int64 | default $half) }}
{{- $heartbeats := dict "max-length" (int64 $given.heartbeats.maxLength)
      "message-ttl" (mul 1000 $given.heartbeats.ttlSeconds) }}
{{- $deadLetters := dict "message-ttl" (mul 86400000 $given.deadLetters.retentionDays) }}
{{- $where := dict "vhost" "harebell" "priority" 10 }}
{{- list
      (merge (dict "name" "harebell-heartbeats" "pattern" `^harebell\.heartbeats$` "apply-to" "quorum_queues"
        "definition" $heartbeats) $where)
      (merge (dict "name" "harebell-dead-letters" "pattern" `^harebell\.dead-letters$` "apply-to" "quorum_queues"
        "definition" $deadLetters) $where)
      (merge (dict "name" "harebell-history" "pattern" `^harebell\.history$` "apply-to" "streams"
        "definition" $history) $where)
    | toJson }}
{{- end }}

{{- /* What RabbitMQ imports at every start, of (dict "users" ... "passwords" {component: password} "policies" ...). */}}
{{- define "harebell.rabbitmqDefinitions" -}}
{{- $users := list }}{{ $permissions := list }}{{ $topics := list }}
{{- $passwords := .passwords }}
{{- range $component, $user := .users }}
{{- $users = append $users (dict "name" $user.name "password" (get $passwords $component) "tags" list) }}
{{- $where := dict "user" $user.name "vhost" "harebell" }}
{{- $permissions = append $permissions (merge (dict) $where $user.permissions) }}
{{- range $user.topics }}{{ $topics = append $topics (merge (dict) $where .) }}{{ end }}
{{- end }}
{{- /* RabbitMQ takes a topic permission only for an exchange that is there; the operator declares the same. */}}
{{- $commands := dict "name" "harebell.commands" "vhost" "harebell" "type" "topic"
      "durable" true "auto_delete" false "internal" false "arguments" dict }}
{{- dict "vhosts" (list (dict "name" "harebell")) "exchanges" (list $commands) "users" $users "permissions" $permissions
      "topic_permissions" $topics "policies" .policies | toJson }}
{{- end }}

{{- /* The agent types that are served, without repetition, as JSON. */}}
{{- define "harebell.agentTypes" -}}
{{- $types := list }}
{{- range $name, $pool := .Values.agents }}{{ if $pool }}{{ $types = append $types (default $name $pool.type) }}{{ end }}{{ end }}
{{- uniq $types | toJson }}
{{- end }}
