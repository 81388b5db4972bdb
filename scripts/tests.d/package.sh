# SPDX-License-Identifier: GPL-2.0
#
# The ways into a kernel that is not built here: modules_install, dkms, and the
# patches for a kernel tree, each of which must apply and build. Nothing is booted,
# and a kernel that is only prepared will do.

release=$(cat "$build/include/config/kernel.release")
# A kernel that is only prepared has no list of its symbols.
[ -e "$build/Module.symvers" ] || export KBUILD_MODPOST_WARN=1

modules_install()
{
	local root=$tmp/root log=$logs/modules_install.log ko

	check "modules_install" status_of 0 "$log" make -C "$modules" KDIR="$build" \
		INSTALL_MOD_PATH="$root" modules_install
	for ko in dma-owner-debug dma_owner_debug_kunit dma_owner_debug_edu; do
		check "modules_install: $ko is there" \
			[ -n "$(find "$root/lib/modules/$release" -name "$ko.ko")" ]
	done
	[ -e "$build/System.map" ] || return 0
	modprobe -d "$root" -S "$release" --show-depends dma_owner_debug_kunit >"$tmp/depends"
	check "modules_install: the suites need the tool" \
		[ "$(sed 's|.*/||; s/ *$//' "$tmp/depends" | tail -n 2 | paste -sd ' ')" = \
		"dma-owner-debug.ko dma_owner_debug_kunit.ko" ]
}

# What dkms may not write to here.
system_state()
{
	mkdir -p /lib/modules
	find /var/lib/dkms /usr/src /lib/modules -printf '%p %T@\n' | sort
}

dkms_build()
{
	local log=$logs/dkms.log ko run common name case

	# dkms makes a key for signatures if it knows a program to sign with.
	run=(env TMPDIR="$tmp" sign_file=none dkms)
	common=(--dkmstree "$tmp/dkms/tree" --sourcetree "$tmp/dkms/src"
		--installtree "$tmp/dkms/lib")
	mkdir -p "$tmp/dkms/tree" "$tmp/dkms/src" "$tmp/dkms/lib"
	system_state >"$tmp/before"
	check "dkms add" status_of 0 "$log" "${run[@]}" add "$DOD_TOP" "${common[@]}"
	name=dma-owner-debug/$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$DOD_TOP/dkms.conf")
	common+=("$name")
	check "dkms build" status_of 0 "$log" "${run[@]}" build "${common[@]}" -k "$release" \
		--kernelsourcedir "$build" --config "$build/.config"
	ko=$(find "$tmp/dkms/tree/$name/$release" -name dma-owner-debug.ko)
	check "dkms: for this kernel" [ "$(modinfo -F vermagic "$ko" | cut -d ' ' -f 1)" = "$release" ]
	check "dkms: with line numbers" grep -q debug_line <(readelf -SW "$ko")
	check "dkms: not for 6.0" status_of 77 "$log" "${run[@]}" build "${common[@]}" \
		-k 6.0.19 --kernelsourcedir "$build"
	mkdir "$tmp/nodebug"
	grep -v CONFIG_DMA_API_DEBUG= "$build/.config" >"$tmp/nodebug/.config"
	# There is nothing to build it with: 10.
	for case in 77:6.11.99 77:6.12.9-1-amd64 77:6.12.47+deb13-amd64 10:6.12.48+deb13-amd64; do
		check "dkms: without DMA_API_DEBUG on ${case#*:}" status_of "${case%%:*}" "$log" \
			"${run[@]}" build "${common[@]}" -k "${case#*:}" \
			--kernelsourcedir "$tmp/nodebug" --config "$tmp/nodebug/.config"
	done
	system_state >"$tmp/after"
	check "dkms: nothing written to the system" cmp -s "$tmp/before" "$tmp/after"
}

# A kernel tree that can be changed: links to all of $source_tree, and only the
# directories that have what the patches change are real.
make_farm()
{
	local dir

	rm -rf "$1"
	mkdir -p "$1"
	ln -s "$source_tree"/* "$1"
	for dir in kernel kernel/dma Documentation Documentation/dev-tools; do
		rm "$1/$dir"
		mkdir "$1/$dir"
		ln -s "$source_tree/$dir"/* "$1/$dir"
	done
	for dir in kernel/dma/Kconfig kernel/dma/Makefile Documentation/dev-tools/index.rst MAINTAINERS; do
		cp --remove-destination "$source_tree/$dir" "$1/$dir"
		git -C "$1" init -q --template=
		git -C "$1" add "$dir"
	done
	git -C "$1" -c user.name=test -c user.email=test commit -q -m kernel
}

# build_series MAKE_ARGUMENT...: what the patches have put there so far.
build_series()
{
	make -C "$farm" O="$farm_build" W=1 "${DOD_MAKE_OPTIONS[@]}" -j"$(nproc)" "$@" \
		kernel/dma/owner_debug/ >>"$log" 2>&1 </dev/null
}

series()
{
	local farm farm_build log=$logs/series.log dir=$tmp/series patch n=0 name

	# make knows a directory by its real name.
	farm=$(readlink -f "$(cache_dir series)")/$(basename "$build")
	farm_build=$farm.build
	make_farm "$farm"
	use_toolchain "$toolchain"

	"$DOD_TOP/scripts/graft" "$farm" --patch "$dir" >"$tmp/patches" ||
		{ fail "graft --patch"; return; }
	check "graft --patch: not twice" status_of 1 "$log" "$DOD_TOP/scripts/graft" "$farm" --patch "$dir"
	check "graft --patch: the tree is as it was" [ -z "$(git -C "$farm" status --porcelain -uno)" ]
	check "graft --patch: signed off" [ "$(grep -lc '^Signed-off-by: .* <.*>$' "$dir"/*.patch | wc -l)" = \
		"$(($(wc -l <"$tmp/patches") - 1))" ]
	mkdir "$tmp/nobody"
	cp -r "$DOD_TOP/scripts" "$tmp/nobody"
	check "graft --patch: not without a name" status_of 1 "$tmp/nobody.log" env HOME="$tmp" \
		GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
		"$tmp/nobody/scripts/graft" "$farm" --patch "$tmp/nobody/out"
	check "graft --patch: and says what to do" grep -q 'git config --global user.name' "$tmp/nobody.log"

	# Prepared already, so that only the patches are built. The first run copies it.
	if [ ! -e "$farm_build/.dod-farm" ]; then
		note "copying ${build##*/}"
		copy_build "$build" "$farm_build"
		find "$farm_build" \( -path "$farm_build/scripts" -o -path "$farm_build/tools" \) -prune -o \
			\( -name '*.o' -o -name '*.a' -o -name '*.ko' -o -name 'vmlinux*' -o -name '*Image' \) \
			-type f -exec rm {} +
		find "$farm_build" -name '.*.cmd' -exec sed -i \
			"s|$source_tree|$farm|g; s|$(readlink "$build/source")|$farm|g" {} +
		: >"$farm_build/.dod-farm"
	fi
	rm -rf "$farm_build/kernel/dma/owner_debug"
	cp "$build/.config" "$farm_build/.config"

	for patch in "$dir"/*.patch; do
		case $patch in
		*/0000-*) continue ;;
		esac
		n=$((n + 1))
		name=$(basename "$patch" .patch)
		git -C "$farm" -c user.name=test -c user.email=test am -q --whitespace=error \
			"$patch" >>"$log" 2>&1 ||
			{ fail "git am $name"; return; }
		# Kconfig lets nothing be chosen before the tool is complete: ask make.
		check "builds: $name" build_series CONFIG_DMA_OWNER_DEBUG=m \
			CONFIG_DMA_OWNER_DEBUG_KUNIT_TEST=m CONFIG_DMA_OWNER_DEBUG_SAMPLE_EDU=m
	done
	check "all patches" [ "$n" = "$(($(wc -l <"$tmp/patches") - 1))" ]
	check "no compiler warning" lacks 'warning:' "$log"
	# But for what is not for the kernel: test modules that are no suites, and split floors.
	check "Kbuild is as it is here" cmp "$farm/kernel/dma/owner_debug/Kbuild" \
		<(sed '/DOD_SPLIT$/,/^else/d; /^endif/d; s/ DOD_SPLIT.*//; s: tools/::; /[:+]=$/d' "$DOD_TOP/Kbuild")

	# The options, and each object that they build.
	printf 'CONFIG_DMA_OWNER_DEBUG%s=m\n' '' _KUNIT_TEST _SAMPLE_EDU >>"$farm_build/.config"
	make -C "$farm" O="$farm_build" "${DOD_MAKE_OPTIONS[@]}" olddefconfig >>"$log" 2>&1 </dev/null
	check "can be configured" count_is 3 '^CONFIG_DMA_OWNER_DEBUG.*=m' "$farm_build/.config"
	check "builds as configured" build_series
	for name in dma-owner-debug kunit/dma_owner_debug_kunit samples/dma_owner_debug_edu; do
		check "builds $name" [ -e "$farm_build/kernel/dma/owner_debug/$name.o" ]
	done
}

need_packages dkms kmod git binutils
modules_install
dkms_build
series
unset KBUILD_MODPOST_WARN
