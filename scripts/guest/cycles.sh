#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What scripts/tests.d/cycles.sh and stock.sh run in the guest: sh cycles.sh COUNT. What a
# kernel does not have, it does without: kmemleak, KASAN's shadow. With KFENCE and without
# KASAN, allocations are sampled as often as can be. Results go to /dev/out.

cycles=$1
ref=/tmp/data
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /files/lib.sh
exec 3>/dev/out

io()
{
	while [ ! -e /tmp/stop ]; do
		dd if=$ref of=/dev/nvme0n1 bs=64k oflag=direct status=none
		dd if=/dev/nvme0n1 of=/tmp/back bs=4k count=512 iflag=direct status=none
		head -c 2097152 $ref | cmp - /tmp/back || { echo "wrong data" >&3; touch /tmp/bad; }
		dd if=$ref of=/dev/nvme0n1 bs=4k seek=4096 status=none
	done
}

# The scan is a KUnit suite of its own, run by loading its module.
scan()
{
	[ -e /ko/dma_owner_debug_scan.ko ] || return 0
	insmod /ko/dma_owner_debug_scan.ko
	echo "scan: $(grep -E '^(not )?ok ' $debugfs/kunit/dma_owner_scan/results)" >&3
	rmmod dma_owner_debug_scan
}

dmesg -n 5
dd if=/dev/urandom of=$ref bs=1M count=4 status=none
ip link set eth0 up
ip link set eth1 up
if [ -e $debugfs/kmemleak ]; then
	leaks 3 >/dev/null
	echo clear >$debugfs/kmemleak
fi
sample=/sys/module/kfence/parameters/sample_interval
[ -e /ko/dma_owner_debug_scan.ko ] || [ ! -e $sample ] || echo 1 >$sample

insmod /ko/dma_owner_debug_churn.ko
io &
for i in $(seq 1 "$cycles"); do
	insmod /ko/dma-owner-debug.ko || exit 1
	# A new receive ring: some hundred mappings that stay.
	ip link set eth0 down
	ip link set eth0 up
	usleep $((i % 5 * 100000))
	grep -E '^(live|kfence_guarded): ' $stats >&3
	awk -F': ' '/^reports_/ && $2 != 0 { print; bad = 1 } END { exit bad }' \
		$stats || exit 1
	rmmod dma_owner_debug || exit 1
	[ $((i % 10)) != 0 ] || {
		scan
		echo "cycles: $i" >/dev/console
	}
done
scan
touch /tmp/stop
wait
rmmod dma_owner_debug_churn
[ ! -e /tmp/bad ] || exit 1
echo "cycles: $cycles" >&3
[ -e $debugfs/kmemleak ] || exit 0
leaks 3 >/tmp/leaks
cat /tmp/leaks
echo "leaks: $(grep -c '^unreferenced' /tmp/leaks)" >&3
