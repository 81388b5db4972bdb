# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154	# variables of scripts/soak
#
# scripts/soak --fleet: the rows of fleet/table in a virtual machine for each group and
# mode, what is expected in fleet/expected. For fleet_main() of scripts/soak.

fleet=$DOD_TOP/scripts/fleet
all_modes=(plain lines iommu)

fleet_groups()
{
	awk '!/^#/ && NF { if (!seen[$1]++) print $1 }' "$fleet/table"
}

# with_libraries TREE FILE...: programs of this machine, with what they are linked to.
with_libraries()
{
	local tree=$1 program lib

	shift
	for program; do
		install -D "$program" "$tree/bin/${program##*/}"
		while read -r lib; do
			install -D "$lib" "$tree$lib"
		done < <(ldd "$program" |
			sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\) .*/\1/p')
	done
}

# stage TREE: what each guest has besides busybox.
stage()
{
	local release dir ko

	release=$(<"$build/include/config/kernel.release")
	dir=$1/lib/modules/$release
	mkdir -p "$dir" "$1/sbin" "$1/bin"
	note "copying the modules of ${build##*/}"
	cp "$build"/modules.builtin "$build"/modules.builtin.modinfo "$dir"
	while read -r ko; do
		strip -g -o "$dir/${ko##*/}" "$ko"
	done < <(find "$build" -name '*.ko')
	find "$dir" -name '*.ko' -printf '%f\n' >"$dir/modules.order"
	depmod -b "$1" "$release" || die "depmod failed"
	ln -s /bin/busybox "$1/sbin/modprobe"
	gcc -static -O2 -Wall -o "$1/bin/fleet-helper" "$fleet/helper.c" ||
		die "fleet/helper.c does not build"
	with_libraries "$1" /sbin/mdadm /sbin/dmsetup
}

# disk FILE SIZE FS
disk()
{
	truncate -s "$2" "$1"
	case $3 in
	none) ;;
	ext4) mkfs.ext4 -q -F -b 1024 -E lazy_itable_init=0,lazy_journal_init=0 "$1" ;;
	xfs) mkfs.xfs -q -f "$1" ;;
	btrfs) mkfs.btrfs -q -f "$1" >/dev/null ;;
	*) die "fleet/table: no file system $3" ;;
	esac
}

# arguments LABEL NR WORD...: adds the row's QEMU arguments to qemu.
arguments()
{
	local label=$1 nr=$2 word size

	shift 2
	for word; do
		case $word in
		@nic:*) qemu+=(-netdev "hubport,hubid=${word#@nic:},id=$label") ;;
		@disk:*)
			IFS=: read -r _ size fs <<<"$word"
			disk "$work/$label-disk" "$size" "$fs"
			qemu+=(-drive "if=none,id=$label-disk,file=$work/$label-disk,format=raw,cache=unsafe") ;;
		@new:*)
			head -c "${word#@new:}" /dev/urandom >"$work/$label-new"
			sha256sum <"$work/$label-new" >"$guest/fleet/$label.sum"
			mkdir "$work/$label-dir"
			cp "$work/$label-new" "$work/$label-dir/host" ;;
		*)
			word=${word//@mac/52:54:00:00:01:$(printf '%02x' "$nr")}
			case $word in
			*path=@*) word=${word//path=@/path=$work/$label} ;;
			esac
			qemu+=("${word//@/$label}") ;;
		esac
	done
}

# typist: presses a key of the guest's keyboard again and again, until it is ended.
typist()
{
	mkfifo "$work/monitor.in" "$work/monitor.out"
	{
		exec 3<>"$work/monitor.in" 4<>"$work/monitor.out"
		cat <&4 >/dev/null &
		trap 'kill $!; exit' TERM
		while sleep 0.2; do echo 'sendkey a'; done >&3
	} &
	typist=$!
	qemu+=(-chardev "pipe,id=monitor,path=$work/monitor" -mon "chardev=monitor,mode=readline")
}

# same TEXT FILE FILE [BYTES]: of what the guest has written for the host.
same()
{
	local text=$1

	shift
	if cmp -s ${3:+-n "$3"} "$1" "$2"; then
		echo "soak: ok: $text"
	else
		echo "soak: FAILED: $text"
	fi
}

# fleet_run MODE GROUP
fleet_run()
{
	local mode=$1 group=$2 more='printk.devkmsg=on usb_storage.delay_use=0'
	local label nr=0 rest mode_params=() qemu=() args=() arg kos=() typist='' start=$SECONDS status=0
	local work=$tmp/work guest=$tmp/guest
	local console=$logs/$mode-$group.console

	rm -rf "$work" "$guest"
	mkdir -p "$work" "$guest/fleet"
	case $mode in
	lines) mode_params=(noncoherent=64 watch_writes=1) ;;
	iommu)
		qemu+=(-device "intel-iommu,intremap=off")
		more+=" intel_iommu=on iommu.strict=1" ;;
	esac
	# QEMU's lsi53c895a reads its own memory through the IOMMU, which does not know that;
	# its pvscsi writes to its rings past the IOMMU, and so over somebody's memory.
	awk -v g="$group" -v mode="$mode" '$1 == g {
		if (mode == "iommu" && $2 ~ /^(sym53c8xx|pvscsi)$/)
			print "soak: skip: " mode " " g ": " $2 ": QEMU does not have this card behind an IOMMU" >"/dev/stderr"
		else
			print
	}' "$fleet/table" >"$guest/fleet/table"
	while read -r _ label _ _ _ rest; do
		nr=$((nr + 1))
		# shellcheck disable=SC2086	# words
		arguments "$label" $nr $rest
	done <"$guest/fleet/table"
	[ "$group" != virtio ] || typist
	for arg in "${qemu[@]}"; do
		args+=(--qemu "$arg")
	done
	[ -z "$tool" ] || kos=(--ko "$modules/dma-owner-debug.ko")

	note "$mode $group: console in $console"
	"$DOD_TOP/scripts/vm" "$build" --mem 1280 --timeout 6000 --log "$console" \
		"${kos[@]}" --tree "$stage" --tree "$guest" \
		--append "$more $append" "${args[@]}" -- \
		"sh /files/fleet.sh $group $mode 1 ${tool:-n} ${mode_params[*]} $params" \
		2>"$logs/$mode-$group.err" | sed -un 's/^\[[^]]*\] \(soak: .*\)/\1/p' || status=$?
	[ -z "$typist" ] || kill "$typist"
	{
		# 1 is a requirement that the guest has named.
		case $status in
		0) ;;
		1) grep -aq '\] soak: FAILED: ' "$console" ||
			echo "soak: FAILED: $mode $group: a command of the guest" ;;
		*) echo "soak: FAILED: $mode $group: $(tail -n 1 "$logs/$mode-$group.err")" ;;
		esac
		if [ "$group" = virtio ]; then
			same "$mode $group: console: what the guest wrote" \
				"$work/console-new" "$work/console-back" 1048576
			same "$mode $group: 9p: what the guest wrote" "$work/virtio-9p-new" "$work/virtio-9p-dir/guest"
		fi
		awk -v mode="$mode" -v group="$group" -v tool="${tool:-n}" -f "$fleet/judge.awk" \
			"$fleet/expected" "$console"
	} >"$logs/$mode-$group.verdict"
	cat "$logs/$mode-$group.verdict"
	if grep -q '^soak: FAILED' "$logs/$mode-$group.verdict" ||
		grep -aq '\] soak: FAILED: ' "$console"; then
		failed+=("$mode $group")
	fi
	note "$mode $group took $(elapsed "$start")"
}

# fleet_main: the modes and groups that were asked for, or all.
fleet_main()
{
	local mode group failed=()

	[ ${#modes[@]} -gt 0 ] || modes=("${all_modes[@]}")
	[ ${#groups[@]} -gt 0 ] || mapfile -t groups < <(fleet_groups)
	for mode in "${modes[@]}"; do
		printf '%s\n' "${all_modes[@]}" | grep -qxF -e "$mode" || bad_usage "unknown mode $mode"
	done
	for group in "${groups[@]}"; do
		fleet_groups | grep -qxF -e "$group" || bad_usage "unknown group $group"
	done
	need_packages e2fsprogs xfsprogs btrfs-progs mdadm dmsetup kmod binutils make gcc libc6-dev
	logs=$(mktemp -d "$(cache_dir log)/fleet-$(date +%F-%H%M)-XXXX")
	stage=$tmp/stage
	mkdir "$stage"
	stage "$stage"
	for mode in "${modes[@]}"; do
		for group in "${groups[@]}"; do
			fleet_run "$mode" "$group"
		done
	done
	[ ${#failed[@]} = 0 ] || note "failed: $(printf '%s, ' "${failed[@]}")see $logs"
	[ ${#failed[@]} = 0 ]
}
