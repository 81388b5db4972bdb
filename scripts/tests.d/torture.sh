# SPDX-License-Identifier: GPL-2.0
#
# The short form of scripts/torture: each thing it requires is a test. And first, that
# its model finds the tool's mistakes: tools with one deliberate mistake each.

cases=() patterns=() kos=()

# mistake NAME RESULT SED_SCRIPT: what is done to the files of owner/, in which the name of
# a function is once. The torture is to count at least one RESULT.
mistake()
{
	mistaken "$1" 'owner/*.c' "$3"
	[ ! -e "$tmp/$1.ko" ] || kos+=(--ko "$tmp/$1.ko")
	cases+=("$1") patterns+=("^$1: .* $2: [1-9]")
}

# Rule 5: what other mappings own is not looked at when one ends.
mistake alone misses '/^static u64 take_narrow/,/^}/s/^\tguard_region(.*/\t(void)shard;/'
# Rule 2: a sync for the CPU only covers what begins with the mapping.
mistake lost false_reports '/^static bool change_owner/,/^}/s/^\t\tlast = take_narrow(/\t\tif (start == m->start)\n\t&/'
# Poison that stays.
mistake stale complaints '/^static u64 take_narrow/,/^}/s/^\tguard->disown(start, last)/\tif (last - start > 8 \&\& last != m->last)\n\t\tlast -= 8;\n&/'
# The same where a mapping ends.
mistake ended misses '/^static void end_ranges/,/^}/s/^\t\tguard_region(.*/\t\t(void)shard;/'
# Mappings that span regions are not looked at when one ends.
mistake wide failures '/^static void end_wide/,/^}/s/^\tguard_wide(start, last);//'
# Rule 4: a pending write is forgotten.
mistake pending misses '/^static void pend_new/,/^}/s/^\tstruct dod_pending \*p = .*/\tstruct dod_pending *p = NULL;/'
# What a sync of a part leaves of it is.
mistake part misses '/^static struct dod_range \*range_like/,/^}/s/^\tp = dod_pending_copy.*/\tp = NULL;/'
# What a sync for the CPU covered of 8 bytes with a pending write is poisoned again.
mistake rest false_reports '/^static void unpend_rest/,/^}/s/ \&\& !r->taken//'
# Of several mappings of memory that is written only the first notes the write.
mistake one misses '/^static void write_part/,/^}/s/; m = next) {/; m = NULL) {/'
# Rule 2: a sync that brings nothing back unpoisons all the same.
mistake idle misses '/^static enum take how_to_take/,/^}/s/KEEP_PENDING | KEEP_WRITABLE/KEEP_PENDING/'
# Rule 3c: of equal mappings any ends.
mistake twins failures '/^static int unmap_fits/,/^}/s/fits += 8;/;/'
# Rule 6b: what is past the leading part stays poisoned.
mistake tail false_reports '/^static enum take how_to_take/,/^}/s/TAKE_ALL : FINISH/TAKE_ALL : TAKE_ALL/'
# What was written there stays stale.
mistake fresh false_reports '/^static void write_mapping/,/^}/s/r->state == DOD_STALE)/r->state == DOD_STALE \&\& start \& 64)/'
# Rule 3b: an unmap leaves nothing stale.
mistake never misses '/^static bool leaves_stale/,/^}/s/^\treturn true;/\treturn false;/'
# What an unmap has left stale stays so when it is written.
mistake ever false_reports '/^bool dod_owner_write/,/^}/s/^\t\tstale_drop(.*//'

check "torture of mistaken tools" vm "$build" --timeout 900 "${kos[@]}" --append dma_debug=off \
	--ko "$modules/kunit/dma_owner_debug_torture.ko" -- \
	'dmesg -n 3; T=/sys/kernel/debug/dma_owner_torture' \
	"off=cacheline-sharing,overlapping-mapping,shared-line-write,missing-sync-for-device" \
	"for case in ${cases[*]}; do" \
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
for i in "${!cases[@]}"; do
	check "it finds the mistake '${cases[i]}'" grep -qE "${patterns[i]}" "$out"
done

torture_log=$logs/$step.console
"$DOD_TOP/scripts/torture" --target "$build" --short \
	</dev/null >"$torture_log" 2>"$logs/$step.err" ||
	{ cat "$logs/$step.err" >&2; fail "scripts/torture"; }
requirements torture "$torture_log"
