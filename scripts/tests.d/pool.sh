# SPDX-License-Identifier: GPL-2.0
#
# Out of records: mappings go untracked and are counted, nothing is reported, I/O
# goes on; with records again, everything is tracked again.

truncate -s 32M "$tmp/disk"
# The card's receive ring alone is 256 mappings.
check "I/O goes on with 64 records" vm "$build" --ko "$tool_ko" --timeout 200 \
	--qemu -netdev --qemu hubport,hubid=0,id=n --qemu -device --qemu e1000,netdev=n \
	--qemu -drive --qemu "if=none,id=d,format=raw,file=$tmp/disk" \
	--qemu -device --qemu nvme,serial=dod,drive=d -- \
	'S=/sys/kernel/debug/dma_owner_debug/stats' \
	'stat() { sed -n "s/^$1: //p" $S; }' \
	'E=/sys/bus/pci/drivers/e1000 N=/sys/bus/pci/drivers/nvme' \
	'e=$(cd $E; echo 0000:*) n=$(cd $N; echo 0000:*)' \
	'echo $e >$E/unbind; echo $n >$N/unbind' \
	'insmod /ko/dma-owner-debug.ko pool_reserve=16 pool_max=64' \
	'echo $e >$E/bind; echo $n >$N/bind; sleep 2' \
	'ip link set eth0 up' \
	'dd if=/dev/urandom of=/tmp/data bs=1M count=8 status=none' \
	'dd if=/tmp/data of=/dev/nvme0n1 bs=64k oflag=direct status=none' \
	'dd if=/dev/nvme0n1 of=/tmp/back bs=64k count=128 iflag=direct status=none' \
	'cmp /tmp/data /tmp/back' \
	'echo "full pool_records $(stat pool_records)" >/dev/out' \
	'echo "full live $(stat live)" >/dev/out' \
	'echo "full untracked $(stat untracked_pool_empty)" >/dev/out' \
	'ip link set eth0 down; echo $e >$E/unbind; sleep 1' \
	'before=$(stat untracked_pool_empty) maps=$(stat maps)' \
	'dd if=/dev/nvme0n1 of=/dev/null bs=4k count=100 iflag=direct status=none' \
	'echo "free untracked $(($(stat untracked_pool_empty) - before))" >/dev/out' \
	'echo "free maps $(($(stat maps) - maps))" >/dev/out' \
	'echo $n >$N/unbind; sleep 1' \
	'echo "end live $(stat live)" >/dev/out' \
	'awk -F": " "/^reports_/ { n += \$2 } END { print \"end reports \" n }" $S >/dev/out' \
	'cat $S; rmmod dma_owner_debug'
# value NAME: what the guest wrote after it, -1 if nothing.
value()
{
	local v

	v=$(sed -n "s/^$1 \([0-9]*\).*/\1/p" "$out")
	echo "${v:--1}"
}
check "no more than 64 records" [ "$(value 'full pool_records')" -le 64 -a "$(value 'full pool_records')" -gt 0 ]
check "no more than 64 mappings tracked" [ "$(value 'full live')" -le 64 -a "$(value 'full live')" -gt 0 ]
check "the other mappings are counted" [ "$(value 'full untracked')" -gt 100 ]
check "records come back" [ "$(value 'free untracked')" = 0 ]
check "mappings are tracked again" [ "$(value 'free maps')" -ge 100 ]
check "none is left" [ "$(value 'end live')" = 0 ]
check "no report" [ "$(value 'end reports')" = 0 ]
check "no complaint" no_complaints "$console"

# Out of ranges: a mapping that is cut into many parts. What cannot be recorded is
# the CPU's, and must not stay poisoned. The suites themselves have to fail here.
check "the suites of sub-ranges and of pending writes run with 16 ranges" vm "$build" --timeout 200 \
	--ko "$tool_ko" --ko "$kunit_ko" --ko "$scan_ko" \
	--append 'kunit.filter_glob=dma_owner_[ps]*' -- \
	'dmesg -n 1' \
	'insmod /ko/dma-owner-debug.ko pool_reserve=16 pool_max=16' \
	'insmod /ko/dma_owner_debug_kunit.ko' \
	'cat /sys/kernel/debug/dma_owner_debug/stats >/dev/out' \
	'rmmod dma_owner_debug_kunit; rmmod dma_owner_debug' \
	'insmod /ko/dma_owner_debug_scan.ko' \
	'dmesg | grep "without an owner" >/dev/out || true' \
	'grep -E "^(not )?ok" /sys/kernel/debug/kunit/dma_owner_scan/results >/dev/out'
check "ranges ran out" grep -q '^ranges_exhausted: [1-9]' "$out"
check "findings without a record are counted" grep -q '^findings_pool_empty: [1-9]' "$out"
check "no poison without an owner" lacks 'without an owner' "$out"
check "no poison is left" grep -q '^ok 1 dma_owner_scan' "$out"
