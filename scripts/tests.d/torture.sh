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
# Rule 4: a pending write is forgotten.
mistaken pending owner.c '/^static void pend_new/,/^}/s/^\tstruct dod_pending \*p = .*/\tstruct dod_pending *p = NULL;/'
# What a sync of a part leaves of it is.
mistaken part owner.c '/^static struct dod_range \*range_like/,/^}/s/^\tp = dod_pending_copy.*/\tp = NULL;/'
# What a sync for the CPU gave it of 8 bytes with a pending write is the device's again.
mistaken rest owner.c '/^static void unpend_rest/,/^}/s/ \&\& !r->taken//'
# Of several mappings of memory that is written only the first is to get that.
mistaken one owner.c '/^static void write_part/,/^}/s/; m = next) {/; m = NULL) {/'
# Rule 2: a sync that brings nothing back gives all the same.
mistaken idle owner.c '/^static enum take how_to_take/,/^}/s/KEEP_PENDING | KEEP_WRITABLE/KEEP_PENDING/'
# Rule 3c: of equal mappings any ends.
mistaken twins owner.c '/^static int unmap_fits/,/^}/s/fits += 8;/;/'
# Rule 6b: what is past the leading part stays the device's.
mistaken tail owner.c '/^static enum take how_to_take/,/^}/s/TAKE_ALL : FINISH/TAKE_ALL : TAKE_ALL/'
# What was written there stays stale.
mistaken fresh owner.c '/^static void write_mapping/,/^}/s/r->state == DOD_STALE)/r->state == DOD_STALE \&\& start \& 64)/'
# Rule 3b: an unmap leaves nothing stale.
mistaken never owner.c '/^static bool leaves_stale/,/^}/s/^\treturn true;/\treturn false;/'
# What an unmap has left stale stays so when it is written.
mistaken ever owner.c '/^bool dod_owner_write/,/^}/s/^\t\tstale_drop(.*//'

kos=()
cases='alone lost stale ended wide pending part rest one idle twins tail fresh never ever'
for case in $cases; do
	[ ! -e "$tmp/$case.ko" ] || kos+=(--ko "$tmp/$case.ko")
done
# shellcheck disable=SC2016	# expanded in the guest
check "torture of mistaken tools" vm "$build" --timeout 900 "${kos[@]}" --append dma_debug=off \
	--ko "$modules/tools/dma_owner_debug_torture.ko" -- \
	'dmesg -n 3; T=/sys/kernel/debug/dma_owner_torture' \
	"off=cacheline-sharing,overlapping-mapping,shared-line-write,missing-sync-for-device" \
	"for case in $cases; do" \
	'	insmod /ko/$case.ko dedup=0 report_burst=0 noncoherent=64 off_types=$off
		insmod /ko/dma_owner_debug_torture.ko
		echo lined >$T/control
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
check "it finds a pending write that is forgotten" grep -qE '^pending: .* misses: [1-9]' "$out"
check "it finds what a sync of a part forgets" grep -qE '^part: .* misses: [1-9]' "$out"
check "it finds the CPU's bytes beside a pending write" grep -qE '^rest: .* false_reports: [1-9]' "$out"
check "it finds a mapping that does not know of a write" grep -qE '^one: .* misses: [1-9]' "$out"
check "it finds a sync that must give nothing" grep -qE '^idle: .* misses: [1-9]' "$out"
check "it finds which of equal mappings has ended" grep -qE '^twins: .* failures: [1-9]' "$out"
check "it writes past a packet" grep -qE '^tail: .* false_reports: [1-9]' "$out"
check "it reads what it wrote past a packet" grep -qE '^fresh: .* false_reports: [1-9]' "$out"
check "it reads what an unmap has left stale" grep -qE '^never: .* misses: [1-9]' "$out"
check "it reads what it wrote there" grep -qE '^ever: .* false_reports: [1-9]' "$out"

torture_log=$logs/$step.console
"$DOD_TOP/scripts/torture" --target "$build" --short \
	</dev/null >"$torture_log" 2>"$logs/$step.err" ||
	{ cat "$logs/$step.err" >&2; fail "scripts/torture"; }
requirements torture "$torture_log"
