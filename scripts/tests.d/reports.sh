# SPDX-License-Identifier: GPL-2.0
#
# Reports outside of KUnit: the line numbers, fault=panic, wrong parameters, and
# what debugfs shows, with the sample driver for the edu device.

edu=(--qemu -device --qemu "edu,dma_mask=0xffffffff" --ko "$edu_ko" --ko "$tool_ko" --timeout 120)
wrong_step='for f in /sys/kernel/debug/dma_owner_debug_edu/*/run; do
	echo write-after-map >$f
done'

check "a wrong access is reported" vm "$build" "${edu[@]}" -- \
	'insmod /ko/dma-owner-debug.ko' \
	'insmod /ko/dma_owner_debug_edu.ko mask_bits=32' "$wrong_step" \
	'stat -c "%a %n" /sys/kernel/debug/dma_owner_debug/* >/dev/out'
check "one title" count_is 1 'BUG: DMA_OWNER: cpu-write in .*\[dma_owner_debug_edu\]$' "$console"
check "nothing else" count_is 1 'BUG:|WARNING:' "$console"
check "mappings is for root" grep -q '^400 .*mappings' "$out"

decoded=$logs/decoded
LLVM=$(sed -n 's/^clang//p' <<<"$toolchain") \
	"$source_tree/scripts/decode_stacktrace.sh" "$build/vmlinux" auto "$modules" <"$console" >"$decoded" 2>/dev/null || fail "decode_stacktrace.sh"
check "decode_stacktrace.sh: the title has file and line" \
	grep -qE 'BUG: DMA_OWNER: cpu-write in .*dma_owner_debug_edu\.c:[0-9]+\)' "$decoded"
check "decode_stacktrace.sh: the map stack has file and line" awk '
	/Mapped by/ { in_stack = 1; next }
	in_stack && /dma_owner_debug_edu\.c:[0-9]+\)/ { found = 1 }
	END { exit !found }' "$decoded"

panics()
{
	vm "$build" "${edu[@]}" -- "insmod /ko/dma-owner-debug.ko fault=panic" \
		'insmod /ko/dma_owner_debug_edu.ko mask_bits=32' "$wrong_step" && return 1
	grep -q 'the kernel failed: .*Kernel panic - not syncing: dma_owner_debug.fault=panic' "$vm_err"
}
check "fault=panic panics" panics
check "fault=panic: after the report" awk '
	/BUG: DMA_OWNER: cpu-write/ { report = 1 }
	/Kernel panic/ { exit !report }' "$console"

check "wrong parameters are refused" vm "$build" "${edu[@]}" -- \
	'for p in off_types=nonsense fault=nonsense off_drivers=nonsense:x pool_max=0; do
		if insmod /ko/dma-owner-debug.ko $p; then echo "$p was accepted"; exit 1; fi
	done' \
	'insmod /ko/dma-owner-debug.ko' \
	'if echo nonsense >/sys/module/dma_owner_debug/parameters/off_types; then exit 1; fi' \
	'echo cpu-write >/sys/module/dma_owner_debug/parameters/off_types' \
	'insmod /ko/dma_owner_debug_edu.ko mask_bits=32' "$wrong_step" \
	'grep -x "reports_filtered: [1-9][0-9]*" /sys/kernel/debug/dma_owner_debug/stats'
check "an unknown type: the known ones are listed" \
	grep -qE 'dma_owner_debug: .*cpu-read.*cpu-write' "$console"
check "a type that is off is silent" no_complaints "$console"

check "a write that waits for its sync" vm "$build" --ko "$tool_ko" \
	--ko "$modules/tools/dma_owner_debug_hold.ko" --timeout 120 -- \
	'insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_hold.ko writes=1' 'sleep 2' \
	'echo 1 >/sys/module/dma_owner_debug/parameters/pending_after' \
	'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		if dmesg | grep -q write-never-synced; then break; fi
		sleep 1
	done' \
	'cat /sys/kernel/debug/dma_owner_debug/mappings >/dev/out' 'rmmod dma_owner_debug_hold'
check "mappings: how much is pending, and since when" grep -qE \
	'^dma_owner_hold .* to-device .* 8 [1-9][0-9]{5,} ' "$out"
check "it is noted once, and by whom" count_is 1 \
	'note: write-never-synced: dma_owner_hold .* 8 bytes .* by dma_owner_hold_write' "$console"
check "and is no report" lacks 'BUG:' "$console"
