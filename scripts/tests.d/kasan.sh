# SPDX-License-Identifier: GPL-2.0
#
# KASAN works as before: its own KUnit suite gives the same results, line by line,
# and the same reports, with the tool and without.

kasan_ko=$build/mm/kasan/kasan_test.ko

# kasan_suite NAME COMMAND...: runs it after the commands.
kasan_suite()
{
	local name=$1

	shift
	vm "$build" --ko "$tool_ko" --ko "$kasan_ko" --append kasan_multi_shot --timeout 400 -- \
		"$@" 'insmod /ko/kasan_test.ko' \
		'cat /sys/kernel/debug/kunit/kasan/results >/dev/out' || return
	cp "$out" "$logs/kasan.$name"
	# Titles, without time stamps.
	sed -n 's/^.*\(BUG: KASAN: .*\)/\1/p' "$console" >"$logs/kasan-titles.$name"
}

same()
{
	diff "$logs/$1.without" "$logs/$1.with" >&2
}

check "KASAN's suite without the tool" kasan_suite without true
check "KASAN's suite with the tool" kasan_suite with 'insmod /ko/dma-owner-debug.ko'
check "has results" count_is 1 '^# kasan: pass:[1-9]' "$logs/kasan.without"
check "the results are the same line by line" same kasan
check "it reports" [ "$(wc -l <"$logs/kasan-titles.without")" -gt 20 ]
check "the reports have the same titles in the same order" same kasan-titles
check "no report of the tool" lacks 'BUG: DMA_OWNER' "$console"
