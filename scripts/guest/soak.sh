#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What scripts/soak runs in the guest: sh soak.sh SECONDS MB y|n HOW DRIVERS [PARAMETER]...:
# the size of its files, with the tool or not, how devices reach memory (direct, iommu,
# swiotlb, highmem), how many drivers there must be, and the tool's parameters.
#
# Every line that starts with "soak: ok:" or "soak: FAILED:" is one thing required.

seconds=$1
# shellcheck disable=SC2034	# load.sh's
mb=$2
tool=$3
how=$4
drivers=$5
shift 5
params=$*
me=soak
# shellcheck source-path=SCRIPTDIR source=load.sh
. /files/load.sh
dma_debug=$debugfs/dma-api
tool_devices=/sys/kernel/debug/dma_owner_debug/devices
exposure=/sys/kernel/debug/dma_owner_debug/exposure

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

bind()
{
	address_of "$1" >"/sys/bus/pci/drivers/$(driver_of "$1")/bind"
}

unbind()
{
	address_of "$1" >"/sys/bus/pci/drivers/$(driver_of "$1")/unbind"
}

# of KIND...: those of them that are there.
of()
{
	for of_label; do
		! grep -q "^$of_label " $devices || echo "$of_label"
	done
}

ip_of()
{
	case $1 in
	e1000) echo 10.0.0.1 ;;
	e1000e) echo 10.0.0.2 ;;
	virtio-net) echo 10.0.0.3 ;;
	esac
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
			say "$(now) s, maps $(counter maps), live $(counter live)"
			[ "$how" != iommu ] || sed "s/^/soak: exposure: /" $exposure
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

# streaming_live: as dma-debug knows, or, without it, the tool.
streaming_live()
{
	if [ -e $dma_debug ]; then
		grep -vc ' coherent ' $dma_debug/dump
	else
		counter live
	fi
}

# most_live: what dma-debug has ever seen live at once. Under load, a count taken
# before or after insmod is not that of the instant when the hooks went in.
most_live()
{
	[ -e $dma_debug ] || { echo unknown; return; }
	echo $(($(cat $dma_debug/nr_total_entries) - $(cat $dma_debug/min_free_entries)))
}

# at_most N BOUND: true if the bound is not known
at_most()
{
	[ "$2" = unknown ] || [ "$1" -le "$2" ]
}

# What is known of these drivers: see "Findings" in the documentation. QEMU's
# e1000e, to a back end without checksum offload, writes the checksum into the buffer
# that it sends: a device that writes what it may only read.
filters=to-device-changed:e1000e
filtered='^reports_(filtered|to_device_changed)$'
# Before kmalloc() memory was bounced, virtio's status bytes were in a line with the header
# of their request, which is mapped, too.
case $(uname -r) in
6.1.*)
	if [ -d /proc/device-tree ] && ! ls /proc/device-tree/pcie@*/dma-coherent >/dev/null 2>&1
	then
		filters=$filters,cacheline-sharing:virtio-pci
		filtered='^reports_(filtered|to_device_changed|cacheline_sharing)$'
	fi ;;
esac

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
		! grep -q ' dma_iova_link$' /proc/kallsyms || [ "$(counter maps_linked)" -gt 0 ] ;;
	swiotlb|highmem) [ "$(counter maps_bounced)" -gt 100 ] ;;
	# kmalloc() memory bounces where devices are not coherent.
	direct) ! grep -q '^[^#].* yes ' $tool_devices || is_zero maps_bounced ;;
	esac
}

# ---- run -------------------------------------------------------------------

find_devices >$devices
say "devices: $(cut -d' ' -f1 $devices | tr '\n' ' ')"
require "all $drivers drivers are bound" [ "$(wc -l <$devices)" = "$drivers" ]
[ ! -e $failed ] || exit 1
disks=$(of nvme ahci usb-storage virtio-blk)
nics=$(of e1000 e1000e virtio-net)

make_references
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
	require "phase 1: maps seen" [ "$(counter maps)" -gt 1000 ]
	require "phase 1: every map unmapped: $(counter maps)" [ "$(counter maps)" = "$(counter unmaps)" ]
	[ ! -e /sys/kernel/debug/kcsan ] ||
		require "phase 1: looked for races" [ "$(counter kcsan_watches)" -gt 100 ]
	! grep -q "kfence.sample_interval=[1-9]" /proc/cmdline || [ -z "$(counter kfence_guarded)" ] ||
		require "phase 1: objects of KFENCE were protected: $(counter kfence_guarded)" \
			[ "$(counter kfence_guarded)" -gt 0 ]
	# Advice is nobody's fault, and is shown.
	while read -r line; do
		say "phase 1: $line"
	done <${stats%stats}summary
	say "phase 1: $(grep -E '^(maps.*|unmaps|syncs.*|allowed_.*|untr.*|kcsan.*|kfence.*):' $stats | tr '\n' ' ')"
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
		[ $reloads = 0 ] || at_most "$(counter unmatched_unmaps)" "$bound" ||
			bad "phase 2: $(counter unmatched_unmaps) unmatched unmaps, $bound mappings were live"
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
	unmaps=$(counter unmatched_unmaps) syncs=$(counter unmatched_syncs)
	require "phase 2: reloaded under load: $reloads" [ $reloads -gt 0 ]
	require "phase 2: unmatched_unmaps $unmaps of at most $bound live at the last load" at_most "$unmaps" "$bound"
	require "phase 2: live: 0" is_zero live
	bind_all
	say "phase 3: one more round"
	load_for 1 n
	wait_load
	table "phase 3"
	unbind_all
	require "phase 3: no more unmatched unmaps" [ "$(counter unmatched_unmaps)" = "$unmaps" ]
	require "phase 3: no more unmatched syncs" [ "$(counter unmatched_syncs)" = "$syncs" ]
	require "phase 3: live: 0" is_zero live
	require "phase 3: no reports" no_reports
	require "phase 3: untracked_pool_empty: 0" is_zero untracked_pool_empty
	require "rmmod" rmmod dma_owner_debug
	if [ -e /ko/dma_owner_debug_scan.ko ]; then
		insmod /ko/dma_owner_debug_scan.ko || bad "insmod of the shadow scan"
		require "no poisoned byte is left" grep -q '^ok ' /sys/kernel/debug/kunit/dma_owner_scan/results
	fi
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
