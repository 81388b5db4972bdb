# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154,SC2086	# variables of load.sh, without blanks
#
# The disks of scripts/soak: load.sh reads this.

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

	for _ in 1 2 3 4; do
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

# bytes_of DEVICE: what it has read and written so far, as the block layer counts.
bytes_of()
{
	awk '{ print ($3 + $7) * 512 }' "/sys/block/$1/stat"
}

# QEMU's AHCI wants the list of a request's segments in one piece of its own memory.
# With an IOMMU a list that crosses a page is in two if the pages are not neighbours
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
