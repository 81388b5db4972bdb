# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154	# variables of the script that reads this
#
# What the guest's side of scripts/soak has in common with that of its fleet: what is
# required, reference files, disks, network cards. To be read by a script that has set
# $mb, the size of the files, and $nics, the labels of the cards, and that has ip_of().

ref=/tmp/ref
res=/tmp/res
stats=/sys/kernel/debug/dma_owner_debug/stats
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

# make_references: the files that are copied and sent, and their checksums.
make_references()
{
	mkdir -p $ref/small $res
	mkfifo /tmp/fifo
	dd if=/dev/urandom of=$ref/a bs=1M count="$mb" status=none
	dd if=/dev/urandom of=$ref/b bs=1M count="$mb" status=none
	sum_a=$(sha256sum <$ref/a | cut -d' ' -f1)
	sum_b=$(sha256sum <$ref/b | cut -d' ' -f1)
	sum_a512=$(head -c 262144 $ref/a | sha256sum | cut -d' ' -f1)
	for i in $(seq 1 40); do
		dd if=$ref/a of=$ref/small/f"$i" bs=$((i * 997)) skip="$i" count=1 status=none
	done
	(cd $ref/small && sha256sum f* >sums)
}

# ---- devices: $devices has label, driver and address of each ------------------

driver_of()
{
	awk -v l="$1" '$1 == l { print $2 }' $devices
}

address_of()
{
	awk -v l="$1" '$1 == l { print $3 }' $devices
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

# ---- network: each card in a network namespace of its own --------------------

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

# ---- the tool --------------------------------------------------------------

is_zero()
{
	[ "$(stat "$1")" = 0 ] && return
	say "$1: $(stat "$1")"
	return 1
}
