#!/bin/sh
# Prints a gigabyte in install; ARCBED_PRINTED_MIB makes it another number of mebibytes.
. "$(dirname "$0")/common.sh"
begin "$1"
if [ "$command" = install ]; then
  echo "first line"
  head -c "$((${ARCBED_PRINTED_MIB:-1024} * 1048576))" /dev/zero | tr '\0' 'x'
  echo
  echo "last line"
fi
if [ "$command" = enable ]; then report success 0 "Enabled"; fi
exit 0
