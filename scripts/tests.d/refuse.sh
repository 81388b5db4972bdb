# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154	# variables of scripts/test
#
# On a kernel that lacks something, insmod fails with one line that names it.

# refused KERNEL OPTION
refused()
{
	local other dir

	grep -q "^$1 " <("$DOD_TOP/scripts/kernel" --list) || {
		skipped=$((skipped + 1))
		echo "skip $step: there is no $1"
		return
	}
	other=$("$DOD_TOP/scripts/kernel" "$1" | tail -n 1)
	[ -n "$other" ] || { fail "$1: no kernel"; return; }
	dir=$(build_modules "$other") || { fail "$1: the modules do not build"; return; }
	# shellcheck disable=SC2016	# expanded in the guest
	check "$1: insmod fails, the kernel goes on" vm "$other" --ko "$dir/dma-owner-debug.ko" \
		--timeout 120 -- 'if insmod /ko/dma-owner-debug.ko; then exit 1; fi' \
		'[ ! -e /sys/module/dma_owner_debug ]'
	check "$1: one line" distinct 1 '\] dma_owner_debug: cannot' "$console"
	check "$1: names $2" grep -qE "dma_owner_debug: cannot load: .*$2" "$console"
	check "$1: no complaint" no_complaints "$console"
}

# x86_64-6.12 of x86_64-6.12-kasan-<hash>
version=$(basename "$build" | cut -d- -f 1,2)
refused "$version-nodmadebug" CONFIG_DMA_API_DEBUG=y
refused "$version-nokasan" CONFIG_KASAN_GENERIC=y
refused "$version-nokprobes" CONFIG_KPROBES=y
# The last: it has little in common with the others, which start from a copy.
refused "$version-noftrace" CONFIG_DYNAMIC_FTRACE=y
