#!/bin/sh
# Writes the status file that its public setting says: word, code, object, truncated, huge, null, nothing.
. "$(dirname "$0")/common.sh"
begin "$1"
setting() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$settings_file"; }
if [ "$command" = enable ]; then
  case "$(setting form)" in
    word) printf '[{"status": {"status": "failed", "code": 1}}]' > "$status_file" ;;
    code) printf '[{"version": "1.0", "status": {"status": "success", "code": "0"}}]' > "$status_file" ;;
    object) printf '{"status": {"status": "success"}}' > "$status_file" ;;
    truncated) printf '[{"status": {"status": "succ' > "$status_file" ;;
    null) printf '[{"status": {"status": "success", "substatus": [null]}}, 7]' > "$status_file" ;;
    huge)
      { printf '[{"status": {"status": "success", "formattedMessage": {"lang": "en", "message": "'
        head -c 200000 /dev/zero | tr '\0' 'm'
        printf '"}}}]'; } > "$status_file" ;;
  esac
fi
exit 0
