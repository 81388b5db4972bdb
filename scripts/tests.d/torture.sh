# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154	# variables of scripts/test
#
# The short form of scripts/torture: each thing it requires is a test. And first, that
# its model finds the tool's mistakes: tools with one deliberate mistake each.

# Rule 5: what other mappings own is not looked at when one ends.
mistaken alone owner.c '/^static u64 take_narrow/,/^}/s/^\tguard_region(.*/\t(void)shard;/'
# Rule 2: a sync for the CPU gives it only what begins with the mapping.
mistaken lost owner.c '/^static bool change_owner/,/^}/s/^\t\tlast = take_narrow(/\t\tif (start == m->start)\n\t&/'
# Poison that is left behind.
mistaken stale owner.c '/^static u64 take_narrow/,/^}/s/^\tguard->disown(start, last)/\tif (last - start > 8 \&\& last != m->last)\n\t\tlast -= 8;\n&/'
# The same where a mapping ends.
mistaken ended owner.c '/^static void end_ranges/,/^}/s/^\t\tguard_region(.*/\t\t(void)shard;/'
# Mappings that cross a border of 2 MiB are not looked at when they are synced.
mistaken wide owner.c '/^static void end_wide/,/^}/s/^\tguard_wide(start, last);//'

kos=()
for case in alone lost stale ended wide; do
	[ ! -e "$tmp/$case.ko" ] || kos+=(--ko "$tmp/$case.ko")
done
# shellcheck disable=SC2016	# expanded in the guest
check "torture of mistaken tools" vm "$build" --timeout 300 "${kos[@]}" --append dma_debug=off \
	--ko "$modules/kunit/dma_owner_debug_torture.ko" -- \
	'dmesg -n 3; T=/sys/kernel/debug/dma_owner_torture' \
	'for case in alone lost stale ended wide; do
		insmod /ko/$case.ko dedup=0 report_burst=0
		insmod /ko/dma_owner_debug_torture.ko
		echo strict >$T/control
		echo resume >$T/control
		for _ in $(seq 30); do
			grep -q "^failures: 0" $T/results || break
			sleep 1
		done
		cat $T/failures
		echo "$case: $(tr "\n" " " <$T/results)" >/dev/out
		rmmod dma_owner_debug_torture
		rmmod dma_owner_debug
	done'
check "it finds what is not reported" grep -qE '^alone: .* misses: [1-9]' "$out"
check "it finds what must not be" grep -qE '^lost: .* false_reports: [1-9]' "$out"
check "it finds what the tool itself finds" grep -qE '^stale: .* complaints: [1-9]' "$out"
check "it finds what is not reported once another mapping has ended" grep -qE '^ended: .* misses: [1-9]' "$out"
check "it looks at wide mappings" grep -qE '^wide: .* failures: [1-9]' "$out"

torture_log=$logs/$step.console
"$DOD_TOP/scripts/torture" --target "$build" --short \
	</dev/null >"$torture_log" 2>"$logs/$step.err" ||
	{ cat "$logs/$step.err" >&2; fail "scripts/torture"; }
requirements torture "$torture_log"
