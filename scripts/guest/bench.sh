#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What scripts/bench runs in the guest:
#
#   sh bench.sh cases off|on "LIVE..." "CONFIG..."
#   sh bench.sh wall PAIRS MILLISECONDS MB
#
# Results go to /dev/out, a line each, for scripts/bench.py. What is said on the
# console says how far it is.

me=bench
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /files/lib.sh

# Checks of mappings, of their content, and notes: what is left, without profile and history,
# is the guard, with the records it needs, and the look at what is freed.
checks=cacheline-sharing,overlapping-mapping,out-of-bounds-map,use-after-free-map
checks=$checks,vmalloc-buffer,stack-buffer,image-buffer,not-contiguous,mask-exceeded
checks=$checks,to-device-changed,device-overrun,missing-sync-for-device,device-wrote-nothing
checks=$checks,mask-never-set,mask-wider-than-bus,mask-untested,dma-config-not-inherited

fail()
{
	say "FAILED: $*"
	exit 1
}

result()
{
	echo "$*" >/dev/out
}

# load_tool CONFIG: "out" is without it.
load_tool()
{
	case $1 in
	out) return ;;
	guard) set -- content=off watch_writes=0 profile=0 history=0 off_types=$checks ;;
	all) set -- ;;
	lines) set -- noncoherent=64 ;;
	# QEMU's e1000e writes checksums into what it sends: see "Findings" in the
	# documentation.
	# The profile has a row of its own.
	in) set -- profile=0 off_drivers=to-device-changed:e1000e ;;
	esac
	insmod /ko/dma-owner-debug.ko "$@" || fail "insmod dma-owner-debug.ko $*"
	# What is mapped right then is not judged by its content.
	sleep 1
}

# unload_tool CONFIG: it must have had nothing to report but what is filtered.
unload_tool()
{
	[ "$1" != out ] || return 0
	awk -F': ' '/^reports_(shown|deduplicated|ratelimited|nested)$|^ranges_exhausted/ && $2 != 0 {
		print "bench: " $0; bad = 1 } END { exit bad }' $stats || fail "$1: reports"
	rmmod dma_owner_debug || fail "rmmod dma_owner_debug"
}

# bench PARAMETER...: loads the module that does the work, prints its results.
bench()
{
	dmesg -c >/dev/null
	insmod /ko/dma_owner_debug_bench.ko "$@" || fail "insmod dma_owner_debug_bench.ko $*"
	dmesg | sed -n 's/^.*dma_owner_bench: //p'
}

unload_bench()
{
	rmmod dma_owner_debug_bench || fail "rmmod dma_owner_debug_bench"
}

# ---- instructions ------------------------------------------------------------

# free_kb: settled, with nothing in the page allocator's lists of single pages.
free_kb()
{
	echo 3 >/proc/sys/vm/drop_caches
	echo 1 >/proc/sys/vm/compact_memory
	sleep 1
	sed -n 's/^MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo
}

# memory CONFIG LIVE: what memory is gone with all that is live. The tool must have been
# loaded just now: it keeps the records that it has once allocated.
memory()
{
	before=$(free_kb)
	bench only=none live="$2" >/dev/null
	result memory "$1" $((before - $(free_kb)))
	[ "$1" = out ] ||
		result untracked "$1" "$(counter untracked_pool_empty)" "$(counter content_pool_empty)"
	unload_bench
}

# burst CONFIG LIVE: as many at once, while no worker can run.
burst()
{
	load_tool "$1"
	bench only=none live="$2" atomic=1 >/dev/null
	result untracked at_once "$(counter untracked_pool_empty)" "$(counter content_pool_empty)"
	unload_bench
	unload_tool "$1"
}

# switched_off PARAMETER: everything on but that, with 1 live
switched_off()
{
	say "dma-debug off, tool all but $1"
	echo 0 >/sys/module/dma_owner_debug/parameters/"$1"
	bench live=1 >/tmp/cases
	sed "s/^/case off no_$1 1 /" /tmp/cases >/dev/out
	unload_bench
	echo 1 >/sys/module/dma_owner_debug/parameters/"$1"
}

# The kernel's own benchmark, on QEMU's edu device, which has no driver here.
bind_yardstick()
{
	for edu in /sys/bus/pci/devices/*; do
		[ "$(cat "$edu/device")" = 0x11e8 ] || continue
		echo dma_map_benchmark >"$edu/driver_override"
		echo "${edu##*/}" >/sys/bus/pci/drivers/dma_map_benchmark/bind
	done
	[ -e /sys/kernel/debug/dma_map_benchmark ] || fail "no device is bound to dma_map_benchmark"
}

# yardstick DMA_DEBUG CONFIG: for a page, in each direction. Its microseconds have one
# digit after the point.
yardstick()
{
	for dir in 1 2; do
		say "dma-debug $1, tool $2: dma_map_benchmark -d $dir"
		/files/dma_map_benchmark -t 1 -s 1 -d $dir >/tmp/yardstick || fail "dma_map_benchmark"
		awk -v l="yardstick $1 $2 $dir" '/^average/ { gsub(/.*\(us\):| standard.*/, ""); l = l " " $0 }
			END { print l }' /tmp/yardstick >/dev/out
	done
}

# cases DMA_DEBUG LIVES CONFIGS
cases()
{
	result clocksource "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
	bind_yardstick
	for config in $3; do
		case "$1 $config $2 " in
		'off all '*' 100000 ')
			say "dma-debug off, tool all, 100000 mapped at once"
			burst all 100000 ;;
		esac
		say "dma-debug $1, tool $config: insmod"
		load_tool "$config"
		[ "$config" = out ] ||
			result banner "$config" "$(dmesg | sed -n 's/.*dma_owner_debug: \(guarding .*\)/\1/p' | tail -n 1)"
		case "$1 $2 " in
		'off '*' 100000 ')
			say "dma-debug off, tool $config, 100000 live: memory"
			memory "$config" 100000 ;;
		esac
		for live in $2; do
			say "dma-debug $1, tool $config, $live live: all calls"
			bench live="$live" >/tmp/cases
			sed "s/^/case $1 $config $live /" /tmp/cases >/dev/out
			unload_bench
		done
		case "$1 $config" in
		'off all')
			switched_off profile
			switched_off history
			for zero in 512 8192; do
				say "dma-debug off, tool all, $zero entries of the zero page live"
				result zero $zero "$(bench only=zero64 zero=$zero | sed 's/.* //')"
				unload_bench
			done ;;
		esac
		yardstick "$1" "$config"
		unload_tool "$config"
	done
}

# ---- instructions, counted by profile/plugin.c -------------------------------

# symbols: what is where in the modules from now on
symbols()
{
	result modules
	sed -n 's/^\([0-9a-f]*\) [tT] \(.*\)\t\[\(.*\)\]$/symbol \1 \2 \3/p' /proc/kallsyms >/dev/out
}

# counted CASE: says how many sections it has made, of how many runs each.
counted()
{
	say "tool $config: $1"
	case $1 in
	nvme_*)
		# nvme_OPERATION_SIZEk, with _sg in pages
		op=${1#nvme_} size=${1%_sg} memory=piece
		op=${op%%_*} size=${size##*_}
		[ "$size" != "${1##*_}" ] && memory=pages
		/files/requests "$op" $((${size%k} * 1024)) "$requests" $memory \
			/tmp/memory /dev/nvme0n1 || fail "$1"
		result sections "$config" "$1" "$requests" 1 ;;
	e1000e)
		net_up "$1" e1000e 2
		/files/requests receive 1048576 "$mb" 10.0.2.100 1234 || fail "$1"
		result sections "$config" "$1" "$mb" 1
		ip link set "$dev" down ;;
	*)
		# As many as the module makes of them.
		bench only="$1" live="$live" >/tmp/cases
		[ -s /tmp/cases ] || fail "there is no case $1"
		symbols
		result sections "$config" "$1" 31 10
		unload_bench ;;
	esac
}

# all_counted CONFIGS CASES
all_counted()
{
	dd if=/dev/zero of=/tmp/memory bs=1M count=16 status=none
	for config in $1; do
		load_tool "$config"
		symbols
		for case in $2; do
			counted "$case"
		done
		unload_tool "$config"
	done
}

# ---- wall clock --------------------------------------------------------------

# centiseconds since boot
ticks()
{
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}"
}

# rate NAME BYTES COMMAND...: bytes per second
rate()
{
	rate_name=$1 rate_bytes=$2
	shift 2
	rate_start=$(ticks)
	"$@" || fail "$rate_name"
	rate_time=$(($(ticks) - rate_start))
	[ $rate_time -gt 0 ] || rate_time=1
	result wall "$round" "$config" "$rate_name" $((rate_bytes * 100 / rate_time))
}

# threads NAME PARAMETER...: pairs per second
threads()
{
	threads_name=$1
	shift
	bench ms="$ms" "$@" >/tmp/threads
	result wall "$round" "$config" "$threads_name" "$(sed -n 's/^pairs_per_second //p' /tmp/threads)"
	unload_bench
}

disk()
{
	for bs in 4 64; do
		# As much in small pieces would take minutes.
		n=$((mb * 1024 / bs))
		[ $bs = 4 ] || n=$((n * 4))
		rate "nvme_write_${bs}k" $((n * bs * 1024)) \
			dd if=/dev/zero of=/dev/nvme0n1 bs=${bs}k count=$n oflag=direct status=none
		rate "nvme_read_${bs}k" $((n * bs * 1024)) \
			dd if=/dev/nvme0n1 of=/dev/null bs=${bs}k count=$n iflag=direct status=none
	done
}

# card DRIVER: the name of its interface
card()
{
	for i in /sys/class/net/*; do
		case $(readlink "$i/device/driver") in
		*/"$1") echo "${i##*/}" ;;
		esac
	done
}

# download INTERFACE NET: what the other side sends, whose end is the connection's
download()
{
	before=$(cat "/sys/class/net/$1/statistics/rx_bytes")
	nc "10.0.$2.100" 1234 <>/tmp/fifo >/dev/null || return 1
	[ $(($(cat "/sys/class/net/$1/statistics/rx_bytes") - before)) -ge $((mb * 1048576)) ]
}

# net_up NAME DRIVER NET: sets dev. Taken down before, so that all that is mapped is known.
net_up()
{
	dev=$(card "$2")
	[ -n "$dev" ] || fail "no $2 card"
	ip link set "$dev" down
	ip addr flush dev "$dev"
	ip addr add "10.0.$3.15/24" dev "$dev"
	ip link set "$dev" up
	up_end=$(($(ticks) + 3000))
	until ping -q -c 1 -W 1 "10.0.$3.2" >/dev/null; do
		[ "$(ticks)" -lt $up_end ] || fail "$1: nobody answers"
	done
}

# net NAME DRIVER NET
net()
{
	net_up "$@"
	rate "$1" $((mb * 1048576)) download "$dev" "$3"
	ip link set "$dev" down
}

# wall PAIRS
wall()
{
	mkfifo /tmp/fifo
	for round in $(seq 1 "$1"); do
		for config in out in; do
			say "pair $round of $1, tool $config"
			load_tool $config
			threads threads_1 threads=1
			threads threads_2 threads=2
			threads threads_2_apart threads=2 apart=1
			disk
			net e1000e e1000e 2
			net virtio_net virtio_net 3
			[ $config = out ] ||
				result untracked "load_$round" "$(counter untracked_pool_empty)" "$(counter content_pool_empty)"
			case $round-$config in
			1-in)
				bench only=none live=100000 >/dev/null
				result untracked two_cpus "$(counter untracked_pool_empty)" "$(counter content_pool_empty)"
				unload_bench ;;
			esac
			unload_tool $config
		done
	done
}

# The console is for what this script says.
dmesg -n 1
case $1 in
cases)
	cases "$2" "$3" "$4" ;;
counted)
	live=$4 requests=$5 mb=$6
	all_counted "$2" "$3" ;;
wall)
	ms=$3 mb=$4
	wall "$2" ;;
esac
say "done"
