# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154	# variables of scripts/test
#
# The kernels of all_rows() but the one that is tested anyway: the modules are built
# for each, and the KUnit suites run on those of booted_rows().

while read -r row; do
	[ "$row" != "$target" ] || continue
	if booted_rows | grep -qxF "$row"; then
		run_row "$row" build kunit-modules
	elif [ "${row% *}" = "$row" ]; then
		prepared=$("$DOD_TOP/scripts/kernel" "$row" --prepare | tail -n 1)
		check "$row: prepared" [ -n "$prepared" ]
		build_modules "$prepared" >/dev/null || true
		check "$row: the modules build without a warning" \
			lacks 'warning:|WARNING:|rror:|Error ' \
			"$(cache_dir modules)/$(basename "$prepared")/build.log"
	fi
done < <(all_rows)
