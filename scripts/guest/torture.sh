#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What scripts/torture runs in the guest: sh torture.sh parallel|reload SECONDS SEED.
# Every line that starts with "torture: ok:" or "torture: FAILED:" is one thing
# required; one that starts with "torture: sum:" has the figures, as name=value.

mode=$1
seconds=$2
seed=$3
me=torture
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /files/lib.sh
torture=$debugfs/dma_owner_torture
params=/sys/module/dma_owner_debug/parameters
counts=/tmp/counts
mkdir -p $counts

# count NAME, counted NAME: what a loop in the background did.
count()
{
	echo >>$counts/"$1"
}

counted()
{
	if [ -e $counts/"$1" ]; then wc -l <$counts/"$1"; else echo 0; fi
}

# value FILE NAME: of a line of a file that cannot be read now and then, for want of
# memory.
value()
{
	until sed -n "s/^$2: //p" "$1" 2>/dev/null | grep .; do
		[ -e "$1" ] || { echo 0; return; }
	done
}

result()
{
	value $torture/results "$1"
}

counter()
{
	value $stats "$1"
}

tell()
{
	echo "$1" >$torture/control || bad "control: $1"
}

failing()
{
	[ "$(result failures)" != 0 ] || [ -e $failed ]
}

# random N: a number below N. Not $RANDOM: subshells would share it.
random()
{
	echo $(($(od -An -N4 -tu4 /dev/urandom) % $1))
}

running()
{
	[ ! -e /tmp/stop ]
}

# ---- the tool --------------------------------------------------------------

# What is no fault on a coherent device, but with noncoherent= and canary=.
only_elsewhere=cacheline-sharing,overlapping-mapping,shared-line-write,missing-sync-for-device,device-wrote-nothing

# There devices need not be coherent.
coherent_off=
[ "$(uname -m)" != aarch64 ] || coherent_off=$only_elsewhere
off=$coherent_off

# load PARAMETER...: with all the memory it needs.
load()
{
	touch /tmp/hold
	for _ in 1 2 3 4 5; do
		no_faults
		! insmod /ko/dma-owner-debug.ko dedup=0 report_burst=0 off_types=$off "$@" || {
			rm /tmp/hold
			return 0
		}
	done
	return 1
}

# set_param NAME VALUE: whatever it says to that.
set_param()
{
	{ echo "$2" >$params/"$1"; } 2>/dev/null
	count params
}

# What changes no answer. noncoherent= and canary= do, unless the reports that they are
# for are off; and then whether bytes are stale has no one answer either.
write_params()
{
	while running; do
		while read -r name values; do
			# shellcheck disable=SC2086	# a list
			set -- $values
			shift "$(random $#)"
			case $name in
			noncoherent) [ -e /tmp/perhaps_lined ] || continue ;;
			canary) [ -e /tmp/elsewhere ] || continue ;;
			esac
			set_param "$name" "$1"
			usleep 20000
		done <<-END
			strict maybe
			trap_user 0 1
			kunit_fail 0 1
			content off sample on none
			content_sample 1 3 16 0
			content_max 128 1000 4096 1
			watch_writes 0 1 64
			untested_after 1 60
			off_drivers nosuch* cpu-read:nosuch nosuch-type:x
			off_devices nosuch* 0000:*
			wires nosuch:32 nosuch
			noncoherent 0 32 64 128 48
			canary 0 1
			dedup 0
			report_burst 0
			fault report nonsense
			pool_max 1
		END
	done
}

read_debugfs()
{
	while running; do
		for file in stats mappings devices lookup; do
			# Out of memory, when asked to.
			if cat $debugfs/dma_owner_debug/$file >/tmp/"$file" 2>/dev/null; then
				count reads
			else
				count failed_reads
			fi
		done
		{ awk 'NR > 1 { print $2, $7; exit }' /tmp/mappings \
			>$debugfs/dma_owner_debug/lookup; } 2>/dev/null
		usleep 50000
	done
}

# ---- the rest of the world -------------------------------------------------

cpu=/sys/devices/system/cpu/cpu1/online

plug_cpus()
{
	while running; do
		usleep $((200000 + $(random 800000)))
		echo 0 >$cpu && count unplugged
		usleep $((100000 + $(random 300000)))
		echo 1 >$cpu || count stuck
	done
}

# text_of MODULE: its first address, and the one after its last.
text_of()
{
	awk -v m="$1" '$1 == m { print $6, $2 }' /proc/modules | {
		read -r base size
		[ -n "$size" ] && printf '0x%x 0x%x\n' $((base)) $((base + size))
	}
}

# inject ATTR PROBABILITY MODULE: allocations fail that are made in calls of the module.
inject()
{
	[ ! -e /tmp/hold ] || return 0
	text_of "$3" >/tmp/range."$1"
	read -r from to </tmp/range."$1" || return 0
	echo 0 >$debugfs/"$1"/probability
	echo N >$debugfs/"$1"/task-filter
	echo "$from" >$debugfs/"$1"/require-start
	echo "$to" >$debugfs/"$1"/require-end
	[ -e /tmp/hold ] || echo "$2" >$debugfs/"$1"/probability
}

# anywhere: whatever the task does that asks for it, and no other.
anywhere()
{
	no_faults
	for attr in failslab fail_page_alloc; do
		echo Y >$debugfs/$attr/task-filter
		echo 0 >$debugfs/$attr/require-start
		echo 0xffffffffffffffff >$debugfs/$attr/require-end
	done
}

no_faults()
{
	! can_inject || for attr in failslab fail_page_alloc; do
		echo 0 >$debugfs/$attr/probability
	done
}

can_inject()
{
	[ -e $debugfs/failslab/require-start ]
}

prepare_faults()
{
	for attr in failslab fail_page_alloc; do
		dir=$debugfs/$attr
		echo 0 >$dir/verbose
		echo 1 >$dir/interval
		echo -1 >$dir/times
		echo N >$dir/ignore-gfp-wait
	done
	echo N >$debugfs/fail_page_alloc/ignore-gfp-highmem
	echo 0 >$debugfs/fail_page_alloc/min-order
}

inject_faults()
{
	while running; do
		inject failslab 40 dma_owner_debug
		inject fail_page_alloc 30 dma_owner_debug_torture
		sleep 2
		inject failslab 20 dma_owner_debug_torture
		inject fail_page_alloc 40 dma_owner_debug
		sleep 1
	done
	no_faults
}

# unload: once nobody has a file of the tool's open any more.
unload()
{
	for _ in $(seq 1 100); do
		rmmod dma_owner_debug 2>/tmp/rmmod.err && return
		usleep 50000
	done
	cat /tmp/rmmod.err
	return 1
}

# load_without_memory: one allocation of insmod's fails, a random one of some 450; not of
# the first 250, which are the module loader's. The kernel makes do without many of them,
# and where it does not, insmod tries once more in another way: the log has the first try.
# The workers are not at rest: what judges differently than their model is no miss, but a
# false report.
load_without_memory()
{
	touch /tmp/hold
	anywhere
	nth=$(($(random 200) + 250))
	# It allocates, too, each time, and has a reserve.
	[ -z "$leak_check" ] || nth=$((nth * 2 + $(random 2)))
	mark="allocation $nth of insmod's fails"
	echo "<7>torture: $mark" >/dev/kmsg
	! sh -c "echo $nth >/proc/self/fail-nth
		exec insmod /ko/dma-owner-debug.ko dedup=0 report_burst=0 off_types=$off pool_reserve=64 $rules" \
		2>/dev/null || unload
	if dmesg | sed -n "/$mark/,\$p" | grep -q 'dma_owner_debug: cannot load: '; then
		count failed_loads
	else
		count other_loads
	fi
	rm /tmp/hold
}

# ---- run -------------------------------------------------------------------

start_world()
{
	read_debugfs &
	write_params &
	if [ -w $cpu ]; then plug_cpus & fi
	if can_inject; then
		prepare_faults
		inject_faults &
	fi
}

stop_world()
{
	touch /tmp/stop
	wait
	[ ! -w $cpu ] || echo 1 >$cpu 2>/dev/null
}

progress()
{
	say "$(now) s: $(result illegal_accesses) illegal accesses, $(result reports) reports, $(result misses) misses, $(result false_reports) false reports"
}

# run_for SECONDS: stops at the first failure.
run_for()
{
	run_end=$(($(now) + $1))
	while [ "$(now)" -lt $run_end ] && ! failing; do
		sleep 1
		[ $(($(now) % 10)) != 0 ] || progress
	done
}

# The tool is there all the time: from the first mapping on it knows all.
run_parallel()
{
	load || exit 1
	insmod /ko/dma_owner_debug_torture.ko seed="$seed" || exit 1
	tell strict
	start_world
	tell resume
	run_for $((seconds / 3))
	tell pause
	# Any judgement that is one of other machines: now and then, and then all the time.
	off=$only_elsewhere
	echo $off >$params/off_types
	tell 'perhaps lined'
	touch /tmp/elsewhere /tmp/perhaps_lined
	tell resume
	run_for $((seconds / 3))
	tell pause
	rm /tmp/perhaps_lined
	sleep 1
	echo 64 >$params/noncoherent
	tell lined
	tell resume
	run_for $((seconds - 2 * (seconds / 3)))
	stop_world
	tell pause
	require "reports counted by the tool: $(counter reports_cpu_read) reads, $(counter reports_cpu_write) writes, $(counter reports_free_while_mapped) frees" \
		[ "$(($(counter reports_cpu_read) + $(counter reports_cpu_write) + $(counter reports_free_while_mapped)))" = "$(result reports)" ]
	for name in untracked_pool_empty ranges_exhausted pending_pool_empty reports_no_buffer \
		unmatched_unmaps unmatched_syncs; do
		require "$name: $(counter $name)" [ "$(counter $name)" = 0 ]
	done
}

# The tool comes and goes, with the workers at rest and in the middle of their work.
run_reload()
{
	insmod /ko/dma_owner_debug_torture.ko seed="$seed" || exit 1
	tell out
	start_world
	tell resume
	round=0 quiet=0
	run_end=$(($(now) + seconds))
	# Each kind of round once, however slow the machine is.
	while { [ "$(now)" -lt $run_end ] || [ $round -lt 4 ]; } && ! failing; do
		# The tool is not there: what it is told at the load counts for what comes.
		case $((round % 3)) in
		0) tell 'at once'; tell 'not lined'; rules=strict=1 off=$coherent_off ;;
		1) tell pending; tell 'not lined'; rules=strict=0 off=$coherent_off ;;
		2) tell pending; tell lined; rules=noncoherent=64 off=$only_elsewhere ;;
		esac
		[ $((round % 2)) = 0 ] || tell pause
		tell loose
		# With the workers at rest, and not. Then the log may be full of reports.
		if can_inject && { [ $((round % 4)) = 1 ] || [ $((round % 4)) = 2 ]; }; then
			for _ in 1 2 3 4; do
				load_without_memory
			done
		fi
		if [ $((round % 4)) = 3 ]; then
			# Too little memory: what is known is not known.
			load pool_reserve=16 pool_max=64 "$rules" || exit 1
		else
			load pool_reserve=4096 "$rules" || exit 1
			tell strict
		fi
		tell resume
		usleep $((1000000 + $(random 3000000)))
		[ $((round % 2)) = 1 ] || { tell pause; quiet=$((quiet + 1)); }
		tell loose
		usleep "$(random 100000)"
		unload || exit 1
		tell out
		tell resume
		usleep "$(random 500000)"
		round=$((round + 1))
		[ $((round % 5)) != 0 ] || progress
	done
	stop_world
	tell pause
	require "loaded and unloaded: $round times, $quiet of them with the workers at rest" [ $round -gt 1 ]
	require "illegal accesses to what it did not know, silent: $(result illegal_unknown)" \
		[ "$(result illegal_unknown)" -gt 0 ]
	# Mappings are live.
	insmod /ko/dma_owner_debug_scan.ko
	require "no poisoned byte is left" grep -q '^ok ' $debugfs/kunit/dma_owner_scan/results
}

# Below that are emergencies: reports are not, and would take the console's time.
dmesg -n 3
say "$mode, $seconds s, $(nproc) CPUs, seed $seed"
leak_check=
if [ "$mode" = reload ] && grep -q kmemleak=on /proc/cmdline && [ -e $debugfs/kmemleak ]; then
	echo scan >$debugfs/kmemleak
	echo scan >$debugfs/kmemleak
	echo clear >$debugfs/kmemleak && leak_check=y
fi

case $mode in
parallel) run_parallel ;;
reload) run_reload ;;
*) exit 2 ;;
esac

if [ "$(result failures)" != 0 ]; then
	say "the first failures:"
	cat $torture/failures
	if [ -e $stats ]; then
		say "what the tool knows:"
		grep dma_owner_torture $debugfs/dma_owner_debug/mappings
		cat $stats
	fi
	say "the reports that they name:"
	sed -n 's/^.* at \(ffff[0-9a-f]*\) by task .*/\1/p' $torture/failures | sort -u | while read -r at; do
		dmesg | awk -v at="at $at by" '/BUG: DMA_OWNER/ { n = 0; kept = ""; found = 0 }
			{ kept = kept $0 "\n" } index($0, at) { found = 1 }
			/====$/ && found { printf "%s", kept; found = 0 }'
	done
	say "the end of the log:"
	dmesg | tail -n 250
fi
require "every illegal access was reported: $(result illegal_accesses)" [ "$(result misses)" = 0 ]
require "there were some" [ "$(result illegal_accesses)" -gt 20 ]
require "and of writes that were lost: $(result lost_writes) of $(result writes_pending)" \
	[ "$(result lost_writes)" -gt 0 ]
require "and of frees: $(result illegal_frees)" [ "$(result illegal_frees)" -gt 0 ]
require "no other access was: $(result legal_accesses) legal ones" [ "$(result false_reports)" = 0 ]
require "all writes went ahead" [ "$(result wrong_data)" = 0 ]
require "no complaint of the kernel's" [ "$(result complaints)" = 0 ]
require "no failure" [ "$(result failures)" = 0 ]
for context in task bh_off irqs_off tasklet timer hrtimer irq_work; do
	n=$(result batches_$context)
	require "ran in $context: $n times" [ "$n" -gt 0 ]
done
require "parameters written: $(counted params)" [ "$(counted params)" -gt 10 ]
require "debugfs read: $(counted reads)" [ "$(counted reads)" -gt 10 ]
if [ -e $cpu ]; then
	require "CPU 1 unplugged: $(counted unplugged)" [ "$(counted unplugged)" -gt 0 ]
	require "CPU 1 came back" [ "$(counted stuck)" = 0 ]
else
	say "skip: CPUs cannot be unplugged"
fi
if can_inject; then
	require "allocations of the workers failed: $(result buffers_no_memory)" \
		[ "$(result buffers_no_memory)" -gt 0 ]
	say "reads of debugfs failed: $(counted failed_reads)"
	[ "$mode" = parallel ] ||
		require "insmod without some memory failed: $(counted failed_loads), did not, or the log does not say: $(counted other_loads)" \
			[ "$(counted failed_loads)" -gt 0 ]
else
	say "skip: this kernel has no fault injection by stack trace"
fi
say "sum: $(sed 's/: /=/' $torture/results | tr '\n' ' ')"

require "rmmod of the workers" rmmod dma_owner_debug_torture
[ ! -e /sys/module/dma_owner_debug ] || require "rmmod" rmmod dma_owner_debug
if [ -n "$leak_check" ]; then
	leaks 2 >/tmp/leaks
	require "kmemleak worked to the end" [ $? = 0 ]
	require "kmemleak finds nothing: $(grep -c '^unreferenced' /tmp/leaks)" \
		sh -c '! grep -q "^unreferenced" /tmp/leaks'
	head -n 60 /tmp/leaks
fi
dmesg >/tmp/dmesg
require "the end of the log has no complaint" \
	sh -c "! grep -E 'BUG: (KASAN|sleeping)|WARNING:|ODEBUG|INFO: ' /tmp/dmesg"
[ ! -e $failed ]
