# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154,SC2086	# variables of load.sh, without blanks
#
# The network cards of scripts/soak, each in a network namespace of its own: load.sh
# reads this.

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
	wait_until 60 in_ns "$1" ping -q -c 1 -W 1 "$(ip_of "$2")" ||
		give_up net "$1 cannot reach $2"
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
