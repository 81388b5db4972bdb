# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154	# variables of scripts/test
#
# The soak in its short form; each thing it requires is a test.

soak_log=$logs/soak.console
"$DOD_TOP/scripts/soak" --minutes 1 --target "$build" "${vm_options[@]}" \
	</dev/null >"$soak_log" 2>"$logs/soak.err" ||
	{ cat "$logs/soak.err" >&2; fail "scripts/soak"; }
while IFS= read -r line; do
	case $line in
	'soak: ok: '*) pass "${line#soak: ok: }" ;;
	'soak: FAILED: '*) fail "${line#soak: FAILED: }" ;;
	esac
done <"$soak_log"
check "it ran to its end" grep -qx 'soak: passed' "$soak_log"
