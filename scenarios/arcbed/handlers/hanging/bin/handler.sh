#!/bin/sh
# Never ends in enable.
. "$(dirname "$0")/common.sh"
begin "$1"
if [ "$command" = enable ]; then
  report transitioning 0 "Hanging"
  echo "about to hang"
  exec sleep 86400
fi
exit 0
