# SPDX-License-Identifier: GPL-2.0
#
# What is below packaging/, and kunit/.kunitconfig: neither Yocto nor Buildroot is here. Each file
# goes through the parser that reads it there, or for a recipe, one of its syntax; what it names exists.

packaging=$DOD_TOP/packaging
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$DOD_TOP/dkms.conf")

# recipe_parses FILE: comments, assignments of one line and inherit, as BitBake's grammar has them.
recipe_parses()
{
	! grep -vnE '^(#.*|inherit( [a-z-]+)+|[A-Za-z_]+(:\$\{PN\})? (=|\?=|\+=) ".*"|)$' "$1"
}

# buildroot_says VARIABLE: make's value of it, with the macros of Buildroot that are used.
buildroot_says()
{
	make -s --no-print-directory -f - BR2_EXTERNAL_DMA_OWNER_DEBUG_PATH="$packaging/buildroot" <<-END
		kernel-module = built += module
		generic-package = built += package
		include $packaging/buildroot/external.mk
		.DEFAULT_GOAL := say
		say: ; @echo \$($1)
		END
}

# config_keeps FRAGMENT: a kernel that is configured with it has all of it.
config_keeps()
{
	local o=$tmp/packaging

	mkdir -p "$o"
	(cd "$source_tree" && export ARCH=${arch/riscv64/riscv} &&
		./scripts/kconfig/merge_config.sh -m -O "$o" "$build/.config" "$1" &&
		make O="$o" "${DOD_MAKE_OPTIONS[@]}" olddefconfig) >"$logs/packaging.log" 2>&1 </dev/null ||
		return
	! grep '^CONFIG_' "$1" | grep -vxFf "$o/.config"
}

recipe=$packaging/yocto/dma-owner-debug_$version.bb
check "the recipe is of this version" [ -f "$recipe" ]
check "the recipe parses" recipe_parses "$recipe"
check "a recipe with a mistake does not" \
	[ -n "$(recipe_parses <(sed 's/^LICENSE = /LICENSE /' "$recipe"))" ]
check "the recipe knows the licence" grep -q "md5=$(md5sum <"$DOD_TOP/COPYING" | cut -d ' ' -f 1)" "$recipe"
check "the recipe names the target of the Makefile" grep -q '^modules .*:$' "$DOD_TOP/Makefile"
check "the kernel's fragment is there" [ -f "$packaging/yocto/dma_owner_debug.cfg" ]
check "Buildroot: a kernel module and a package" [ "$(buildroot_says built)" = "module package" ]
check "Buildroot: of this version" [ "$(buildroot_says DMA_OWNER_DEBUG_VERSION)" = "$version" ]
check "Buildroot: the sources are here" \
	[ "$(cd "$(buildroot_says DMA_OWNER_DEBUG_SITE)" && pwd -P)" = "$DOD_TOP" ]
use_toolchain "$toolchain"
check "a kernel has all of dma_owner_debug.config" config_keeps "$packaging/dma_owner_debug.config"
check "kunit.py reads .kunitconfig" env PYTHONPATH="$source_tree/tools/testing/kunit" python3 -c '
import sys, kunit_config
config = kunit_config.parse_file(sys.argv[1])
sys.exit(not any(entry.name == "DMA_OWNER_DEBUG" for entry in config.as_entries()))
' "$DOD_TOP/kunit/.kunitconfig"
