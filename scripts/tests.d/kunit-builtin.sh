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
}

kunit_builtin
