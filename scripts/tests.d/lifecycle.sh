# SPDX-License-Identifier: GPL-2.0
#
# What a driver leaves mapped, with the sample driver for the edu device: reported
# when it is unbound, and when the system goes down while the device is a bus
# master; and what debugfs says about a DMA address.

edu=(--qemu -device --qemu "edu,dma_mask=0xffffffff" --ko "$edu_ko" --ko "$tool_ko" --timeout 120)
load=('insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_edu.ko mask_bits=32')
names=('D=/sys/kernel/debug/dma_owner_debug_edu' 'dev=$(ls $D)'
	'L=/sys/kernel/debug/dma_owner_debug/lookup')
at=("${names[@]}" 'echo 1 >$D/$dev/leave'
	'bus=$(dmesg | sed -n "s/.*left a mapping at //p" | tail -n 1)')

check "a driver that leaves a mapping is unbound" vm "$build" "${edu[@]}" -- \
	"${load[@]}" 'stat -c "%a %n" /sys/kernel/debug/dma_owner_debug/lookup >/dev/out' \
	"${names[@]}" 'echo right >$D/$dev/run' \
	'ended=$(printf "0x%x" $(awk "NR > 1 && \$2 == \"$dev\" { print \$7 }" \
		/sys/kernel/debug/dma_owner_debug/devices))' \
	'echo "$dev $ended" >$L; echo "ended: $(cat $L)" >/dev/out' \
	"${at[@]}" \
	'echo "$dev $bus" >$L; echo "live: $(cat $L)" >/dev/out' \
	'echo "$dev 0x10" >$L; echo "none: $(cat $L)" >/dev/out' \
	'echo "nobody 0x10" >$L; echo "nobody: $(cat $L)" >/dev/out' \
	'if echo nonsense >$L; then exit 1; fi' \
	'B=/sys/bus/pci/drivers/dma_owner_debug_edu' \
	'echo $dev >$B/unbind; echo $dev >$B/bind; echo $dev >$B/unbind' \
	'rmmod dma_owner_debug'
check "one title" count_is 1 'BUG: DMA_OWNER: leak-at-unbind in edu_.*\[dma_owner_debug_edu\]$' "$console"
check "nothing else of the tool's" count_is 1 'BUG:' <(without_races "$console")
check "how much it left" grep -q 'It left 1 mapping of 1024 bytes\.' "$console"
check "lookup is for root" grep -q '^600 .*lookup' "$out"
check "lookup of a live mapping" grep -qE \
	'^live: .*: 0 bytes into a mapping of 1024 bytes, DMA_FROM_DEVICE, at 0x.*, mapped [0-9]+ us ago by edu_' "$out"
check "a live mapping was not unmapped" lacks '^live: .*unmapped' "$out"
check "lookup of an ended mapping" grep -qE \
	'^ended: .* bytes into a mapping .*, unmapped [0-9]+ us ago by edu_' "$out"
check "lookup where nothing is" grep -q '^none: .*: not near any mapping' "$out"
check "lookup of an unknown device" grep -q '^nobody: .*: a device that has mapped nothing' "$out"

check "a device that is a bus master, at restart" vm "$build" "${edu[@]}" -- "${load[@]}" "${at[@]}"
check "at restart: one title" count_is 1 'BUG: DMA_OWNER: owned-at-shutdown in edu_.*\[dma_owner_debug_edu\]$' "$console"
check "at restart: why" grep -q 'It is a bus master, and its driver has no shutdown()\.' "$console"
check "at restart: how much" grep -q 'It owns 1024 bytes of 1 mapping\.' "$console"

check "a device that is not, at restart" vm "$build" "${edu[@]}" -- \
	"${load[@]}" "${at[@]}" 'for c in /sys/bus/pci/devices/$dev/config; do
		printf "\003\000" | dd of=$c bs=1 seek=4 conv=notrunc status=none
	done'
check "at restart, no bus master: silent" no_complaints "$console"

check "a mapping that ended, at restart" vm "$build" "${edu[@]}" -- "${load[@]}" \
	'D=/sys/kernel/debug/dma_owner_debug_edu; echo right >$D/$(ls $D)/run'
check "at restart, nothing mapped: silent" no_complaints "$console"

# Nobody reads the memory any more. By the letter the device is to be stopped.
powers_off()
{
	vm "$build" "${edu[@]}" -- "${load[@]}" "$@" "${at[@]}" 'poweroff -f' && return 1
	grep -qE 'reboot: (Power down|System halted)' "$console"
}
check "a device that is a bus master, at power-off" powers_off
check "at power-off: silent" no_complaints "$console"
check "the same with strict=1" powers_off 'echo 1 >/sys/module/dma_owner_debug/parameters/strict'
check "at power-off, strict=1: one title" \
	count_is 1 'BUG: DMA_OWNER: owned-at-shutdown in edu_.*\[dma_owner_debug_edu\]$' "$console"

hold=(--ko "$tool_ko" --ko "$modules/tools/dma_owner_debug_hold.ko" --timeout 120)
check "a driver without shutdown(), at restart" vm "$build" "${hold[@]}" -- \
	'insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_hold.ko receive=1'
check "without shutdown(): one title" \
	count_is 1 'BUG: DMA_OWNER: owned-at-shutdown in .*\[dma_owner_debug_hold\]$' "$console"
check "the driver of a child that it made has one, at restart" vm "$build" "${hold[@]}" -- \
	'insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_hold.ko receive=1 child=1'
check "a child's shutdown(): silent" no_complaints "$console"

check "fault=panic does not stop a restart" vm "$build" "${edu[@]}" -- \
	"${load[@]}" 'echo panic >/sys/module/dma_owner_debug/parameters/fault' "${at[@]}"
check "fault=panic at restart: reported" grep -q 'BUG: DMA_OWNER: owned-at-shutdown' "$console"

# The PCI core itself stops what is a bus master then. What is booted says so on the
# console, and ends in a triple fault: a debug kernel would take half a minute.
kexecs()
{
	local lib files=()

	need_packages kexec-tools
	"clang$DOD_LLVM" --target=x86_64-linux-gnu -c -x assembler -o "$tmp/second.o" - <<-'END'
		.globl _start
		_start:	lea text(%rip), %rsi
			mov $0x3f8, %dx
			mov $end - text, %ecx
			cld
			rep outsb
			lidt none(%rip)
			ud2
		text:	.ascii "\r\nthe second kernel\r\n"
		end:
		none:	.zero 10
	END
	"ld.lld$DOD_LLVM" -Ttext=0x4000000 -o "$tmp/second" "$tmp/second.o" || return
	while read -r lib; do
		files+=(--file "$lib")
	done < <(ldd /sbin/kexec | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\) .*/\1/p')
	vm "$build" "${edu[@]}" --file /sbin/kexec "${files[@]}" --file "$tmp/second" -- \
		"${load[@]}" "${at[@]}" \
		'kexec() { /files/ld-*.so* --library-path /files /files/kexec "$@"; }' \
		'kexec -c -l /files/second' 'kexec -e' && return 1
	grep -q '^the second kernel' "$console"
}
# For arm64, kexec takes suspend, which these kernels do not have.
if [ "$arch" = x86_64 ]; then
	check "kexec with a mapping that is left" kexecs
	check "kexec: the kernel said goodbye" grep -q 'kexec_core: Starting new kernel' "$console"
	check "kexec, no bus master any more: silent" lacks 'BUG:|WARNING:' <(without_races "$console")
fi
