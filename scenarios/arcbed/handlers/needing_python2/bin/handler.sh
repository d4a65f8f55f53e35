#!/bin/sh
# Needs Python 2, which no current distribution has: exit code 52, as the contract's handlers use it.
. "$(dirname "$0")/common.sh"
begin "$1"
if [ "$command" = install ] && ! command -v python2 > /dev/null; then
  echo "Python 2 is not installed" >&2
  exit 52
fi
if [ "$command" = enable ]; then report success 0 "Enabled"; fi
exit 0
