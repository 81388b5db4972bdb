# SPDX-License-Identifier: GPL-2.0
#
# Hooks without CONFIG_DMA_API_DEBUG: the tracepoints of the DMA API. The KUnit suites, by default
# those of what is called, on the kernel under test, with the tool and the suites built as if it did not have that
# option, and with another listener on each tracepoint: callers and titles must be the same. The
# step elided has a kernel without the option.

# without_debug DIR: the modules, built there as if the kernel did not have the option
without_debug()
{
	cp -a "$modules" "$1"
	sed -i 's/^#if !IS_ENABLED(CONFIG_DMA_API_DEBUG) && /#if /' "$1/base/compat.h"
	! cmp -s "$1/base/compat.h" "$modules/base/compat.h" || return 1
	make -C "$1" KDIR="$build" -j"$(nproc)" >"$logs/$step-build.log" 2>&1 </dev/null
}

if ! grep -qsw dma_alloc_sgt "$source_tree/include/trace/events/dma.h"; then
	skip "this kernel does not have all tracepoints of the DMA API"
	return
fi

check "the modules build as without CONFIG_DMA_API_DEBUG" without_debug "$tmp/events"
# Not with the names of tasks, which a case maps for a device.
if [ -e "$tmp/events/kunit/dma_owner_debug_kunit.ko" ]; then
	check "the suites, with another listener" vm "$build" \
		--ko "$tmp/events/dma-owner-debug.ko" \
		--ko "$tmp/events/kunit/dma_owner_debug_kunit.ko" \
		--append "kfence.sample_interval=100${short:+ kunit.filter_glob=dma_owner_[hmrstu]*}" \
		--timeout 900 -- \
		'mount -t tracefs none /sys/kernel/tracing' \
		'echo 0 >/sys/kernel/tracing/options/record-cmd' \
		'echo 1 >/sys/kernel/tracing/events/dma/enable' \
		'insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_kunit.ko' \
		'for d in /sys/kernel/debug/kunit/dma_owner*; do
			echo "### ${d##*/}"; cat $d/results
		done >/dev/out' \
		'rmmod dma_owner_debug_kunit' 'rmmod dma_owner_debug'
	ktap_of_modules
	check "the load line says how" \
		grep -q 'without CONFIG_DMA_API_DEBUG, map calls are seen by tracepoints' "$console"
	check "no warning, no oops" lacks 'WARNING:|Oops' <(without_races "$console")
fi
