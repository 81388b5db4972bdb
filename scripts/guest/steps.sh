#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: steps.sh TYPE...
#
# Runs in the guest: the steps of the edu sample that expect one of these reports, on
# its first device. Writes a line for each to /dev/out: its name, the report type it
# expects, the types that were counted meanwhile, and what the step returned.

set -eu
stats=/sys/kernel/debug/dma_owner_debug/stats
wanted=" $* "
set -- /sys/kernel/debug/dma_owner_debug_edu/*
[ -e "$1/steps" ] || { echo "no edu device" >&2; exit 1; }

# Counters of types have a type's name; the others of that prefix say what became
# of the reports.
counts()
{
	sed -n 's/^reports_//p' $stats |
		grep -vE '^(shown|deduplicated|ratelimited|filtered|nested):'
}

echo 0 >/sys/module/dma_owner_debug/parameters/report_burst
tab=$(printf '\t')
while IFS=$tab read -r name expect param _; do
	case $wanted in
	*" $expect "*) ;;
	*) continue ;;
	esac
	counts >/tmp/before
	if sh /files/step.sh "$1" "$name" "$param"; then result=ok; else result=failed; fi
	counts >/tmp/after
	types=$(awk 'NR == FNR { was[$1] = $2; next }
		$2 > was[$1] { sub(/:$/, "", $1); gsub("_", "-", $1); printf "%s%s", sep, $1; sep = "," }
		' /tmp/before /tmp/after)
	echo "$name $expect ${types:-none} $result"
done <"$1/steps" >/dev/out
