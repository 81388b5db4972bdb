# SPDX-License-Identifier: GPL-2.0
#
# What others do to the tool must not make it do harm: whoever switches all kprobes off
# takes the breakpoint away that tells legal accesses from others.

hold_ko=$modules/tools/dma_owner_debug_hold.ko
enabled=/sys/kernel/debug/kprobes/enabled

check "kprobes are switched off under a mapping" vm "$build" \
	--ko "$tool_ko" --ko "$hold_ko" --append kasan_multi_shot --timeout 200 -- \
	'insmod /ko/dma-owner-debug.ko' \
	'insmod /ko/dma_owner_debug_hold.ko' \
	'grep -x "allowed_reads: 1" /sys/kernel/debug/dma_owner_debug/stats' \
	"echo 0 >$enabled" \
	'rmmod dma_owner_debug_hold' \
	'cat /sys/kernel/debug/dma_owner_debug/stats >/dev/out' \
	'for i in 1 2 3; do insmod /ko/dma_owner_debug_hold.ko; rmmod dma_owner_debug_hold; done' \
	'rmmod dma_owner_debug' \
	'if insmod /ko/dma-owner-debug.ko; then exit 1; fi' \
	"echo 1 >$enabled" \
	'insmod /ko/dma-owner-debug.ko' \
	'insmod /ko/dma_owner_debug_hold.ko' 'rmmod dma_owner_debug_hold'
check "one native report, of the read that nobody judged" \
	count_is 1 'BUG: KASAN: .* in dma_owner_hold_read' "$console"
check "no other" count_is 1 'BUG: ' "$console"
check "it says that the access may be legal" \
	count_is 1 'DMA owner: may be legal, as a read of DMA_TO_DEVICE memory is' "$console"
check "it is counted" count_is 1 '^missed_traps: 1' "$out"
check "the tool says once that it has stopped" \
	count_is 1 'dma_owner_debug: stopped: the breakpoint on kasan_report\(\) is gone' "$console"
check "it refuses to load without kprobes" \
	grep -q 'dma_owner_debug: cannot load: kprobes are switched off' "$console"

check "kprobes are switched off before a mapping" vm "$build" \
	--ko "$tool_ko" --ko "$hold_ko" --append kasan_multi_shot --timeout 200 -- \
	'insmod /ko/dma-owner-debug.ko' \
	"echo 0 >$enabled" \
	'insmod /ko/dma_owner_debug_hold.ko' 'rmmod dma_owner_debug_hold'
check "nothing is painted then" lacks 'BUG: ' "$console"
check "and the tool stops" \
	count_is 1 'dma_owner_debug: stopped: the breakpoint on kasan_report\(\) is gone' "$console"

# The mapping's 64 MiB are mostly other people's memory: a disk works in it meanwhile.
if ! grep -q 'kunit_filter_glob$' "$build/System.map"; then
	skip "64 MiB of a small object beside I/O: this kernel cannot filter the suites of modules"
	return
fi
truncate -s 32M "$tmp/harm.disk"
check "64 MiB of a 512-byte object, 100 times, beside I/O" vm "$build" \
	--ko "$tool_ko" --ko "$kunit_ko" --timeout 300 --append 'kunit.filter_glob=dma_owner_harm' \
	--qemu -drive --qemu "if=none,id=d,format=raw,file=$tmp/harm.disk" \
	--qemu -device --qemu nvme,serial=dod,drive=d -- \
	'insmod /ko/dma-owner-debug.ko' \
	'dd if=/dev/urandom of=/tmp/data bs=1M count=8 status=none' \
	'(while [ ! -e /tmp/stop ]; do
		dd if=/tmp/data of=/dev/nvme0n1 bs=64k oflag=direct status=none
		dd if=/dev/nvme0n1 of=/tmp/back bs=64k count=128 iflag=direct status=none
		cmp /tmp/data /tmp/back || echo "wrong data" >/dev/out
		echo round >/dev/out
	done) & io=$!' \
	'sleep 2; insmod /ko/dma_owner_debug_kunit.ko' \
	'touch /tmp/stop; wait $io' \
	'grep "mapping_of_64_mib" /sys/kernel/debug/kunit/dma_owner_harm/results >/dev/out'
check "the test of it passes" grep -qE '^ *ok [0-9]+ mapping_of_64_mib' "$out"
check "the disk works meanwhile" grep -q '^round' "$out"
check "its data are right" lacks 'wrong data' "$out"
check "nobody else is hurt" lacks 'BUG: KASAN|WARNING:|Oops' "$console"
