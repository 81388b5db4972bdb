# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154	# variables of scripts/test
#
# The soak in its short form; each thing it requires is a test. The steps soak-iommu,
# soak-swiotlb and soak-highmem are the same with that option of scripts/soak.

soak_log=$logs/$step.console soak_options=("${vm_options[@]}")
[ "$step" = soak ] || soak_options+=("--${step#soak-}")
"$DOD_TOP/scripts/soak" --minutes 1 --target "$build" "${soak_options[@]}" \
	</dev/null >"$soak_log" 2>"$logs/$step.err" ||
	{ cat "$logs/$step.err" >&2; fail "scripts/soak"; }
while IFS= read -r line; do
	case $line in
	'soak: ok: '*) pass "${line#soak: ok: }" ;;
	'soak: FAILED: '*) fail "${line#soak: FAILED: }" ;;
	esac
done <"$soak_log"
check "it ran to its end" grep -qx 'soak: passed' "$soak_log"
