#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What scripts/tests.d/fuzz.sh runs in the guest. What is required goes to
# /dev/out; what it is doing, to the console.

me=fuzz
# shellcheck source-path=SCRIPTDIR source=lib.sh
. /files/lib.sh
tool=$debugfs/dma_owner_debug
params=/sys/module/dma_owner_debug/parameters
exec 3>/dev/out

say()
{
	echo "$me: $*" >&3
}

cd /tmp || exit 1
tar -xf /files/payloads.tar || exit 1

# ---- while it runs ---------------------------------------------------------

# write_file PAYLOAD FILE: one write() if it is no longer than a page; the reason of an
# error in $reason.
write_file()
{
	reason=
	dd if="$1" of="$2" bs=65536 count=1 conv=notrunc 2>/tmp/dd.err >/dev/null && return
	read -r reason </tmp/dd.err
	return 1
}

# first_line FILE: in $line
first_line()
{
	line=
	read -r line <"$1"
}

# fuzz FILE NAME: after an error the old value holds, and the error is one of those
# that a wrong value has; after success, what is read can be written, and reads the same.
fuzz()
{
	n=0 refused=0 wrong=0
	first_line "$1"
	default=$line
	for payload in payloads/all/* payloads/"$2"/*; do
		[ -e "$payload" ] || continue
		n=$((n + 1))
		first_line "$1"
		before=$line
		if write_file "$payload" "$1"; then
			[ "$2" != lookup ] || continue
			first_line "$1"
			value=$line
			if ! { echo "$value" >"$1"; } 2>/dev/null; then
				echo "fuzz: $2: $payload left what it refuses: $value"
				wrong=$((wrong + 1))
			fi
			first_line "$1"
			if [ "$line" != "$value" ]; then
				echo "fuzz: $2: $payload: $value reads $line when written"
				wrong=$((wrong + 1))
			fi
			{ echo "$default" >"$1"; } 2>/dev/null
		else
			refused=$((refused + 1))
			case $reason in
			*"Invalid argument"|*"Numerical result out of range") ;;
			*) echo "fuzz: $2: $payload: $reason"; wrong=$((wrong + 1)) ;;
			esac
			first_line "$1"
			# Longer than a page, it is several writes.
			if [ "$line" != "$before" ] && [ "$(stat -c %s "$payload")" -le 4096 ]; then
				echo "fuzz: $2: $payload was refused: $before became $line"
				wrong=$((wrong + 1))
			fi
			{ echo "$default" >"$1"; } 2>/dev/null
		fi
	done
	require "$2: $n values, $refused refused, $wrong wrong" [ $wrong = 0 -a $refused -gt 0 -a $n -gt 50 ]
}

insmod /ko/dma-owner-debug.ko || exit 1
for file in "$params"/*; do
	case $(stat -c %a "$file") in
	600) fuzz "$file" "${file##*/}" ;;
	400) require "${file##*/} is not written to" sh -c "! echo 1 2>/dev/null >$file" ;;
	*) bad "${file##*/} is not root's alone" ;;
	esac
	echo "fuzz: ${file##*/} is done"
done
fuzz $tool/lookup lookup
for file in $tool/*; do
	require "debugfs ${file##*/} is root's alone" \
		sh -c "case $(stat -c %a "$file") in 400|600) ;; *) exit 1 ;; esac"
done
for payload in payloads/all/*; do
	write_file "$payload" $tool/reports || bad "reports: $payload: $reason"
done
require "reports forgets, whatever is written" [ "$(wc -l <$tool/reports)" = 1 ]
for file in stats mappings devices exposure; do
	require "debugfs $file is not written to" sh -c "! cat payloads/all/10 2>/dev/null >$tool/$file"
	# Odd sizes, odd places.
	require "debugfs $file is read in pieces" \
		sh -c "dd if=$tool/$file bs=7 2>/dev/null | head -n 1 | grep -q ."
done
# It still works.
insmod /ko/dma_owner_debug_kunit.ko
require "the tool still does its work" \
	grep -q '^ok .* dma_owner_access' /sys/kernel/debug/kunit/dma_owner_access/results

# ---- who may read and write ------------------------------------------------

mkdir -p /etc
echo 'root:x:0:0::/:/bin/sh' >/etc/passwd
echo 'nobody:x:65534:65534::/:/bin/sh' >>/etc/passwd
# Else nobody gets as far as to the files.
chmod 755 /sys/kernel/debug
cat >/tmp/nobody.sh <<'END'
[ "$(id -u)" = 65534 ] || exit 1
for file in $(find /sys/kernel/debug/dma_owner_debug /sys/module/dma_owner_debug/parameters -type f); do
	cat $file >/dev/null 2>&1 && echo "can read $file"
	{ echo 1 >>$file; } 2>/dev/null && echo "can write $file"
done
# What is in sysfs of each module anyway.
for file in $(find /sys/module/dma_owner_debug -type f); do
	cat $file 2>/dev/null | grep -aqiE '(ffff|0x)[0-9a-f]{8,}' && echo "an address in $file"
done
echo "nr $(find /sys/kernel/debug/dma_owner_debug /sys/module/dma_owner_debug/parameters -type f | wc -l)"
dmesg >/tmp/nobody.dmesg 2>/dev/null && echo "can read the log"
END
touch /tmp/nobody.dmesg
chmod 666 /tmp/nobody.dmesg

# as_nobody: what it could do, in /tmp/could
as_nobody()
{
	su nobody -s /bin/sh -c 'sh /tmp/nobody.sh' >/tmp/could 2>&1
	cat /tmp/could
}

cannot()
{
	grep -q '^nr [1-9][0-9]' /tmp/could && ! grep -E "$1" /tmp/could
}

dmesg | grep -q 'BUG: DMA_OWNER' || echo "fuzz: no report in the log"
for restrict in 0 1 2; do
	echo $restrict >/proc/sys/kernel/kptr_restrict
	[ $restrict = 0 ] || echo 1 >/proc/sys/kernel/dmesg_restrict
	as_nobody
	require "kptr_restrict=$restrict: nobody else reads a file" cannot 'can read /'
	require "kptr_restrict=$restrict: nobody else writes one" cannot 'can write /'
	require "kptr_restrict=$restrict: nor sees an address there" cannot 'an address'
	if [ $restrict = 0 ]; then
		# As those of KASAN's, reports have addresses, and are for who may read the log.
		require "dmesg_restrict=0: the log is everybody's" grep -q 'can read the log' /tmp/could
	else
		require "dmesg_restrict=1: nobody else reads the log" cannot 'can read the log'
	fi
done
dmesg | grep -aE 'dma_owner_debug: ' >/tmp/lines
require "outside of reports the tool prints no address" \
	sh -c "[ -s /tmp/lines ] && ! grep -aE 'ffff[0-9a-f]{12}' /tmp/lines"
rmmod dma_owner_debug_kunit
rmmod dma_owner_debug

# ---- at load ---------------------------------------------------------------

loaded=0 refused=0
while IFS= read -r arg; do
	if insmod /ko/dma-owner-debug.ko pool_reserve=16 "$arg" 2>/dev/null; then
		loaded=$((loaded + 1))
		rmmod dma_owner_debug || bad "rmmod after $arg"
	else
		refused=$((refused + 1))
		[ ! -e /sys/module/dma_owner_debug ] || bad "$arg: refused and loaded"
	fi
done </files/loads
require "insmod with random parameters: $loaded times loaded, $refused times refused" \
	[ $loaded -gt 0 -a $refused -gt 0 ]
require "it still loads" insmod /ko/dma-owner-debug.ko
require "and unloads" rmmod dma_owner_debug
[ -e $failed ] || say passed
