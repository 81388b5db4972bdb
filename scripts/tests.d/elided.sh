# SPDX-License-Identifier: GPL-2.0
#
# A kernel without CONFIG_DMA_API_DEBUG, which skips syncs: the tool loads, and with one deliberate
# mistake it must not.

# skipped NAME SED_SCRIPT FILE: the tool with a mistake, for the kernel $other, in $tmp/NAME.ko
skipped()
{
	(cd "$dir" && cp -p "$3" "$tmp/right" && sed -i "$2" "$3" && ! cmp -s "$3" "$tmp/right" &&
		make KDIR="$other" -j"$(nproc)" dma-owner-debug.ko &&
		cp dma-owner-debug.ko "$tmp/$1.ko") >"$logs/$step-$1.log" 2>&1 </dev/null ||
		fail "cannot build the case '$1'"
	(cd "$dir" && cp "$tmp/right" "$3" && touch "$3")
}

other_kernel "$(basename "$build" | cut -d- -f 1,2)-nodmadebug" || return 0
cp "$dir/dma-owner-debug.ko" "$tmp/right.ko"
skipped elided '/^bool dod_see_syncs/,/^}/s/clear_skip_sync(dev);/;/' attach/skip_sync.c
skipped masked 's/"dma_set_mask", dod_on_set_mask/"dma_get_required_mask", dod_on_set_mask/' attach/ftrace.c
skipped gone 's/"dma_sync_sg_for_device", dod_probe/"no_such_event", dod_probe/' attach/ftrace.c
skipped wrong 's/"dma_sync_sg_for_device", dod_probe/"dma_sync_sg_for_cpu", dod_probe/' attach/ftrace.c
kos=()
for case in elided masked gone wrong; do
	[ ! -e "$tmp/$case.ko" ] || kos+=(--ko "$tmp/$case.ko")
done
check "$(basename "$other"): loads, but not with a mistake" vm "$other" "${kos[@]}" \
	--ko "$tmp/right.ko" --ko "$dir/kunit/dma_owner_debug_kunit.ko" --timeout 300 -- \
	'for case in elided masked gone wrong; do
		if insmod /ko/$case.ko; then exit 1; fi
	done' \
	'insmod /ko/right.ko' 'insmod /ko/dma_owner_debug_kunit.ko' \
	'rmmod dma_owner_debug_kunit' 'rmmod dma_owner_debug'
check "syncs that are skipped" \
	grep -q 'cannot load: hook __dma_sync_single_for_cpu ran 0 times instead of once' "$console"
check "dma_set_mask() unseen" \
	grep -q 'cannot load: hook dma_get_required_mask ran 0 times instead of once' "$console"
check "a tracepoint that the kernel does not have" \
	grep -q 'cannot load: cannot attach to tracepoint no_such_event, error -2' "$console"
check "a tracepoint at another place" \
	grep -q 'cannot load: memory is still guarded after dma_sync_sg_for_cpu()' "$console"
check "the suites of what is skipped" \
	grep -qE 'Totals: pass:6 .*|# dma_owner_skip_sync: pass:6 fail:0 skip:0' "$console"
check "no failure of a suite" lacks '^\[[^]]*\] *not ok' "$console"
check "no warning, no oops" lacks 'WARNING:|Oops' "$console"

# The kernel skips syncs of bounce buffers as well, once dma_set_mask() was called. Others of the
# suites are not made for them.
skipped bounced 's/DOD_SYNCS_SKIPPED\] = { /&.unless_bounced = true, /' owner/owner.c
kos=()
[ ! -e "$tmp/bounced.ko" ] || kos=(--ko "$tmp/bounced.ko")
check "$(basename "$other"): the same with bounce buffers" vm "$other" "${kos[@]}" \
	--ko "$tmp/right.ko" --ko "$dir/kunit/dma_owner_debug_kunit.ko" --timeout 300 \
	--append 'kunit.filter_glob=dma_owner_skip_sync swiotlb=force' -- \
	'if insmod /ko/bounced.ko; then exit 1; fi' \
	'insmod /ko/right.ko' 'insmod /ko/dma_owner_debug_kunit.ko' \
	'rmmod dma_owner_debug_kunit' 'rmmod dma_owner_debug'
check "bounce buffers: dma_set_mask()" \
	grep -q 'cannot load: memory is still guarded after dma_set_mask()' "$console"
check "bounce buffers: the suites of what is skipped" \
	grep -qE 'Totals: pass:6 .*|# dma_owner_skip_sync: pass:6 fail:0 skip:0' "$console"
check "bounce buffers: no warning, no oops" lacks 'WARNING:|Oops' "$console"
