# SPDX-License-Identifier: GPL-2.0
#
# A minute of load; each thing it requires is a test. The steps soak-direct, soak-iommu,
# soak-swiotlb and soak-highmem are its short form, with that option of scripts/soak.

soak_log=$logs/$step.console soak_options=(--minutes 1)
[ "$step" = soak ] || soak_options=(--short "--${step#soak-}")
soak_options+=("${vm_options[@]}")
"$DOD_TOP/scripts/soak" --target "$build" "${soak_options[@]}" \
	</dev/null >"$soak_log" 2>"$logs/$step.err" ||
	{ cat "$logs/$step.err" >&2; fail "scripts/soak"; }
requirements soak "$soak_log"
