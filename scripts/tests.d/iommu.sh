# SPDX-License-Identifier: GPL-2.0
#
# Real DMA by the edu device with an IOMMU that translates, with one that passes
# through, and through bounce buffers: each step says what it should, and
# the data arrive. Not the steps whose memory must not be mapped at all: what is
# said of it depends on what the IOMMU or the bounce buffer does with its address.

access=(none cpu-read cpu-write)
lines=(cacheline-sharing shared-line-write overlapping-mapping)
content=(to-device-changed device-overrun missing-sync-for-device device-wrote-nothing)

# steps NAME KERNEL_PARAMETERS NR SILENT QEMU_ARGUMENT...: NR steps run. SILENT are the
# types that must not be reported, although the steps expect them.
steps()
{
	local name=$1 append=$2 nr=$3 silent=" $4 " step_name expect types result ran=0 args=()

	shift 4
	while [ $# -gt 0 ]; do
		args+=(--qemu "$1")
		shift
	done
	check "$name: the steps run" vm "$build" --timeout 200 --ko "$tool_ko" --ko "$edu_ko" \
		--append "$append" \
		"${args[@]}" --qemu -device --qemu edu,dma_mask=0xffffffff -- \
		'insmod /ko/dma-owner-debug.ko' \
		'insmod /ko/dma_owner_debug_edu.ko mask_bits=32' \
		"sh /files/steps.sh ${access[*]} ${lines[*]} ${content[*]} free-while-mapped" \
		'for t in /sys/kernel/iommu_groups/*/type; do echo "domain: $(cat $t)"; done' \
		'rmmod dma_owner_debug_edu' 'rmmod dma_owner_debug'
	while read -r step_name expect types result; do
		ran=$((ran + 1))
		case $silent in
		*" $expect "*) expect=none ;;
		esac
		check "$name: $step_name is ${expect/none/silent}" \
			[ "$types $result" = "$expect ok" ]
	done <"$out"
	check "$name: right steps, wrong accesses, shared lines, content, frees" [ "$ran" = "$nr" ]
	check "$name: the kernel does not complain" lacks 'BUG: [^D]|WARNING:' "$console"
}

bounced=0 unread=''
case " ${vm_options[*]} " in
*' --noncoherent '*)
	# What is in a line to which such a device may write, the CPU must not load into
	# its cache: nothing is read past its end, and no pattern put into it.
	unread='device-overrun device-wrote-nothing'
	# Small buffers are bounced there, since kmalloc() does not align them any more:
	# one right step.
	! configured DMA_BOUNCE_UNALIGNED_KMALLOC || bounced=1
	;;
esac
case $arch in
x86_64) iommu=(-device "intel-iommu,intremap=off") iommu_on=intel_iommu=on ;;
arm64) iommu=(-machine iommu=smmuv3) iommu_on='' ;;
esac
# The API that only an IOMMU gives, on kernels that have it: one right step, one wrong.
linked=0
! grep -q ' dma_iova_link$' "$build/System.map" || linked=2
# The mapping is for reading only: the IOMMU keeps the device from writing to it. Not
# from writing past the end of another, in the same page.
steps translating "$iommu_on iommu.strict=1" $((19 + linked + bounced)) \
	"to-device-changed $unread" "${iommu[@]}"
check "translating: an IOMMU is in use" grep -q '^domain: DMA' "$console"
# What the IOMMU does not translate is not mapped. dma-debug, too, would complain; and where caches
# are not coherent, the kernel would write back those of whatever address that is.
case " ${vm_options[*]} " in
*' --noncoherent '*) ;;
*)
	check "translating: a step runs that syncs what is not mapped" vm "$build" --timeout 200 \
		--ko "$tool_ko" --ko "$edu_ko" --append "$iommu_on iommu.strict=1 dma_debug=off" \
		--qemu "${iommu[0]}" --qemu "${iommu[1]}" \
		--qemu -device --qemu edu,dma_mask=0xffffffff -- \
		'insmod /ko/dma-owner-debug.ko' \
		'insmod /ko/dma_owner_debug_edu.ko mask_bits=32' \
		'sh /files/steps.sh never-mapped' \
		'rmmod dma_owner_debug_edu' 'rmmod dma_owner_debug'
	check "translating: it is never-mapped" \
		grep -q '^never-mapped never-mapped never-mapped ok' "$out"
	;;
esac
# What KUnit cannot do on a machine without.
if grep -q 'kunit_filter_glob$' "$build/System.map"; then
	check "translating: pages that are allocated" vm "$build" --timeout 200 \
		--ko "$tool_ko" --ko "$kunit_ko" --qemu "${iommu[0]}" --qemu "${iommu[1]}" \
		--qemu -device --qemu edu \
		--append "$iommu_on kunit.filter_glob=dma_owner_mask*" -- \
		'insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_kunit.ko' \
		'grep "ok [0-9]* pages_by_iommu_silent" /sys/kernel/debug/kunit/dma_owner_masks/results >/dev/out'
	check "translating: by their own mask" grep -qE '^ *ok [0-9]+ pages_by_iommu_silent[[:space:]]*$' "$out"
fi
steps passthrough "$iommu_on iommu.passthrough=1" $((19 + bounced)) "$unread" "${iommu[@]}"
check "passthrough: an IOMMU is in use" grep -q '^domain: identity' "$console"
# The device does not use these cache lines, but those of the bounce buffer. That is
# also where it writes what it should not; and whether it has written there is not known.
steps bouncing 'swiotlb=force' $((19 + bounced)) "${lines[*]} ${content[*]}"
