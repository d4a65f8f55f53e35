#!/bin/sh
# Does what the contract asks for: enable reports transitioning first and success then, and runs once for each number.
. "$(dirname "$0")/common.sh"
begin "$1"
if [ "$command" = enable ]; then
  if [ -f "$folder/mrseq" ] && [ "$(cat "$folder/mrseq")" -ge "$sequence" ]; then exit 0; fi
  report transitioning 0 "Enabling"
  echo "$sequence" > "$folder/mrseq"
  report success 0 "Enabled version $version with sequence number $sequence"
fi
exit 0
