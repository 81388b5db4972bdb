# SPDX-License-Identifier: GPL-2.0
#
# A console whose driver maps memory, wrongly, while another CPU makes reports: no CPU
# waits for a lock of the tool's, nothing feeds itself, no two reports mix; and a panic
# in the middle of it is one. tools/dma_owner_debug_console.c says how.

con_seconds=${DOD_CONSOLE_SECONDS:-4}
con=(--ko "$tool_ko" --ko "$modules/tools/dma_owner_debug_console.ko"
	--timeout $((10 * con_seconds + 120)))
load_tool='insmod /ko/dma-owner-debug.ko dedup=0 report_burst=0'

# console_runs TEXT PARAMETERS: once, to its end
console_runs()
{
	local reports

	check "$1" vm "$build" "${con[@]}" -- "$load_tool $2" \
		"insmod /ko/dma_owner_debug_console.ko seconds=$con_seconds" \
		'dmesg | grep -a "dma_owner_console: error" >/dev/out' \
		'cat /sys/kernel/debug/dma_owner_debug/stats >/dev/out' \
		'rmmod dma_owner_debug_console' 'rmmod dma_owner_debug'
	check "$1: no two reports mix" grep -qE 'error 0, .* 0 mixed' "$out"
	reports=$(sed -n 's/.*error 0, \([0-9]*\) reports.*/\1/p' "$out")
	check "$1: there were reports: ${reports:-none}" [ "${reports:-0}" -gt 20 ]
	check "$1: and of the console's driver each fault once" \
		grep -qE "error 0, .* [1-3] of the console's driver" "$out"
	check "$1: what it does again is counted" grep -qE '^reports_nested: [1-9]' "$out"
	check "$1: lockdep and the watchdogs are silent" \
		lacks 'WARNING:|INFO: |BUG: [^DK]|possible .*deadlock' "$console"
}

console_runs "a console with canary=1" 'canary=1'
console_runs "a console with noncoherent=64" 'noncoherent=64'

# console_panics TEXT PARAMETERS: it panics with TEXT, once, and says nothing more.
console_panics()
{
	local status=0

	vm "$build" "${con[@]}" -- "$load_tool $3" \
		"insmod /ko/dma_owner_debug_console.ko seconds=3 $2" || status=$?
	# Not the timeout: the kernel gets as far as to restart.
	[ $status = 3 ] && grep -q "Kernel panic - not syncing: $1" "$vm_err" || return
	count_is 1 'Kernel panic - not syncing' "$console" || return
	sed '1,/Kernel panic - not syncing/d' "$console" >"$tmp/after"
	lacks 'BUG: DMA_OWNER' "$tmp/after"
}
for run in 1 2; do
	check "a panic while reports are made ($run)" \
		console_panics 'dma_owner_console: as asked' panics=1 'noncoherent=64 canary=1'
done
check "fault=panic, by the console's driver" \
	console_panics 'dma_owner_debug.fault=panic' quiet=1 'noncoherent=64 fault=panic'
check "fault=panic: after the report" awk '
	/BUG: DMA_OWNER: / { title = 1 }
	title && /^\[[^]]*\] =====/ { report = 1 }
	/Kernel panic/ { exit !report }' "$console"
