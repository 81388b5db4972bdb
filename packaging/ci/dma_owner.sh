#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Usage: dma_owner.sh [COMMAND [ARGUMENT]...]
#
# Runs COMMAND while dma_owner_debug is loaded, and prints in KTAP, as kselftests do, whether
# a driver was reported meanwhile: a test for COMMAND, and one for each type of report. Without
# COMMAND it is about all that happened since the tool was loaded. Needs root. COMMAND begins
# with an empty list of faults: what an earlier job has found does not count.
#
# Exit status: 0 if nothing was reported, 1 if something was or COMMAND failed, 4 (skipped) if
# nothing was tested: the tool is not there, or no driver has mapped anything.

KSFT_PASS=0
KSFT_FAIL=1
KSFT_SKIP=4

debugfs=/sys/kernel/debug
dir=$debugfs/dma_owner_debug

skip_all()
{
	echo "1..0 # SKIP $*"
	exit $KSFT_SKIP
}

# counter NAME
counter()
{
	sed -n "s/^$1: //p" $dir/stats
}

# types: what the counters reports_* of stats name, but for those of reports as such.
types()
{
	sed -n 's/^reports_\([a-z_]*\):.*/\1/p' $dir/stats |
		grep -vxE 'shown|deduplicated|ratelimited|filtered|nested|no_buffer|unlisted' |
		tr _ -
}

# faults: the list, without its head. Columns are separated by tabs.
faults()
{
	grep -v '^#' $dir/reports
}

# unseen TYPE: why a report of this type could not come, if so; as the table of guards in
# Documentation/usage.rst has it.
unseen()
{
	case $guard:$1 in
	*:device-wrote-nothing)
		[ "$canary" = Y ] || echo "canary=0" ;;
	KASAN:*) ;;
	*:device-overrun|*:missing-sync-for-device|*:late-device-write)
		echo "not noticed without KASAN" ;;
	nothing:cpu-read|nothing:cpu-write)
		[ "$kfence" -gt 0 ] || echo "no access traps" ;;
	esac
}

result()
{
	n=$((n + 1))
	echo "$1 $n $2"
}

echo "TAP version 13"
[ "$(id -u)" = 0 ] || skip_all "needs root"
[ -d /sys/module/dma_owner_debug ] || modprobe -q dma-owner-debug 2>/dev/null ||
	skip_all "dma_owner_debug is not loaded"
[ -e $dir/stats ] || mount -t debugfs none $debugfs 2>/dev/null
faults >/dev/null 2>&1
[ $? -le 1 ] || skip_all "cannot read $dir/reports"

status=0
maps=0
if [ $# -gt 0 ]; then
	echo >$dir/reports || skip_all "cannot empty $dir/reports"
	maps=$(counter maps)
	# KTAP is alone on stdout.
	"$@" >&2 || status=$?
	# Memory is looked at for a while after its unmap (late_ms).
	sleep 1
fi
maps=$(($(counter maps) - maps))
guard=$(counter guard)
kfence=$(counter kfence_guarded)
canary=$(cat /sys/module/dma_owner_debug/parameters/canary)
echo "# guard: $guard, mappings: $maps"
found=$(faults)
[ $maps -gt 0 ] || [ $status != 0 ] || [ -n "$found" ] || skip_all "no driver has mapped anything"

n=0
passed=0
failed=0
skipped=0
echo "1..$(($(types | wc -l) + ($# > 0)))"
if [ $# -gt 0 ] && [ $status = 0 ]; then
	result ok "command"
	passed=1
elif [ $# -gt 0 ]; then
	echo "# $1: exit status $status"
	result "not ok" "command"
	failed=1
fi
for type in $(types); do
	of_type=$(echo "$found" | grep "^$type	")
	why=$(unseen "$type")
	if [ -z "$of_type" ] && [ -z "$why" ]; then
		result ok "$type"
		passed=$((passed + 1))
	elif [ -z "$of_type" ]; then
		result ok "$type # SKIP $why"
		skipped=$((skipped + 1))
	else
		echo "$of_type" | while IFS='	' read -r _ title driver device count _; do
			echo "# $title: $driver $device, $count times"
		done
		result "not ok" "$type"
		failed=$((failed + 1))
	fi
done
echo "# Totals: pass:$passed fail:$failed xfail:0 xpass:0 skip:$skipped error:0"
[ $failed = 0 ] || exit $KSFT_FAIL
exit $KSFT_PASS
