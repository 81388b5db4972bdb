# SPDX-License-Identifier: GPL-2.0
#
# Debian's own kernel, which nobody built for this: the demo, held to its list of steps; a
# soak on that kernel's own drivers; and the tool loaded and unloaded under I/O. The step
# stock-all has arm64, too, with devices that are coherent and with others.

# stock_demo ROW [OPTION]...: what each step of the demo came to: stock.steps has for
# each the type that is reported, none, or - if it cannot be shown there.
stock_demo()
{
	local row=$1 log=$logs/$step-demo-$1.log

	shift
	check "$row: the demo" status_of 0 "$log" "$DOD_TOP/scripts/demo" --target "$stock" \
		--html "$tmp/demo.html" "$@"
	check "$row: a picture for each report" count_is \
		"$(grep -c 'BUG: DMA_OWNER: ' "$DOD_TOP/build/demo.log")" 'class="picture"' "$tmp/demo.html"
	awk '/^step +expected /, /^$/ { if (NF && $1 != "step") print $1, $3 }' "$log" | sort >"$tmp/steps"
	check "$row: each step of the list, and no other" \
		diff <(awk -v r="$row" '!/^#/ && $1 == r { print $2, $3 }' \
		"$DOD_TOP/scripts/tests.d/stock.steps" | sort) "$tmp/steps"
	# No memory of arm64's is out of the device's reach.
	[ "$row" != x86_64 ] ||
		check "$row: the table in usage.rst is true" guard_sees KFENCE "$DOD_TOP/build/demo.log"
}

# stock_soak [OPTION]...
stock_soak()
{
	local log=$logs/$step-soak-${stock##*/}${2-}.console

	"$DOD_TOP/scripts/soak" --target "$stock" --append kfence.sample_interval=5 "$@" </dev/null >"$log" 2>"$logs/$step.err" ||
		{ cat "$logs/$step.err" >&2; fail "scripts/soak $*"; }
	requirements soak "$log"
}

# stock_cycles COUNT: a page that is left protected is a report of KFENCE's, at the next
# access to it, and when its object is freed.
stock_cycles()
{
	check "$1 times insmod and rmmod under I/O" cycled "$stock" "$1" \
		--ko "$stock_modules/dma-owner-debug.ko" \
		--ko "$stock_modules/tools/dma_owner_debug_churn.ko"
	check "as many as asked for" grep -qE "^cycles: $1\b" "$out"
	check "100 mappings and more were live before each rmmod" \
		count_is "$1" '^live: [1-9][0-9][0-9]' "$out"
	check "some were objects of KFENCE, and guarded" grep -q "^kfence_guarded: [1-9]" "$out"
	check "the data are right" lacks 'wrong data' "$out"
	check "no complaint" no_complaints "$console"
}

# stock_image: pm_test ends the hibernation before the machine is off.
stock_image()
{
	check "hibernation up to the image" vm "$stock" --timeout 300 \
		--ko "$stock_modules/dma-owner-debug.ko" \
		--ko "$stock_modules/tools/dma_owner_debug_image.ko" \
		--append kfence.sample_interval=5 -- \
		'insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_image.ko' \
		'echo core >/sys/power/pm_test' 'echo shutdown >/sys/power/disk' \
		'echo disk >/sys/power/state' \
		'rmmod dma_owner_debug_image' 'rmmod dma_owner_debug'
	check "the image has what KFENCE's pages had" \
		grep -q 'present: 0 when mapped, 1 in the image, 0 after it' "$console"
	check "no complaint" no_complaints "$console"
}

# stock_kernel TARGET: sets stock and stock_modules.
stock_kernel()
{
	stock=$("$DOD_TOP/scripts/kernel" "$1" | tail -n 1)
	[ -n "$stock" ] || { fail "$1: no kernel"; return 1; }
	stock_modules=$(build_modules "$stock")
	check "$1: the modules build without a warning" lacks 'warning:|WARNING:' "$stock_modules/build.log"
}

# offline DIRECTORY: the target with apt's programs out of reach, and that cache.
offline()
{
	local program

	mkdir -p "$tmp/offline"
	for program in apt-get apt-cache; do
		printf '#!/bin/sh\nexit 1\n' >"$tmp/offline/$program"
		chmod +x "$tmp/offline/$program"
	done
	PATH=$tmp/offline:$PATH DOD_CACHE=$1 "$DOD_TOP/scripts/kernel" x86_64-6.12-stock
}

# A load takes seconds here: ftrace has ten times as many functions to look at as in a
# kernel that is built for this.
stock_cycles=$(((cycles + 1) / 2))
[ "$step" = stock ] || stock_cycles=200
if stock_kernel x86_64-6.12-stock; then
	stock_demo x86_64
	stock_soak --short
	stock_cycles "$stock_cycles"
	stock_image
	check "without a network, what the cache has" [ "$(offline "$DOD_CACHE" 2>/dev/null)" = "$stock" ]
	check "without a network and a cache" status_of 1 "$tmp/offline.log" offline "$tmp/empty"
	check "says what is missing" grep -q 'no package linux-image-6\.12' "$tmp/offline.log"
	check "stock kernels have no --source" status_of 2 "$tmp/offline.log" \
		"$DOD_TOP/scripts/kernel" x86_64-6.12-stock --source /nonexistent
fi
if [ "$step" = stock-all ] && stock_kernel arm64-6.12-stock; then
	stock_demo arm64
	stock_demo arm64-noncoherent --noncoherent
	stock_soak --short
	stock_soak --short --noncoherent
fi
