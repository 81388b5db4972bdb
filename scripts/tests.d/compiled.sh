# SPDX-License-Identifier: GPL-2.0
#
# What the modules can only be compiled for here: KCSAN's guard (a row of --all boots it), 32-bit
# arm, and IBT, which no processor has that QEMU emulates (objtool sees what it can).

for row in x86_64-6.12-kcsan arm-6.12-kasan x86_64-6.12-ibt; do
	prepared=$("$DOD_TOP/scripts/kernel" "$row" --prepare </dev/null | tail -n 1) || true
	check "$row: prepared" [ -n "$prepared" ]
	[ -n "$prepared" ] || continue
	(build_modules "$prepared") >/dev/null || true
	check "$row: the modules build without a warning" \
		lacks 'warning:|WARNING:|rror:|Error ' \
		"$(modules_dir "$prepared")/build.log"
done
