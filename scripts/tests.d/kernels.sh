# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154	# variables of scripts/test
#
# The other kernels of all_rows(): the modules are built for each, and the KUnit suites
# run on those of booted_rows(). 32-bit arm can only be compiled for; and no processor
# that QEMU emulates has IBT, of which objtool sees what it can.

while read -r row; do
	run_row "$row" build kunit-modules
done < <(booted_rows)

while read -r row; do
	# The one that is tested anyway, or the same with options.
	[ "$row" != "$target" ] || continue
	[ "${row% *}" = "$row" ] || continue
	# The target's kernel with other options.
	[ "${row%-small}" = "$row" ] || continue
	prepared=$("$DOD_TOP/scripts/kernel" "$row" --prepare </dev/null | tail -n 1) || true
	check "$row: prepared" [ -n "$prepared" ]
	[ -n "$prepared" ] || continue
	(build_modules "$prepared") >/dev/null || true
	check "$row: the modules build without a warning" \
		lacks 'warning:|WARNING:|rror:|Error ' \
		"$(modules_dir "$prepared")/build.log"
done < <(all_rows; echo arm-6.12-kasan; echo x86_64-6.12-ibt)
