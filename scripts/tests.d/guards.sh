# SPDX-License-Identifier: GPL-2.0
#
# What usage.rst says that each guard sees is what the steps of the demo come to on such a
# kernel. The step stock has the guards of a kernel that was not built for this.

# differs GUARD: with one report less, the test fails.
differs()
{
	sed '/BUG: DMA_OWNER: stack-buffer/d' "$guards_log" >"$tmp/less"
	! guard_sees "$1" "$tmp/less" 2>"$tmp/says" && grep -qx 'stack-buffer: not reported' "$tmp/says"
}

check "the demo" status_of 0 "$logs/$step-demo.log" "$DOD_TOP/scripts/demo" --target "$build"
guards_log=$logs/$step-demo.console
cp "$DOD_TOP/build/demo.log" "$guards_log"
guard=$(guard_in "$guards_log")
check "$guard: the table in usage.rst is true" guard_sees "$guard" "$guards_log"
check "$guard: a type that is not reported is found" differs "$guard"
check "$guard: each type has a row" [ "$(awk '/^\.\. guards: / { on = $3 == "begin" }
	on && /^``/' "$DOD_TOP/Documentation/usage.rst" | wc -l)" = \
	"$(grep -cE '^DOD_TYPE\([A-Z_]*, "[a-z-]*", LOSES_' "$DOD_TOP/report/types.h")" ]
