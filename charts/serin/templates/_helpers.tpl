{{- /*
Every template begins with this: a value that is not there gets its default. Null takes one away, and --reuse-values
renders by the defaults of the chart before, which lack what this one adds.
*/ -}}
{{- define "serin.defaults" -}}
{{- include "serin.fill" (list .Values (.Files.Get "files/defaults.yaml" | fromYaml)) -}}
{{- end -}}

{{- /* (list <values> <defaults>). Not mergo's merge, by which false and 0 count as not there. */ -}}
{{- define "serin.fill" -}}
{{- $values := index . 0 -}}
{{- range $key, $default := index . 1 -}}
{{- if kindIs "invalid" (index $values $key) -}}
{{- $_ := set $values $key $default -}}
{{- else if kindIs "map" $default -}}
{{- include "serin.fill" (list (index $values $key) $default) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Name of all objects: the release's, with the chart's where that is not in it. */ -}}
{{- define "serin.fullname" -}}
{{- $name := .Release.Name -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if not (contains .Chart.Name .Release.Name) -}}
{{- $name = printf "%s-%s" .Release.Name .Chart.Name -}}
{{- end -}}
{{- $name = $name | trunc 63 | trimSuffix "-" -}}
{{- /* A release may be named so; a Service may not, or by no API server before 1.36. */ -}}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" $name) -}}
{{- fail (printf "the objects would be named %s, and the name of a Service begins with a letter and has no dot: set fullnameOverride, or name the release otherwise" $name) -}}
{{- end -}}
{{ $name }}
{{- end -}}

{{- define "serin.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "serin.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "serin.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* The labels with others that count more: (list <others> .). A key may stand once only. */ -}}
{{- define "serin.labelsWith" -}}
{{- merge (deepCopy (index . 0 | default dict)) (include "serin.labels" (index . 1) | fromYaml) | toYaml -}}
{{- end -}}

{{- define "serin.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "serin.fullname" .) }}
{{- else -}}
{{ required "serviceAccount.name is empty and serviceAccount.create is false: name the service account to use" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- /* An image: (list <its values> <their name> <what it is built from> .). */ -}}
{{- define "serin.image" -}}
{{- $image := index . 0 -}}
{{- $repository := required (printf
  "%s.repository is empty: no public registry carries this image. Build it from %s, push it to yours, and name it there, without its tag"
  (index . 1) (index . 2)) $image.repository -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ $image.tag | default (index . 3).Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* The operator's settings file. toYaml writes numbers out; {{ 1000000 }} would become 1e+06. */ -}}
{{- define "serin.settings" -}}
{{- $runtimes := list -}}
{{- range .Values.settings.runtimes -}}
{{- $runtimes = append $runtimes (dict
  "name" .name "server" .server "protocol" .protocol "model_format" .modelFormat "flavors" .flavors) -}}
{{- end -}}
{{- with .Values.settings -}}
{{- dict
  "domain" .domain
  "gateways" (.gateways | default list)
  "runtimes" $runtimes
  "artifacts_through_mlflow" $.Values.storageInitializer.enabled
  "workers" .workers
  "requests_per_second" .requestsPerSecond
  "request_burst" .requestBurst
  "resync_seconds" .resyncSeconds
  "proxy_lag_seconds" .proxyLagSeconds
  "log_level" .logLevel
  "log_format" .logFormat
  "http_port" .httpPort
  "prometheus_url" (empty .prometheusUrl | ternary nil .prometheusUrl)
  "prometheus_matchers" (.prometheusMatchers | default "")
  | toYaml -}}
{{- end -}}
{{- end -}}
