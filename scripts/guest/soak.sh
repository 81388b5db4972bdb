#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What scripts/soak runs in the guest: sh soak.sh SECONDS MB y|n HOW DRIVERS [PARAMETER]...:
# the size of its files, with the tool or not, how devices reach memory (direct, iommu,
# swiotlb, highmem), how many drivers there must be, and the tool's parameters.
#
# Every line that starts with "soak: ok:" or "soak: FAILED:" is one thing required.

seconds=$1
mb=$2
tool=$3
how=$4
drivers=$5
shift 5
params=$*
ref=/tmp/ref
res=/tmp/res
stats=/sys/kernel/debug/dma_owner_debug/stats
tool_devices=/sys/kernel/debug/dma_owner_debug/devices
devices=/tmp/devices
failed=/tmp/failed

say()
{
	echo "soak: $*"
}

ok()
{
	say "ok: $*"
}

bad()
{
	say "FAILED: $*"
	echo "$*" >>$failed
}

# require TEXT CONDITION...: one thing that must hold.
require()
{
	require_text=$1
	shift
	if "$@"; then ok "$require_text"; else bad "$require_text"; fi
}

now()
{
	cut -d. -f1 /proc/uptime
}

stat()
{
	sed -n "s/^$1: //p" $stats
}

# ---- devices ---------------------------------------------------------------

# find_devices: label, driver and PCI address of what is to be soaked.
find_devices()
{
	for drv in nvme ahci xhci_hcd virtio-pci e1000 e1000e; do
		for d in "/sys/bus/pci/drivers/$drv"/0000:*; do
			[ -e "$d" ] || continue
			label=$drv
			case $(cat "$d/device") in
			0x1041) label=virtio-net ;;
			0x1042) label=virtio-blk ;;
			esac
			[ $drv != xhci_hcd ] || label=usb-storage
			echo "$label $drv ${d##*/}"
		done
	done
}

driver_of()
{
	awk -v l="$1" '$1 == l { print $2 }' $devices
}

address_of()
{
	awk -v l="$1" '$1 == l { print $3 }' $devices
}

bind()
{
	address_of "$1" >"/sys/bus/pci/drivers/$(driver_of "$1")/bind"
}

unbind()
{
	address_of "$1" >"/sys/bus/pci/drivers/$(driver_of "$1")/unbind"
}

# wait_for LABEL DIRECTORY: the name of the LABEL device's entry in /sys/block or
# /sys/class/net, once it is there.
wait_for()
{
	wait_path=/$(address_of "$1")/
	wait_end=$(($(now) + 60))
	while [ "$(now)" -lt $wait_end ]; do
		for entry in "$2"/*; do
			case $(readlink "$entry") in
			*"$wait_path"*) echo "${entry##*/}"; return 0 ;;
			esac
		done
		usleep 100000
	done
	return 1
}

# ---- results of a worker: bytes moved, checks made, checks failed, rebinds --

moved=0 checks=0 wrong=0 rebinds=0

save()
{
	echo "$1 $moved $checks $wrong $rebinds" >>$res/"$1"
}

# check WHAT FILE SUM: FILE, or stdin for -, must have that checksum.
check()
{
	checks=$((checks + 1))
	sum=$(sha256sum <"$2" | cut -d' ' -f1)
	[ "$sum" = "$3" ] && return
	wrong=$((wrong + 1))
	bad "$1: $2 has the wrong content"
}

# give_up LABEL WHAT: a worker that cannot go on.
give_up()
{
	wrong=$((wrong + 1))
	bad "$1: $2"
	save "$1"
	exit 1
}

# must_rebind: once at least, however short the load.
must_rebind()
{
	[ "$rebind" = y ] && [ $rebinds = 0 ]
}

# ---- disks -----------------------------------------------------------------

drop_caches()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

copy()
{
	dd if="$1" of="$2" bs="$3" conv=notrunc status=none
}

# disk_round LABEL DIRECTORY: buffered files, small files, O_DIRECT, and files
# that are rewritten while their old content is under writeback.
disk_round()
{
	l=$1 m=$2

	{
		cp $ref/a "$m/a"
		cp $ref/b "$m/b"
		mkdir -p "$m/small"
		cp $ref/small/* "$m/small/"
	} || give_up "$l" "cannot write files"
	drop_caches
	check "$l" "$m/a" "$sum_a"
	check "$l" "$m/b" "$sum_b"
	checks=$((checks + 1))
	(cd "$m/small" && sha256sum -c sums >/dev/null 2>&1) || {
		wrong=$((wrong + 1))
		bad "$l: a small file has the wrong content"
	}

	for bs in 512 4k 64k 1M; do
		rm -f "$m/direct"
		count=
		[ $bs != 512 ] || count=count=512
		dd if=$ref/a of="$m/direct" bs=$bs $count oflag=direct status=none ||
			give_up "$l" "O_DIRECT write failed"
		dd if="$m/direct" of="/tmp/direct.$l" bs=$bs iflag=direct status=none ||
			give_up "$l" "O_DIRECT read failed"
		if [ -n "$count" ]; then
			check "$l" "/tmp/direct.$l" "$sum_a512"
		else
			check "$l" "/tmp/direct.$l" "$sum_a"
		fi
	done
	rm -f "/tmp/direct.$l"

	for i in 1 2 3 4; do
		copy $ref/a "$m/rewritten" 64k
		sync &
		copy $ref/b "$m/rewritten" 64k
		sync &
		copy $ref/a "$m/rewritten" 4k
		copy $ref/b "$m/rewritten" 1M
		wait
	done
	drop_caches
	check "$l" "$m/rewritten" "$sum_b"
	rm -rf "$m/small" "$m/a"
}

# sectors DEVICE: what it has read and written so far, as the block layer counts.
bytes_of()
{
	awk '{ print ($3 + $7) * 512 }' "/sys/block/$1/stat"
}

# QEMU's AHCI wants the list of a request's segments in one piece of its own memory.
# Behind an IOMMU a list that crosses a page is in two if the pages are not neighbours
# there: ahci_populate_sglist() fails, the request never ends, and its repetition ends
# QEMU. Lists begin at multiples of 128 bytes, so that 8 segments of 16 bytes do not
# cross: so many can 28 KiB of pages have.
ahci_max_kb=28

# disk_worker LABEL END REBIND
disk_worker()
{
	label=$1 end=$2 rebind=$3
	mkdir -p /mnt/"$label"
	while :; do
		dev=$(wait_for "$label" /sys/block) || give_up "$label" "no disk appeared"
		[ "$how-$label" != iommu-ahci ] ||
			echo $ahci_max_kb >"/sys/block/$dev/queue/max_sectors_kb"
		from=$(bytes_of "$dev")
		mount -t ext4 "/dev/$dev" /mnt/"$label" || give_up "$label" "cannot mount"
		while :; do
			disk_round "$label" /mnt/"$label"
			# At least one round, so that each driver is used in each phase.
			[ "$(now)" -lt "$end" ] || break
			[ "$rebind" != y ] || break
		done
		umount /mnt/"$label" || give_up "$label" "cannot unmount"
		moved=$((moved + $(bytes_of "$dev") - from))
		[ "$(now)" -lt "$end" ] || must_rebind || break
		unbind "$label"
		bind "$label"
		rebinds=$((rebinds + 1))
	done
	save "$label"
}

# ---- network: each card in a network namespace of its own --------------------

# of KIND...: those of them that are there.
of()
{
	for of_label; do
		! grep -q "^$of_label " $devices || echo "$of_label"
	done
}

# pairs: each card with the next, the last with the first, LEFT:RIGHT.
pairs()
{
	# shellcheck disable=SC2086	# a list
	set -- $nics
	first=$1
	while [ $# -gt 1 ]; do
		echo "$1:$2"
		shift
	done
	[ "$1:$first" = "$first:$first" ] || echo "$1:$first"
}

ns_of()
{
	cat /tmp/ns/"$1"
}

in_ns()
{
	in_ns_pid=$(ns_of "$1")
	shift
	nsenter -t "$in_ns_pid" -n "$@"
}

ip_of()
{
	case $1 in
	e1000) echo 10.0.0.1 ;;
	e1000e) echo 10.0.0.2 ;;
	virtio-net) echo 10.0.0.3 ;;
	esac
}

make_namespaces()
{
	mkdir -p /tmp/ns
	for l in $nics; do
		unshare -n sleep 1000000 &
		echo $! >"/tmp/ns/$l"
	done
	sleep 1
}

nic_up()
{
	if_name=$(wait_for "$1" /sys/class/net) || give_up net "no $1 card appeared"
	ip link set "$if_name" netns "$(ns_of "$1")"
	echo "$if_name" >/tmp/ns/"$1".if
	in_ns "$1" ip addr add "$(ip_of "$1")/24" dev "$if_name"
	in_ns "$1" ip link set "$if_name" up
}

# reach FROM TO: the link may need seconds to come up.
reach()
{
	reach_end=$(($(now) + 60))
	until in_ns "$1" ping -q -c 1 -W 1 "$(ip_of "$2")" >/dev/null; do
		[ "$(now)" -lt $reach_end ] || give_up net "$1 cannot reach $2"
	done
}

# receive IN PORT. Its stdin must stay open: busybox nc takes its end for the end
# of the connection.
receive()
{
	in_ns "$1" nc -l -p "$2" <>/tmp/fifo >/tmp/received."$2"
}

# send FROM TO PORT FILE. The receiver may not listen yet.
send()
{
	for _ in $(seq 1 100); do
		in_ns "$1" nc "$(ip_of "$2")" "$3" <"$4" 2>/dev/null && return
		usleep 200000
	done
	return 1
}

both_ways()
{
	receive "$2" 5001 &
	r1=$!
	receive "$1" 5002 &
	r2=$!
	send "$1" "$2" 5001 $ref/a &
	s1=$!
	send "$2" "$1" 5002 $ref/b || { kill $r1 $r2; give_up net "$2 cannot send to $1"; }
	wait $s1 || { kill $r1; give_up net "$1 cannot send to $2"; }
	wait $r1 $r2
	check "$1 to $2" /tmp/received.5001 "$sum_a"
	check "$2 to $1" /tmp/received.5002 "$sum_b"
	moved=$((moved + 2 * mb * 1048576))
}

ping_sizes()
{
	for size in 1 100 1000 1472 8000 30000; do
		checks=$((checks + 1))
		in_ns "$1" ping -q -c 3 -A -W 5 -s $size "$(ip_of "$2")" >/dev/null || {
			wrong=$((wrong + 1))
			bad "$1 to $2: ping of $size bytes"
		}
	done
}

# net_worker END REBIND
net_worker()
{
	end=$1 rebind=$2
	for l in $nics; do
		nic_up "$l"
	done
	while :; do
		for pair in $(pairs); do
			left=${pair%:*} right=${pair#*:}
			reach "$left" "$right"
			both_ways "$left" "$right"
			ping_sizes "$left" "$right"
		done
		[ "$(now)" -lt "$end" ] || must_rebind || break
		for l in $nics; do
			name=$(cat "/tmp/ns/$l.if")
			in_ns "$l" ip link set "$name" down
			in_ns "$l" ip link set "$name" up
		done
		[ "$rebind" = y ] || continue
		for l in $nics; do
			unbind "$l"
			bind "$l"
			nic_up "$l"
			rebinds=$((rebinds + 1))
		done
	done
	save net
}

# ---- the tool --------------------------------------------------------------

bind_all()
{
	while read -r label _; do
		bind "$label"
	done <$devices
}

unbind_all()
{
	while read -r label _; do
		unbind "$label"
	done <$devices
	# Freed pages and URBs may come back from a worker or after a grace period.
	sleep 2
}

# load_for SECONDS REBIND: the whole load, in parallel; to be waited for.
load_for()
{
	load_end=$(($(now) + $1))
	for l in $disks; do
		(disk_worker "$l" "$load_end" "$2") &
	done
	(net_worker "$load_end" "$2") &
}

# wait_load: waits for the workers, with a line now and then. A round of theirs
# takes a minute on a busy machine.
wait_load()
{
	until [ "$(find $res -type f | wc -l)" = $(($(echo "$disks" | wc -w) + 1)) ]; do
		sleep 15
		[ "$(now)" -lt $((load_end + 300)) ] || {
			bad "hanging: $(cd $res && ls) are done, the other workers are not"
			exit 1
		}
		if [ -e $stats ]; then
			say "$(now) s, maps $(stat maps), live $(stat live)"
		else
			say "$(now) s"
		fi
	done
}

# table: what the workers moved since the last one.
table()
{
	printf 'soak: %-12s %10s %8s %8s %8s\n' driver MB checks wrong rebinds
	cat $res/* | while read -r name bytes n w r; do
		printf 'soak: %-12s %10s %8s %8s %8s\n' "$name" $((bytes / 1048576)) "$n" "$w" "$r"
	done
	for l in $disks net; do
		require "$l: checksums, $1" \
			grep -qE "^$l [1-9][0-9]* [1-9][0-9]* 0 " "$res/$l"
	done
	rm -f $res/*
}

streaming_live()
{
	grep -vc ' coherent ' /sys/kernel/debug/dma-api/dump
}

# most_live: what dma-debug has ever seen live at once. Under load, a count taken
# before or after insmod is not that of the instant when the hooks went in.
most_live()
{
	echo $(($(cat /sys/kernel/debug/dma-api/nr_total_entries) -
		$(cat /sys/kernel/debug/dma-api/min_free_entries)))
}

# What is known of these drivers: see "True findings" in the documentation. QEMU's
# e1000e, to a back end without checksum offload, writes the checksum into the buffer
# that it sends: a device that writes what it may only read.
filters=to-device-changed:e1000e
filtered='^reports_(filtered|to_device_changed)$'
if [ -d /proc/device-tree ] && ! ls /proc/device-tree/pcie@*/dma-coherent >/dev/null 2>&1; then
	# Not coherent, and so judged by its cache lines.
	filters=$filters,cacheline-sharing:xhci_hcd
	filtered='^reports_(filtered|to_device_changed|cacheline_sharing)$'
	# Before kmalloc() memory was bounced, virtio's status bytes were in a line with
	# the header of their request, which is mapped, too.
	case $(uname -r) in
	6.1.*) filters=$filters,cacheline-sharing:virtio-pci ;;
	esac
fi

load_tool()
{
	# shellcheck disable=SC2086	# a list
	insmod /ko/dma-owner-debug.ko off_drivers=$filters $params
}

# no_reports: none at all but what load_tool filters; with filters, none but what
# is filtered.
no_reports()
{
	case $params in
	*off_*) counted='^reports_(shown|deduplicated|ratelimited|nested)$' ;;
	*) counted='^reports_' ;;
	esac
	awk -F': ' -v c="$counted" -v f="$filtered" '
		$1 ~ f { next }
		$1 ~ c && $2 != 0 { print "soak: " $0; bad = 1 } END { exit bad }' $stats
}

is_zero()
{
	[ "$(stat "$1")" = 0 ] && return
	say "$1: $(stat "$1")"
	return 1
}

# as_asked: is memory reached as the command line wants it?
as_asked()
{
	case $how in
	iommu)
		while read -r label _ d; do
			grep -q '^DMA' "/sys/bus/pci/devices/$d/iommu_group/type" || {
				say "$label: no translating IOMMU"
				return 1
			}
		done <$devices
		# nvme's requests.
		! grep -q ' dma_iova_link$' /proc/kallsyms || [ "$(stat maps_linked)" -gt 0 ] ;;
	swiotlb|highmem) [ "$(stat maps_bounced)" -gt 100 ] ;;
	# kmalloc() memory bounces where devices are not coherent.
	direct) ! grep -q '^[^#].* yes ' $tool_devices || is_zero maps_bounced ;;
	esac
}

# ---- run -------------------------------------------------------------------

mkdir -p $ref/small $res
mkfifo /tmp/fifo
find_devices >$devices
say "devices: $(cut -d' ' -f1 $devices | tr '\n' ' ')"
require "all $drivers drivers are bound" [ "$(wc -l <$devices)" = "$drivers" ]
[ ! -e $failed ] || exit 1
disks=$(of nvme ahci usb-storage virtio-blk)
nics=$(of e1000 e1000e virtio-net)

dd if=/dev/urandom of=$ref/a bs=1M count="$mb" status=none
dd if=/dev/urandom of=$ref/b bs=1M count="$mb" status=none
sum_a=$(sha256sum <$ref/a | cut -d' ' -f1)
sum_b=$(sha256sum <$ref/b | cut -d' ' -f1)
sum_a512=$(head -c 262144 $ref/a | sha256sum | cut -d' ' -f1)
for i in $(seq 1 40); do
	dd if=$ref/a of=$ref/small/f"$i" bs=$((i * 997)) skip="$i" count=1 status=none
done
(cd $ref/small && sha256sum f* >sums)
make_namespaces
dmesg -c >/dev/null
# The console is for warnings and what this script says.
dmesg -n 5

# Phase 1: the tool sees every mapping from the first to the last.
unbind_all
if [ "$tool" = y ]; then
	load_tool || { bad "insmod"; exit 1; }
fi
bind_all
say "phase 1: load with driver unbind and bind, $((seconds * 3 / 5)) s"
load_for $((seconds * 3 / 5)) y
wait_load
table "phase 1"
unbind_all
if [ "$tool" = y ]; then
	for name in live unmatched_unmaps unmatched_syncs untracked_pool_empty; do
		require "phase 1: $name: 0" is_zero $name
	done
	require "phase 1: no reports" no_reports
	require "phase 1: devices reach memory as asked: $how" as_asked
	require "phase 1: maps seen" [ "$(stat maps)" -gt 1000 ]
	require "phase 1: every map unmapped: $(stat maps)" [ "$(stat maps)" = "$(stat unmaps)" ]
	[ ! -e /sys/kernel/debug/kcsan ] ||
		require "phase 1: looked for races" [ "$(stat kcsan_watches)" -gt 100 ]
	say "phase 1: $(grep -E '^(maps.*|unmaps|syncs.*|allowed_.*|untr.*|kcsan.*):' $stats | tr '\n' ' ')"
fi

# Phase 2: unloaded and loaded again under load.
bind_all
if [ "$tool" = y ]; then
	say "phase 2: load with the tool unloaded and loaded, $((seconds * 2 / 5)) s"
	load_for $((seconds * 2 / 5)) n
	reload_end=$(($(now) + seconds * 2 / 5))
	reloads=0 bound=0
	while [ "$(now)" -lt $reload_end ]; do
		sleep 5
		no_reports || bad "phase 2: reports"
		[ $reloads = 0 ] || [ "$(stat unmatched_unmaps)" -le "$bound" ] ||
			bad "phase 2: $(stat unmatched_unmaps) unmatched unmaps, $bound mappings were live"
		rmmod dma_owner_debug || bad "rmmod under load"
		usleep 300000
		load_tool || { bad "insmod under load"; exit 1; }
		bound=$(most_live)
		reloads=$((reloads + 1))
		say "$(now) s, reload $reloads, $(streaming_live) mappings live"
	done
	wait_load
	table "phase 2"
	unbind_all
	unmaps=$(stat unmatched_unmaps) syncs=$(stat unmatched_syncs)
	require "phase 2: reloaded under load: $reloads" [ $reloads -gt 0 ]
	require "phase 2: unmatched_unmaps $unmaps of at most $bound live at the last load" [ "$unmaps" -le "$bound" ]
	require "phase 2: live: 0" is_zero live
	bind_all
	say "phase 3: one more round"
	load_for 1 n
	wait_load
	table "phase 3"
	unbind_all
	require "phase 3: no more unmatched unmaps" [ "$(stat unmatched_unmaps)" = "$unmaps" ]
	require "phase 3: no more unmatched syncs" [ "$(stat unmatched_syncs)" = "$syncs" ]
	require "phase 3: live: 0" is_zero live
	require "phase 3: no reports" no_reports
	require "phase 3: untracked_pool_empty: 0" is_zero untracked_pool_empty
	require "rmmod" rmmod dma_owner_debug
	insmod /ko/dma_owner_debug_scan.ko || bad "insmod of the shadow scan"
	require "no poisoned byte is left" grep -q '^ok ' /sys/kernel/debug/kunit/dma_owner_scan/results
fi

# The kernel has races of its own; those with what devices own are "assert: race".
dmesg | grep -v 'BUG: KCSAN: data-race' >/tmp/dmesg
require "the kernel log has no complaint" \
	sh -c "! grep -E 'BUG:|WARNING:|DMA-API: .*(error|failed|device driver)|I/O error|EXT4-fs (error|warning)' /tmp/dmesg"
if [ -e $failed ]; then
	say "$(wc -l <$failed) requirements failed"
	exit 1
fi
say "all requirements hold"
