# SPDX-License-Identifier: GPL-2.0
#
# The self-test at load: a tool whose hooks are wrong must not load, and must name
# the hook. Each case is the tool with one deliberate mistake in base/compat.h.

mistaken gone base/compat.h 's/DOD_SYNC_PREFIX "dma_sync_sg_for_cpu"/"no_such_function"/'
mistaken silent base/compat.h 's/DOD_SYNC_PREFIX "dma_sync_sg_for_cpu"/"dma_max_mapping_size"/'
mistaken wrong base/compat.h 's/define dod_arg(/define right_arg(/
	/^#endif.*_COMPAT_H/i #define dod_arg(fregs, n) right_arg(fregs, (n) == 3 ? 2 : (n))'
mistaken untried base/compat.h 's/define DOD_UNTRIED/& true ||/'
# As on 32-bit arm.
mistaken noargs base/compat.h 's/^#ifndef CONFIG_HAVE_FUNCTION_ARG_ACCESS_API/#undef CONFIG_HAVE_FUNCTION_ARG_ACCESS_API\n&/'

# As before 6.12.48 without CONFIG_DMA_API_DEBUG.
mistaken nodebug base/compat.h 's/^#define DMA_OWNER_DEBUG_COMPAT_H/&\n#undef CONFIG_DMA_API_DEBUG/
	s/defined(DOD_DMA_EVENTS)/defined(NO_SUCH_EVENTS)/'

# With link-time optimisation, a built-in caller may have its own copy of what is hooked.
mistaken lto base/compat.h 's/^#define DMA_OWNER_DEBUG_COMPAT_H/&\n#define CONFIG_LTO 1/'

kos=()
for case in gone silent wrong noargs lto nodebug untried; do
	[ ! -e "$tmp/$case.ko" ] || kos+=(--ko "$tmp/$case.ko")
done
check "the kernel goes on after each" vm "$build" --timeout 120 "${kos[@]}" --ko "$tool_ko" -- \
	'for case in gone silent wrong noargs lto nodebug; do
		if insmod /ko/$case.ko; then exit 1; fi
	done' 'insmod /ko/untried.ko' 'rmmod dma_owner_debug' \
	'insmod /ko/dma-owner-debug.ko'
check "a function that the kernel does not have" \
	grep -q 'cannot load: .* no function no_such_function() to hook' "$console"
check "a hook that does not fire" \
	grep -q 'cannot load: hook dma_max_mapping_size ran 0 times instead of once' "$console"
check "a hook that reads wrong arguments" \
	grep -qE 'cannot load: hook debug_dma_map_(page|phys) read ' "$console"
check "an architecture that does not pass arguments" \
	grep -q 'cannot load: this kernel lacks .* HAVE_FUNCTION_ARG_ACCESS_API ' "$console"
check "a kernel with link-time optimisation" \
	grep -q 'cannot load: this kernel lacks CONFIG_LTO_NONE=y' "$console"
check "a kernel without CONFIG_DMA_API_DEBUG, and without what else would do" \
	grep -q 'cannot load: this kernel lacks CONFIG_DMA_API_DEBUG=y' "$console"
check "a kernel that was not tried yet: it loads, and says so" \
	count_is 1 'not tried with this kernel yet' "$console"
check "one line each" distinct 6 'dma_owner_debug: cannot load' "$console"
check "no complaint" no_complaints "$console"

# Where ftrace has stopped, the hooks stay in place: so must what they call.
kill_ko=$modules/tools/dma_owner_debug_kill.ko
hold_ko=$modules/tools/dma_owner_debug_hold.ko
check "ftrace stops" vm "$build" --timeout 120 --ko "$tool_ko" --ko "$kill_ko" --ko "$hold_ko" -- \
	'insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_hold.ko' \
	'insmod /ko/dma_owner_debug_kill.ko' 'sleep 12' \
	'if rmmod dma_owner_debug; then exit 1; fi' \
	'rmmod dma_owner_debug_hold; insmod /ko/dma_owner_debug_hold.ko; rmmod dma_owner_debug_hold'
check "ftrace stops: the module says that it stays" \
	count_is 1 'dma_owner_debug: ftrace has stopped, .* this module cannot be unloaded' "$console"
check "ftrace stops: nothing else happens" lacks 'BUG:|Oops' "$console"
check "ftrace stops, and the module goes at once" vm "$build" --timeout 120 \
	--ko "$tool_ko" --ko "$kill_ko" --ko "$hold_ko" -- \
	'insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_kill.ko' \
	'rmmod dma_owner_debug & sleep 3' 'grep -q "^dma_owner_debug " /proc/modules' \
	'insmod /ko/dma_owner_debug_hold.ko; rmmod dma_owner_debug_hold'
check "it goes at once: that is waited for" \
	count_is 1 'dma_owner_debug: ftrace does not remove the hooks, error -19' "$console"
check "it goes at once: nothing else happens" lacks 'BUG:|Oops' "$console"
