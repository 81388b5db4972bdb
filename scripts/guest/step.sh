#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: step.sh DIR NAME PARAM
#
# Runs in the guest: a step of the edu sample, DIR is its device's, with a parameter
# of the tool set meanwhile: NAME=VALUE, or - for none.

set -eu
if [ "$3" = - ]; then
	echo "$2" >"$1/run"
	exit
fi
param=/sys/module/dma_owner_debug/parameters/${3%%=*}
old=$(cat "$param")
trap 'echo "$old" >"$param"' EXIT
echo "${3#*=}" >"$param"
echo "$2" >"$1/run"
