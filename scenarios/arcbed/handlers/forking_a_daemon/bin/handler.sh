#!/bin/sh
# Forks a daemon in enable that reports, writes to its standard output for ever, and keeps running.
. "$(dirname "$0")/common.sh"
begin "$1"
if [ "$command" = enable ]; then
  report transitioning 0 "Starting the daemon"
  (
    echo "$$" > "$folder/daemon.started"
    report success 0 "The daemon runs"
    while :; do
      echo "still here"
      sleep 1
    done
  ) &
fi
exit 0
