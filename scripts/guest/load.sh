# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154,SC2034	# variables of the script that reads this
#
# What workers of scripts/soak need, also of its fleet: reference files, devices, results.
# To be read by a script that has set $mb, the size of the files, and $nics, the labels of
# the cards, and that has ip_of().

# shellcheck source-path=SCRIPTDIR source=lib.sh
. /files/lib.sh
# shellcheck source-path=SCRIPTDIR source=disk.sh
. /files/disk.sh
# shellcheck source-path=SCRIPTDIR source=net.sh
. /files/net.sh
ref=/tmp/ref
res=/tmp/res
devices=/tmp/devices

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

# find_entry LABEL PATTERN: the entry of sysfs that belongs to the LABEL device, in $entry.
find_entry()
{
	for entry in $2; do
		case $(readlink "$entry") in
		*"/$(address_of "$1")/"*) return 0 ;;
		esac
	done
	return 1
}

# wait_for LABEL DIRECTORY: the name of its entry in /sys/block or /sys/class/net, once it
# is there.
wait_for()
{
	wait_until 60 find_entry "$1" "$2/*" && echo "${entry##*/}"
}

# ---- results of a worker: bytes moved, checks made, checks failed, rebinds ----

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
