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
mistake alone misses '/^u64 dod_to_cpu_single/,/^}/s/^\tdod_repoison(.*/\tdod_poison_ops.unpoison(start, last, false);/'
# Rule 2: a sync for the CPU only covers what begins with the mapping.
mistake lost false_reports '/^bool dod_change_owner/,/^}/s/^\t\t\tlast = dod_to_cpu_single(/\t\t\tif (start == m->start)\n\t&/'
# Poison that stays.
mistake stale complaints '/^u64 dod_to_cpu_single/,/^}/s/^\tdod_repoison(.*/\tif (last - start > 8 \&\& last != m->last)\n\t\tlast -= 8;\n&/'
# The same where a mapping ends.
mistake ended misses '/end_range(struct dod_area/,/^}/s/^\t\tdod_poison_region(.*/\t\t(void)a;/'
# Mappings that span regions are not looked at when one ends.
mistake wide failures '/^void dod_spanning_end/,/^}/s/^\tdod_poison_spanning(.*//'
# Rule 4: a pending write is forgotten.
mistake pending misses '/^static void pend_new/,/^}/s/^\tstruct dod_pending \*p = .*/\tstruct dod_pending *p = NULL;/'
# What a sync of a part leaves of it is.
mistake part misses '/struct dod_range \*__range_from/,/^}/s/^\t\tp = dod_pending_copy.*/\t\tp = NULL;/'
# What a sync for the CPU covered of 8 bytes with a pending write is poisoned again.
mistake rest false_reports '/^static void unpend_rest/,/^}/s/ \&\& !r->rest_synced//'
# Of several mappings of memory that is written only the first notes the write.
mistake one failures '/^static void write_tree/,/^}/{s/^\t\tif (!m->ended)$/& {/;s/^\t\t\twrite_mapping(.*/&\n\t\t\tbreak;\n\t\t}/}'
# Rule 2: a sync that brings nothing back unpoisons all the same.
mistake idle misses '/^static enum keep what_to_keep/,/^}/s/KEEP_PENDING | KEEP_WRITABLE/KEEP_PENDING/'
# Rule 3c: of equal mappings any ends.
mistake twins failures '/^static int unmap_fits/,/^}/s/ + 8 \* !!READ_ONCE(m->ranges.rb_node)//'
# Rule 6b: what is past the leading part stays poisoned.
mistake tail false_reports '/^static enum keep what_to_keep/,/^}/s/KEEP_NONE : FINISH/KEEP_NONE : KEEP_NONE/'
# What was written there stays stale.
mistake fresh false_reports '/^static void write_mapping/,/^}/s/r->state == DOD_STALE)/r->state == DOD_STALE \&\& start \& 64)/'
# Rule 3b: an unmap leaves nothing stale.
mistake never misses '/^bool dod_stale_is_left/,/^}/s/^\treturn true;/\treturn false;/'
# What an unmap has left stale stays so when it is written.
mistake ever false_reports '/^static void write_region/,/^}/s/^\tstale_drop(.*//'

check "torture of mistaken tools" vm "$build" --timeout 3600 "${kos[@]}" --append dma_debug=off \
	--ko "$modules/tools/dma_owner_debug_torture.ko" -- \
	'dmesg -n 3; T=/sys/kernel/debug/dma_owner_torture' \
	"off=cacheline-sharing,overlapping-mapping,shared-line-write,missing-sync-for-device" \
	"for case in ${cases[*]}; do" \
	'	insmod /ko/$case.ko dedup=0 report_burst=0 noncoherent=64 off_types=$off
		insmod /ko/dma_owner_debug_torture.ko
		echo lined >$T/control
		echo strict >$T/control
		echo resume >$T/control
		for _ in $(seq 180); do
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
