# SPDX-License-Identifier: GPL-2.0
#
# The KUnit suites built in, run by the kernel's own kunit.py on the tree that the
# tool was grafted into.

# emulated: a directory with a QEMU that is not told to try KVM, as kunit.py of 7.x does on
# x86_64: see scripts/vm.
emulated()
{
	mkdir -p "$tmp/bin"
	cat >"$tmp/bin/qemu-system-x86_64" <<-END
		#!/bin/bash
		args=()
		while [ \$# -gt 0 ]; do
			case "\$1 \$2" in
			'-accel kvm'|'-accel hvf') shift ;;
			*) args+=("\$1") ;;
			esac
			shift
		done
		exec $(command -v qemu-system-x86_64) "\${args[@]}"
	END
	chmod +x "$tmp/bin/qemu-system-x86_64"
	echo "$tmp/bin"
}

# boots: the same kernel with disks, and without the suites: what drivers map when they probe
# is known, because the tool starts before.
boots()
{
	truncate -s 16M "$tmp/nvme" "$tmp/virtio" "$tmp/usb"
	vm "$1" --timeout 200 --append 'kunit.enable=0 kunit.autorun=0' \
		--qemu -drive --qemu "if=none,id=n,format=raw,file=$tmp/nvme" \
		--qemu -device --qemu nvme,serial=dod,drive=n \
		--qemu -drive --qemu "if=none,id=v,format=raw,file=$tmp/virtio" \
		--qemu -device --qemu virtio-blk-pci,drive=v,disable-legacy=on,iommu_platform=on \
		--qemu -drive --qemu "if=none,id=u,format=raw,file=$tmp/usb" \
		--qemu -device --qemu qemu-xhci --qemu -device --qemu usb-storage,drive=u \
		-- 'for disk in nvme0n1 vda sda; do
			for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /dev/$disk ] || sleep 1; done
			dd if=/dev/$disk of=/dev/null bs=64k
		done' 'dmesg >/dev/out' 'cat /sys/kernel/debug/dma_owner_debug/stats >/dev/out'
}

# starts_before_drivers FILE: the load line comes before the first line of each driver.
starts_before_drivers()
{
	awk '
		/dma_owner_debug: guarding/ { loaded = 1 }
		/\] (nvme nvme0|virtio_blk virtio|xhci_hcd 0000)/ {
			seen[$0 ~ /nvme/ ? "nvme" : $0 ~ /xhci/ ? "xhci" : "virtio"] = 1
			late = late || !loaded
		}
		END { exit late || !loaded || !seen["nvme"] || !seen["xhci"] || !seen["virtio"] }' "$1"
}

kunit_builtin()
{
	local dir config log status=0 options=() opt

	dir=$(cache_dir build)/kunit-$(basename "$build")
	config=$dir.config
	log=$logs/kunit-builtin.log

	case $arch in
	x86_64) need_packages qemu-system-x86 ;;
	arm64) need_packages qemu-system-arm ;;
	esac
	# Most of the kernel is built already: start from a copy.
	[ -d "$dir" ] || copy_build "$build" "$dir"
	# Without what kunit.py itself sets for its virtual machine.
	{
		grep -vwFf <(grep -o 'CONFIG_[A-Z0-9_]*' \
			"$source_tree/tools/testing/kunit/qemu_configs/$arch.py") \
			"$build/.config"
		echo CONFIG_DMA_OWNER_DEBUG=y
		echo CONFIG_DMA_OWNER_DEBUG_KUNIT_TEST=y
		echo CONFIG_DMA_OWNER_DEBUG_SAMPLE_EDU=y
	} >"$config"

	use_toolchain "$toolchain"
	while read -r opt; do
		options+=(--make_options "$opt")
	done < <("$DOD_TOP/scripts/graft" "$source_tree"
		printf '%s\n' "${DOD_MAKE_OPTIONS[@]}")

	# By default what is slow runs as modules only; kunit.py of 6.1 cannot tell it.
	[ -z "$short" ] || ! grep -q -- "'--filter'," "$source_tree/tools/testing/kunit/kunit.py" ||
		options+=(--filter 'speed>slow')
	# In 7.x the serial console has a thread of its own, and lags behind.
	note "kunit.py run, log in $log"
	rm -f "$tmp/builtin.json"
	PATH=$(emulated):$PATH "$source_tree/tools/testing/kunit/kunit.py" run --arch="$arch" \
		--build_dir="$dir" --kunitconfig="$config" "${options[@]}" \
		--kernel_args=nohz=off --kernel_args=highres=off --kernel_args=kunit.autorun=1 \
		--kernel_args=log_buf_len=16M \
		--kernel_args=kfence.sample_interval=100 --jobs="$(nproc)" --timeout=600 --qemu_args='-smp 2' \
		--json="$tmp/builtin.json" 'dma_owner*' </dev/null >"$log" 2>&1 &
	progress "kunit.py" "$log" '^\[' $!
	wait $! || status=$?
	ktap_json builtin "$tmp/builtin.json" || tail -n 20 "$log"
	check "kunit.py run" [ $status = 0 ]
	cp "$dir/test.log" "$logs/kunit-builtin.console" || true
	check "no warning, no oops" lacks 'WARNING:|Oops' "$logs/kunit-builtin.console"
	check "no compiler warning" lacks 'warning:' "$log"

	check "it boots with disks" boots "$dir"
	check "the tool starts before the drivers" starts_before_drivers "$out"
	check "they have mapped" grep -qE '^maps: [1-9][0-9]{2}' "$out"
	check "each unmap has its mapping" grep -qx 'unmatched_unmaps: 0' "$out"
	check "each sync has its mapping" grep -qx 'unmatched_syncs: 0' "$out"
	check "their buses are watched" grep -qx 'unwatched_buses: 0' "$out"
	check "no complaint" no_complaints "$out"
}

kunit_builtin
