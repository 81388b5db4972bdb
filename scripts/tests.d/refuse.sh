# SPDX-License-Identifier: GPL-2.0
#
# On a kernel that lacks something, insmod fails with one line that names it; where it
# is only what traps accesses, it loads and says so.

# refused KERNEL OPTION
refused()
{
	local other dir

	other_kernel "$1" || return 0
	check "$1: insmod fails, the kernel goes on" vm "$other" --ko "$dir/dma-owner-debug.ko" \
		--timeout 120 -- 'if insmod /ko/dma-owner-debug.ko; then exit 1; fi' \
		'[ ! -e /sys/module/dma_owner_debug ]'
	check "$1: one line" distinct 1 '\] dma_owner_debug: cannot' "$console"
	check "$1: names $2" grep -qE "dma_owner_debug: cannot load: .*$2" "$console"
	check "$1: no complaint" no_complaints "$console"
}

# loads KERNEL TEXT
loads()
{
	local other dir

	other_kernel "$1" || return 0
	check "$1: insmod and rmmod" vm "$other" --ko "$dir/dma-owner-debug.ko" --timeout 120 -- \
		'insmod /ko/dma-owner-debug.ko' 'rmmod dma_owner_debug'
	check "$1: says $2" grep -qE "dma_owner_debug: guarding streaming DMA with $2" "$console"
	check "$1: one line" distinct 1 '\] dma_owner_debug: ' <(grep -av taints "$console")
	check "$1: no complaint" no_complaints "$console"
}

# x86_64-6.12 of x86_64-6.12-kasan-<hash>
version=$(basename "$build" | cut -d- -f 1,2)
loads "$version-nokasan" 'nothing, .*; accesses are not trapped .*; without KASAN.s shadow there is no '
refused "$version-nokprobes" CONFIG_KPROBES=y
# The last: it has little in common with the others, which start from a copy.
refused "$version-noftrace" CONFIG_DYNAMIC_FTRACE=y
