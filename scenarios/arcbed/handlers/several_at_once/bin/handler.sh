#!/bin/sh
# Takes several configurations, as RunCommandHandlerLinux does.
. "$(dirname "$0")/common.sh"
begin "$1"
if [ "$command" = enable ]; then report success 0 "Enabled $ConfigExtensionName"; fi
exit 0
