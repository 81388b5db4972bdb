# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154	# variables of scripts/test
#
# What others do to the tool must not make it do harm: whoever switches all kprobes off
# takes the breakpoint away that tells legal accesses from others.

hold_ko=$modules/kunit/dma_owner_debug_hold.ko
enabled=/sys/kernel/debug/kprobes/enabled

# shellcheck disable=SC2016	# expanded in the guest
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
