# What the sample handlers share. A handler's script sets nothing and calls `begin COMMAND` first.
# Reads HandlerEnvironment.json with patterns, as the shell shims of real handlers do.

begin() {
  command=$1
  folder=$(cd "$(dirname "$0")/.." && pwd)
  version=$AZURE_GUEST_AGENT_EXTENSION_VERSION
  sequence=${ConfigSequenceNumber:-0}
  prefix=${ConfigExtensionName:+$ConfigExtensionName.}
  log_folder=$(field logFolder)
  status_folder=$(field statusFolder)
  config_folder=$(field configFolder)
  status_file="$status_folder/$prefix$sequence.status"
  settings_file="$config_folder/$prefix$sequence.settings"
  note
}

field() { sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" "$folder/HandlerEnvironment.json"; }

# One line for each run of a command, in a file that outlives the version.
note() {
  printf '%s %s %s %s %s\n' "$(date +%s.%N)" "$version" "$command" "$sequence" "${ConfigExtensionName:--}" \
    >> "$log_folder/../$(basename "$folder" "-$version").runs"
}

# report STATUS CODE MESSAGE: by way of a temporary file, so that nobody reads half of it.
report() {
  printf '[{"version": 1.0, "timestampUTC": "%s", "status": {"name": "sample", "operation": "Enable", "status": "%s", "code": %s, "formattedMessage": {"lang": "en-US", "message": "%s"}}}]' \
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" "$3" > "$status_file.new"
  mv "$status_file.new" "$status_file"
}
