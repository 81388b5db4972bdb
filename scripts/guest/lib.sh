# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# What the guest's scripts share. To be read by one that has set $me, with which its lines
# begin. A line "$me: ok: ..." or "$me: FAILED: ..." is one thing that is required.

debugfs=/sys/kernel/debug
stats=$debugfs/dma_owner_debug/stats
failed=/tmp/failed

say()
{
	echo "$me: $*"
}

ok()
{
	say "ok: $*"
}

bad()
{
	say "FAILED: $*"
	echo "$*" >>$failed
}

# require TEXT CONDITION...
require()
{
	require_text=$1
	shift
	if "$@"; then ok "$require_text"; else bad "$require_text"; fi
}

# now: seconds since boot
now()
{
	cut -d. -f1 /proc/uptime
}

# wait_until SECONDS COMMAND...: until it succeeds, but no longer.
wait_until()
{
	until_end=$(($(now) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now)" -lt $until_end ] || return 1
		usleep 100000
	done
}

# counter NAME: of the tool
counter()
{
	sed -n "s/^$1: //p" $stats
}

is_zero()
{
	[ "$(counter "$1")" = 0 ] && return
	say "$1: $(counter "$1")"
	return 1
}

# leaks SCANS: what kmemleak finds. It takes an object for lost when two scans do not
# find it, and not before it is 5 s old.
leaks()
{
	for _ in $(seq "$1"); do
		sleep 6
		echo scan >$debugfs/kmemleak || return 1
	done
	cat $debugfs/kmemleak
}
