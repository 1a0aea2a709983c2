{{- /* Whether a server's volumes are as the values say. */}}

{{- /* Nothing, where the volumes of a StatefulSet are or will be as the values say; a failure, before anything is applied,
       where they are not. Takes (dict "root" $ "name" of the StatefulSet "replicas" n "of" "rabbitmq" or "postgresql"). Kubernetes
       refuses another claim in a StatefulSet that is there ("StatefulSet: Limitations"), and by then RabbitMQ would have been
       told to keep half of a volume that it has not got. */}}
{{- define "harebell.checkedVolumes" -}}
{{- $namespace := .root.Release.Namespace }}
{{- $given := (index .root.Values .of).embedded.persistence }}
{{- $value := printf "%s.embedded.persistence" .of }}
{{- $size := include "harebell.bytes" $given.size | int64 }}
{{- $enlarge := "see \"A larger volume\" in docs/runbook.md" }}
{{- range $template := dig "spec" "volumeClaimTemplates" list (lookup "apps/v1" "StatefulSet" $namespace .name) }}
{{- $old := $template.spec.resources.requests.storage }}
{{- if ne $size (include "harebell.bytes" $old | int64) }}
{{- fail (printf "%s.size is %v, but StatefulSet %s has %v, which cannot be changed: patch its PersistentVolumeClaims, run kubectl delete statefulset %s --cascade=orphan, and upgrade; %s" $value $given.size $.name $old $.name $enlarge) }}
{{- end }}
{{- $class := dig "storageClassName" "" $template.spec }}
{{- if ne $given.storageClassName $class }}
{{- fail (printf "%s.storageClassName is %q, but StatefulSet %s has %q, which cannot be changed: for volumes to come, run kubectl delete statefulset %s --cascade=orphan, and upgrade; %s" $value $given.storageClassName $.name $class $.name $enlarge) }}
{{- end }}
{{- end }}
{{- range $ordinal := until (int .replicas) }}
{{- $claim := printf "data-%s-%d" $.name $ordinal }}
{{- with lookup "v1" "PersistentVolumeClaim" $namespace $claim }}
{{- $asked := include "harebell.bytes" .spec.resources.requests.storage | int64 }}
{{- $there := dig "status" "capacity" "storage" "0" . | include "harebell.bytes" | int64 }}
{{- if gt $size (max $asked $there) }}
{{- fail (printf "%s.size is %v, but PersistentVolumeClaim %s has %v: patch it first, or keep its size; %s" $value $given.size $claim .spec.resources.requests.storage $enlarge) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
