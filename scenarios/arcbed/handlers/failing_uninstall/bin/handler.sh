#!/bin/sh
# Fails in uninstall with exit code 51, otherwise well-behaved.
. "$(dirname "$0")/common.sh"
begin "$1"
if [ "$command" = enable ]; then report success 0 "Enabled"; fi
if [ "$command" = uninstall ]; then
  echo "uninstall is not possible here" >&2
  exit 51
fi
exit 0
