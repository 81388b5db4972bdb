#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs in the guest: what looking for wrong accesses costs with KCSAN, and what it
# finds, by watch_cpu. The edu sample has left one mapping of 1024 bytes.

set -eu
seconds=10
watch_cpu=/sys/module/dma_owner_debug/parameters/watch_cpu
watcher=$(grep -lx dma_owner_watch /proc/[0-9]*/comm | cut -d/ -f3)
udelay=$(cat /sys/module/kcsan/parameters/udelay_task)

# Of the thread, in ticks, 100 a second; of KCSAN, in watches.
spent()
{
	awk '{ print $14 + $15 }' "/proc/$watcher/stat"
}

watches()
{
	sed -n 's/^setup_watchpoints: //p' /sys/kernel/debug/kcsan
}

own=0
echo "watch_cpu, CPU used, watches per second, chance of one access"
for share in 0 5 20 50 100; do
	echo $share >$watch_cpu
	sleep 1
	ticks=$(spent)
	n=$(watches)
	sleep $seconds
	ticks=$(($(spent) - ticks))
	n=$((($(watches) - n) / seconds))
	# KCSAN's own, of whatever runs.
	[ $share != 0 ] || { own=$n; echo "(KCSAN by itself: $own watches per second)"; continue; }
	awk -v s=$share -v t=$ticks -v n=$((n - own)) -v d="$udelay" -v sec=$seconds 'BEGIN {
		printf "%d, %.1f %%, %d, %.1f %%\n", s, t / sec, n, n * d / 10000 }'
done
