# SPDX-License-Identifier: GPL-2.0
#
# Loaded and unloaded again and again under I/O: no poisoned byte is left in the
# shadow of any RAM, no page of KFENCE's is left protected, no memory is lost.

check "$cycles times insmod and rmmod under I/O" cycled "$build" "$cycles" \
	--ko "$tool_ko" --ko "$scan_ko" --ko "$modules/tools/dma_owner_debug_churn.ko" \
	--append kmemleak=on --append kfence.sample_interval=5
check "as many as asked for" grep -qE "^cycles: $cycles\b" "$out"
check "$((cycles / 10 + 1)) scans of the shadow" count_is $((cycles / 10 + 1)) '^scan: ' "$out"
check "no scan found a byte" lacks '^scan: *not ok|^scan: *$|wrong data' "$out"
check "100 mappings and more were live before each rmmod" \
	count_is "$cycles" '^live: [1-9][0-9][0-9]' "$out"
[ "$arch" != x86_64 ] || check "some were of objects of KFENCE" grep -qE '^kfence_guarded: [1-9]' "$out"
check "kmemleak finds nothing new" grep -q '^leaks: 0' "$out"
check "no complaint" no_complaints "$console"
