#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What scripts/soak --fleet runs in the guest: sh fleet.sh GROUP MODE MB y|n
# [PARAMETER]...: the table's rows of that group, with the tool or not. It loads each
# driver, exercises it, unloads it, loads and exercises it again, and leaves it loaded:
# the system restarts under it.
#
# Every line that starts with "soak: ok:" or "soak: FAILED:" is one thing required. What
# the kernel says is judged by the host.

group=$1
mode=$2
# shellcheck disable=SC2034	# load.sh's
mb=$3
tool=$4
shift 4
params=$*
table=/fleet/table
nics=$(awk '/@nic/ { print $2 }' $table)
# shellcheck source-path=SCRIPTDIR source=load.sh
. /files/load.sh

# A line of the kernel's log is not split by another.
say()
{
	echo "<4>soak: $*" >/dev/kmsg
}

# ---- the table -------------------------------------------------------------

# column LABEL NR
column()
{
	awk -v l="$1" -v n="$2" '$2 == l { print $n }' $table
}

# modules_of LABEL: in the order they are loaded, - for none.
modules_of()
{
	column "$1" 4 | sed 's/^-$//; s/,/ /g'
}

ip_of()
{
	awk -v l="$1" '$2 == l { print "10.0.0." NR }' $table
}

# bound DIRECTORY: the first device of that driver, in $device.
bound()
{
	for device in "$1"/*; do
		case ${device##*/} in
		bind|unbind|new_id|remove_id|uevent|module|'*') ;;
		*) return 0 ;;
		esac
	done
	return 1
}

# find_device LABEL: waits for what the label's driver binds, and makes a line of it
# in $devices.
find_device()
{
	bus=$(column "$1" 3)
	[ "$bus" != - ] || return 0
	wait_until 30 bound "/sys/bus/${bus%%:*}/drivers/${bus#*:}" || return 1
	sed -i "/^$1 /d" $devices
	echo "$1 ${bus#*:} ${device##*/}" >>$devices
}

load()
{
	for m in $(modules_of "$1"); do
		modprobe "$m" || { bad "$1: modprobe $m"; return 1; }
	done
	find_device "$1" || { bad "$1: no device is bound to $(column "$1" 3)"; return 1; }
}

unload()
{
	for m in $(modules_of "$1" | awk '{ for (i = NF; i; i--) print $i }'); do
		rmmod "$m" || { bad "$1: rmmod $m"; return 1; }
	done
}

# ---- exercises: x_NAME LABEL [ARGUMENT] --------------------------------------

x_load()
{
	:
}

x_peer()
{
	nic_up "$1"
}

x_nic()
{
	nic_up "$1"
	reach "$1" "$2"
	both_ways "$1" "$2"
	ping_sizes "$1" "$2"
	in_ns "$1" ip link set "$(cat /tmp/ns/"$1".if)" down
	in_ns "$1" ip link set "$(cat /tmp/ns/"$1".if)" up
	reach "$2" "$1"
}

# x_bridge LABEL CARD,CARD,PEER,PEER: packets of one peer are forwarded to the other.
x_bridge()
{
	IFS=, read -r left right from to <<-END
		$2
	END
	unshare -n sleep 1000000 &
	echo $! >/tmp/ns/"$1"
	sleep 1
	in_ns "$1" ip link add br0 type bridge
	for l in $left $right; do
		if_name=$(cat /tmp/ns/"$l".if)
		in_ns "$l" ip link set "$if_name" down
		# All had the same name, each in its namespace.
		in_ns "$l" ip link set "$if_name" name "$l"
		echo "$l" >/tmp/ns/"$l".if
		in_ns "$l" ip link set "$l" netns "$(ns_of "$1")"
		in_ns "$1" ip link set "$l" master br0
		in_ns "$1" ip link set "$l" up
	done
	in_ns "$1" ip link set br0 up
	reach "$from" "$to"
	both_ways "$from" "$to"
	ping_sizes "$from" "$to"
	both_ways "$from" "$to"
	in_ns "$1" ip link set br0 down
	in_ns "$1" ip link del br0
	for l in $left $right; do
		in_ns "$1" ip link set "$l" down
		in_ns "$1" ip link set "$l" netns "$(ns_of "$l")"
		in_ns "$l" ip addr add "$(ip_of "$l")/24" dev "$l"
		in_ns "$l" ip link set "$l" up
	done
	kill "$(ns_of "$1")"
}

# x_xdp LABEL CARD,drv|skb,PEER: a program that lets all pass, one that answers pings
# itself, one that gives packets a longer and then a shorter tail.
x_xdp()
{
	IFS=, read -r card how peer <<-END
		$2
	END
	reach "$card" "$peer"
	for program in pass tx tail; do
		# Not by in_ns(): the process that is ended must be the helper.
		nsenter -t "$(ns_of "$card")" -n fleet-helper xdp "$(cat /tmp/ns/"$card".if)" \
			"$how" $program >/tmp/xdp."$1" 2>&1 &
		xdp=$!
		wait_until 20 grep attached /tmp/xdp."$1" ||
			give_up "$1" "no XDP: $(cat /tmp/xdp."$1")"
		# Some cards are set up anew for it.
		reach "$peer" "$card"
		for size in 1 100 1000 1400; do
			in_ns "$peer" ping -q -c 3 -A -W 5 -s $size "$(ip_of "$card")" >/dev/null ||
				bad "$1: $program: ping of $size bytes"
		done
		both_ways "$peer" "$card"
		kill $xdp
		wait $xdp
		grep -q "^ran: [1-9]" /tmp/xdp."$1" || bad "$1: $program: did not see a packet"
		say "$1: $how $program $(grep '^ran:' /tmp/xdp."$1")"
		reach "$peer" "$card"
	done
}

# x_fs LABEL DISK,TYPE
x_fs()
{
	fs_round "$1" "/dev/$(disk_of "${2%,*}")" "${2#*,}"
}

# fs_round LABEL DEVICE TYPE
fs_round()
{
	mkdir -p /mnt/"$1"
	mount -t "$3" "$2" /mnt/"$1" || give_up "$1" "cannot mount $2"
	disk_round "$1" /mnt/"$1"
	umount /mnt/"$1" || give_up "$1" "cannot unmount"
}

x_disk()
{
	dev=$(wait_for "$1" /sys/block) || give_up "$1" "no disk appeared"
	fs_round "$1" "/dev/$dev" ext4
}

# x_smalldisk LABEL: for those that move a megabyte in a second.
x_smalldisk()
{
	dev=$(wait_for "$1" /sys/block) || give_up "$1" "no disk appeared"
	mkdir -p /mnt/"$1"
	mount -t ext4 "/dev/$dev" /mnt/"$1" || give_up "$1" "cannot mount /dev/$dev"
	head -c 262144 $ref/a >/mnt/"$1"/a
	drop_caches
	check "$1" /mnt/"$1"/a "$sum_a512"
	for bs in 512 4k 64k; do
		count=
		[ $bs != 512 ] || count=count=16
		dd if=/mnt/"$1"/a of=/mnt/"$1"/b bs=$bs $count oflag=direct conv=notrunc status=none
	done
	dd if=/mnt/"$1"/b of=/tmp/direct."$1" bs=4k iflag=direct status=none
	check "$1" /tmp/direct."$1" "$sum_a512"
	umount /mnt/"$1" || give_up "$1" "cannot unmount"
}

# disk_of LABEL: the disk with that serial number.
disk_of()
{
	grep -lxE "$1 *" /sys/block/*/serial /sys/block/*/device/serial 2>/dev/null |
		head -n 1 | cut -d/ -f4
}

# devices_of N: the first N disks for what is made of several.
devices_of()
{
	for l in nvme vblk nvme2 vblk2; do
		echo "/dev/$(disk_of $l)"
	done | head -n "$1"
}

md=/sys/block/md0/md

# resynced: no disk is missing, and nothing is copied.
resynced()
{
	[ "$(cat $md/sync_action)$(cat $md/degraded)" = idle0 ]
}

wait_resync()
{
	wait_until 600 resynced || give_up "$1" "no end of $(cat $md/sync_action)"
}

# until_done LABEL COMMAND...: what may be refused at first.
until_done()
{
	until_label=$1
	shift
	wait_until 30 "$@" || give_up "$until_label" "$*"
}

# md_sum: of the beginning of the array, where files are.
md_sum()
{
	drop_caches
	head -c 4194304 /dev/md0 | sha256sum
}

# x_md LABEL LEVEL,DISKS: an array with a file system, of which a disk fails and comes
# back.
x_md()
{
	level=${2%,*} n=${2#*,}
	echo check >/tmp/check
	for d in $(devices_of "$n"); do
		# What another array has left.
		dd if=/dev/zero of="$d" bs=64k count=4 status=none
	done
	# shellcheck disable=SC2046	# a list
	mdadm --create /dev/md0 --run --level="$level" --raid-devices="$n" --size=32M \
		--metadata=1.2 --bitmap=internal $(devices_of "$n") >/tmp/mdadm 2>&1 || {
		cat /tmp/mdadm
		give_up "$1" "mdadm --create: $(tail -n 1 /tmp/mdadm)"
	}
	mke2fs -F /dev/md0 >/dev/null || give_up "$1" "mke2fs"
	fs_round "$1" /dev/md0 ext4
	wait_resync "$1"
	sum=$(md_sum)
	second=$(devices_of 2 | tail -n 1)
	mdadm /dev/md0 --fail "$second" >/dev/null 2>&1 || give_up "$1" "mdadm --fail"
	# These three are busy for a moment.
	until_done "$1" mdadm /dev/md0 --remove "$second"
	[ "$(md_sum)" = "$sum" ] || bad "$1: the wrong content without a disk"
	fs_round "$1" /dev/md0 ext4
	sum=$(md_sum)
	dd if=/dev/zero of="$second" bs=64k count=4 status=none
	mdadm /dev/md0 --add "$second" >/dev/null 2>&1 || give_up "$1" "mdadm --add"
	wait_resync "$1"
	[ "$(md_sum)" = "$sum" ] || bad "$1: the wrong content after recovery"
	until_done "$1" dd if=/tmp/check of=$md/sync_action
	wait_resync "$1"
	[ "$(cat $md/mismatch_cnt)" = 0 ] || bad "$1: the disks do not agree"
	until_done "$1" mdadm --stop /dev/md0
}

# crypt_round LABEL DEVICE CIPHER: a file system on an encrypted disk.
crypt_round()
{
	key=$(head -c "$4" $ref/b | od -An -v -tx1 | tr -d ' \n')
	dmsetup --noudevsync --noudevrules create "$1" --table \
		"0 $(($(cat /sys/class/block/"${2#/dev/}"/size) / 2)) crypt $3 $key 0 $2 0" ||
		give_up "$1" "dmsetup create"
	# Nobody here makes /dev/mapper/$1.
	crypt=$(grep -lx "$1" /sys/block/dm-*/dm/name | cut -d/ -f4)
	mke2fs -F "/dev/$crypt" >/dev/null || give_up "$1" "mke2fs"
	fs_round "$1" "/dev/$crypt" ext4
	dmsetup --noudevsync --noudevrules remove "$1" || give_up "$1" "dmsetup remove"
}

x_dmcrypt()
{
	crypt_round "$1" "/dev/$(disk_of vblk)" "$2" 64
}

# x_crypto LABEL: dm-crypt does not take ciphers that allocate memory, as this one.
x_crypto()
{
	for _ in 1 2 3; do
		fleet-helper crypto 'virtio_crypto_aes_cbc' 'cbc(aes-generic)' >/tmp/crypto 2>&1 ||
			give_up "$1" "$(tail -n 1 /tmp/crypto)"
	done
}

# x_swap LABEL DISK
x_swap()
{
	swap=/dev/$(disk_of "$2")
	{ mkswap "$swap" && swapon "$swap"; } >/dev/null || give_up "$1" "swapon"
	# Pages go out when a third of the memory is still free: drivers do not run out of it.
	echo 3000 >/proc/sys/vm/watermark_scale_factor
	echo 200 >/proc/sys/vm/swappiness
	for _ in 1 2; do
		fleet-helper pageout 48 >/tmp/pageout 2>&1 || bad "$1: $(tail -n 1 /tmp/pageout)"
		say "$1: $(tail -n 1 /tmp/pageout)"
	done
	echo 10 >/proc/sys/vm/watermark_scale_factor
	swapoff "$swap" || give_up "$1" "swapoff"
}

x_rng()
{
	grep -q virtio /sys/class/misc/hw_random/rng_current || give_up "$1" "is not the source"
	for bs in 1 16 64 4096; do
		dd if=/dev/hwrng of=/tmp/rng.1 bs=$bs count=16 status=none
		dd if=/dev/hwrng of=/tmp/rng.2 bs=$bs count=16 status=none
		[ "$(wc -c </tmp/rng.1)" = $((bs * 16)) ] || bad "$1: too little"
		! cmp -s /tmp/rng.1 /tmp/rng.2 || bad "$1: twice the same"
	done
}

# x_input LABEL: the host types all the time. The guest switches a LED.
x_input()
{
	find_entry "$1" '/sys/class/input/event*' || give_up "$1" "no event device"
	event=/dev/input/${entry##*/}
	# struct input_event has 24 bytes. What ends head before its time loses what it
	# has read, not so dd.
	timeout 60 dd if="$event" of=/tmp/events bs=24 count=100 status=none
	say "$1: $(wc -c </tmp/events) bytes of events"
	[ "$(wc -c </tmp/events)" -ge 240 ] || bad "$1: no events"
	# EV_LED 0x11, LED_NUML 0, on and off; and EV_SYN.
	for value in 1 0 1 0; do
		{
			head -c 16 /dev/zero
			printf '\021\000\000\000'
			printf '%b' "\\00$value\000\000\000"
			head -c 24 /dev/zero
		} >/tmp/led
		dd if=/tmp/led of="$event" bs=48 status=none || bad "$1: cannot switch a LED"
	done
}

# port_of NAME: a port of the virtio console.
port_of()
{
	name=$(grep -lx "$1" /sys/class/virtio-ports/*/name)
	name=${name%/name}
	echo "/dev/${name##*/}"
}

ports()
{
	grep -qx in /sys/class/virtio-ports/*/name && grep -qx out /sys/class/virtio-ports/*/name
}

x_console()
{
	wait_until 30 ports || give_up "$1" "no ports"
	if [ ! -e /tmp/console ]; then
		# The host has one file for both times.
		head -c 2097152 "$(port_of in)" >/tmp/console || bad "$1: cannot read"
		check "$1" /tmp/console "$(cut -d' ' -f1 /fleet/console.sum)"
	fi
	head -c 1048576 /tmp/console >"$(port_of out)" || bad "$1: cannot write"
	# What is written after this, the host has read before.
	echo >"$(port_of out)"
}

x_gpu()
{
	wait_until 30 [ -e /dev/fb0 ] || give_up "$1" "no frame buffer"
	for _ in 1 2 3; do
		head -c 1048576 $ref/a >/dev/fb0 || bad "$1: cannot write"
		usleep 300000
	done
	head -c 1048576 /dev/fb0 >/tmp/fb
	check "$1" /tmp/fb "$(head -c 1048576 $ref/a | sha256sum | cut -d' ' -f1)"
}

x_p9()
{
	mkdir -p /mnt/9p
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=131072 fleet /mnt/9p ||
		give_up "$1" "cannot mount"
	check "$1" /mnt/9p/host "$(cut -d' ' -f1 /fleet/virtio-9p.sum)"
	cp $ref/a /mnt/9p/a
	cp -r $ref/small /mnt/9p/
	(cd /mnt/9p/small && sha256sum -c sums >/dev/null 2>&1) ||
		bad "$1: a small file has the wrong content"
	[ ! -e /mnt/9p/none ] || bad "$1: a file that is not there"
	mkdir /mnt/9p/dir && ls -lR /mnt/9p >/dev/null && rmdir /mnt/9p/dir
	umount /mnt/9p
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=8192 fleet /mnt/9p
	check "$1" /mnt/9p/a "$sum_a"
	# The host compares these.
	(cd /mnt/9p && cp host guest && cp a small/f1 . 2>/dev/null)
	rm -r /mnt/9p/small /mnt/9p/a
	umount /mnt/9p || give_up "$1" "cannot unmount"
}

# x_sound LABEL: plays and, where it can, records, through the old interface.
x_sound()
{
	wait_until 30 find_entry "$1" '/sys/class/sound/dsp*' || give_up "$1" "no /dev/dsp"
	dsp=/dev/${entry##*/}
	# 8,000 bytes are a second.
	timeout 20 head -c 24000 $ref/a >"$dsp" || bad "$1: cannot play"
	[ "$1" != hda ] || timeout 20 head -c 8000 "$dsp" >/dev/null || bad "$1: cannot record"
}

# maps: how many the tool has seen.
maps()
{
	[ "$tool" != y ] || counter maps
}

# ---- run -------------------------------------------------------------------

# exercise LABEL ROUND: within a time that is enough on a busy machine.
exercise()
{
	x=$(column "$1" 5)
	start=$(now)
	rm -f /tmp/failed-before
	[ ! -e $failed ] || cp $failed /tmp/failed-before
	(
		case $x in
		*:*) "x_${x%%:*}" "$1" "${x#*:}" ;;
		*) "x_$x" "$1" ;;
		esac
	) &
	worker=$!
	end=$(($(now) + 1200))
	while kill -0 $worker 2>/dev/null; do
		[ "$(now)" -lt $end ] || {
			bad "$1: no end of x_$x"
			kill $worker
		}
		usleep 50000
	done
	wait $worker || bad "$1: x_$x returned $?"
	if ! cmp -s $failed /tmp/failed-before 2>/dev/null && [ -e $failed ]; then
		:
	elif [ "$x" != load ]; then
		ok "$mode $group: $1: $x, round $2, $(($(now) - start)) s"
	fi
}

: >$devices
: >/proc/sys/kernel/modprobe	# no module is loaded but by this script
echo /sbin/modprobe >/proc/sys/kernel/modprobe
make_references
[ -z "$nics" ] || make_namespaces
mkdir -p /mnt
dmesg -n 7
if [ "$tool" = y ]; then
	# shellcheck disable=SC2086	# a list
	insmod /ko/dma-owner-debug.ko report_burst=0 $params || { bad "insmod"; exit 1; }
fi

for m in virtio_pci sd_mod; do
	modprobe $m || bad "modprobe $m"
done
labels=$(awk '{ print $2 }' $table)
for l in $labels; do
	# What others stand on is there once and for all.
	case $(column "$l" 5) in
	load|peer) load "$l" && exercise "$l" 1; continue ;;
	esac
	before=$(maps)
	load "$l" || continue
	exercise "$l" 1
	unload "$l" || continue
	load "$l" || continue
	exercise "$l" 2
	[ "$tool" != y ] || say "$mode $group: $l: $(($(maps) - before)) mappings, with its peer's"
done
if [ "$tool" = y ]; then
	say "$mode $group: $(grep -vE ': 0$|^notes' $stats | tr '\n' ' ')"
	require "$mode $group: untracked_pool_empty: 0" is_zero untracked_pool_empty
	require "$mode $group: maps seen" [ "$(counter maps)" -gt 100 ]
fi
say "$mode $group: restart"
[ ! -e $failed ]
