#!/bin/sh
# Leaves a process behind in enable that uses all the CPU time it gets.
. "$(dirname "$0")/common.sh"
begin "$1"
if [ "$command" = enable ]; then
  (while :; do :; done) > /dev/null 2>&1 &
  echo "$!" > "$folder/burner.pid"
  report success 0 "Burning"
fi
exit 0
