#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: step.sh DIR NAME PARAM
#
# Runs in the guest: a step of the edu sample, DIR is its device's, with parameters
# of the tool set meanwhile: NAME=VALUE with a space between, or - for none.

set -eu
params=/sys/module/dma_owner_debug/parameters
restore=
trap 'eval "$restore"' EXIT
[ "$3" = - ] || for param in $3; do
	name=${param%%=*}
	restore="$restore echo '$(cat "$params/$name")' >$params/$name;"
	echo "${param#*=}" >"$params/$name"
done
echo "$2" >"$1/run"
