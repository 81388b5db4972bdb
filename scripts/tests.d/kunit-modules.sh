# SPDX-License-Identifier: GPL-2.0
#
# The KUnit suites as modules, with the tool as the module that users load.

check "the modules load, run and unload" vm "$build" \
	--ko "$tool_ko" --ko "$kunit_ko" --ko "$scan_ko" \
	--append "kfence.sample_interval=100${no_slow:+ kunit.filter=speed>slow}" --timeout 900 -- \
	'insmod /ko/dma-owner-debug.ko' \
	'insmod /ko/dma_owner_debug_kunit.ko' \
	'insmod /ko/dma_owner_debug_scan.ko' \
	'for d in /sys/kernel/debug/kunit/dma_owner*; do
		echo "### ${d##*/}"; cat $d/results
	done >/dev/out' \
	'cat /sys/kernel/debug/dma_owner_debug/stats' \
	'rmmod dma_owner_debug_scan' \
	'rmmod dma_owner_debug_kunit' \
	'rmmod dma_owner_debug'
ktap_of_modules
case $sanitizer in
kasan) guard='KASAN, [1-9][0-9]* hooks, .* bytes($|; )' ;;
kcsan) guard='KCSAN, [1-9][0-9]* hooks, .*; accesses are found by chance' ;;
*) guard='nothing( \(KASAN with tags: .*\))?, [1-9][0-9]* hooks, .*; accesses are not trapped' ;;
esac
check "the tool says what it does" \
	grep -qE "dma_owner_debug: guarding streaming DMA with $guard" "$console"
if [ "$sanitizer" = kasan ]; then
	rmw='; x\+\+ and x \|= y count as reads: build the kernel with clang'
	if configured CC_IS_CLANG; then
		check "the load line: x++ is seen as a write" lacks "$rmw" "$console"
	else
		check "the load line: x++ counts as a read" grep -qE "$rmw" "$console"
	fi
fi
check "no warning, no oops" lacks 'WARNING:|Oops|BUG: KMSAN|Call trace:.*BUG' \
	<(without_races "$console")
# With bounce buffers: what the other run skips. The others are not made for them.
if grep -q 'kunit_filter_glob$' "$build/System.map"; then
	traps='$'
	[ "$sanitizer" = kasan ] || traps=' # SKIP'
	check "the suites bounced and masks with bounce buffers" vm "$build" \
		--ko "$tool_ko" --ko "$kunit_ko" --timeout 200 \
		--append 'kunit.filter_glob=dma_owner_[bm]?[us]* swiotlb=force kfence.sample_interval=100' -- \
		'insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_kunit.ko' \
		'grep -q "ok [0-9]* mask_never_set_noted$" /sys/kernel/debug/kunit/dma_owner_masks/results' \
		"grep -q 'ok [0-9]* idle_sync_read_traps$traps' /sys/kernel/debug/kunit/dma_owner_bounced/results" \
		'if grep "not ok" /sys/kernel/debug/kunit/dma_owner_[bm]?[us]*/results; then exit 1; fi'
else
	skip "the suites bounced and masks with bounce buffers: this kernel cannot filter the suites of modules"
fi
