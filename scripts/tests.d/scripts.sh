# SPDX-License-Identifier: GPL-2.0
#
# The scripts themselves: a test run by a VM that cannot fail would prove nothing.

# status N COMMAND...
status()
{
	local want=$1 got=0

	shift
	"$@" || got=$?
	[ $got = "$want" ] && return
	echo "status $got, not $want" >&2
	return 1
}

refuses()
{
	! ("$@") >/dev/null 2>&1
}

check "vm: commands that succeed" status 0 vm "$build" --timeout 120 -- true 'echo out >/dev/out'
check "vm: what the guest wrote" grep -q '^out' "$out"
check "vm: a command that fails" status 1 vm "$build" --timeout 120 -- 'sh -c "exit 7"' true
check "vm: says with what status" grep -q 'status 7' "$vm_err"
check "vm: a panic" status 3 vm "$build" --timeout 120 -- 'echo c >/proc/sysrq-trigger'
check "vm: says why" grep -q 'the kernel failed: .*sysrq' "$vm_err"
check "vm: a timeout" status 4 vm "$build" --timeout 20 -- 'sleep 100'
if [ "$arch" != x86_64 ]; then
	check "vm --noncoherent" status 0 vm "$build" --noncoherent --timeout 120 -- \
		'ls /proc/device-tree/pcie*' '[ ! -e /proc/device-tree/pcie*/dma-coherent ]'
else
	check "vm: no --noncoherent" status 2 vm "$build" --noncoherent -- true
fi
check "vm: a missing file" status 1 vm "$build" --ko /nonexistent -- true

tree=$tmp/tree
mkdir -p "$tree/scripts"
touch "$tree/scripts/Kbuild.include"
echo 'mainmenu "test"' >"$tree/Kconfig"
find "$tree" | sort >"$tmp/before"
cp "$tree/Kconfig" "$tmp/Kconfig"
first=$("$DOD_TOP/scripts/graft" "$tree" 2>/dev/null)
again=$("$DOD_TOP/scripts/graft" "$tree" 2>/dev/null)
check "graft: the same options when run again" [ "$first" = "$again" ]
check "graft: two options" [ "$(wc -l <<<"$first")" = 2 ]
overlay=$(sed -n 's/^KBUILD_KCONFIG=//p' <<<"$first")
check "graft: the Kconfig sources ours" grep -qx 'source "dma_owner_debug/Kconfig"' "$overlay"
check "graft: the directory is there" [ -f "$tree/dma_owner_debug/Kbuild" ]
check "graft: the tree's Kconfig is as it was" cmp -s "$tree/Kconfig" "$tmp/Kconfig"
ln -sfn /nonexistent "$tree/dma_owner_debug"
"$DOD_TOP/scripts/graft" "$tree" >/dev/null 2>&1
check "graft: takes over from another clone" [ "$(readlink "$tree/dma_owner_debug")" = "$DOD_TOP" ]
"$DOD_TOP/scripts/graft" "$tree" --undo 2>/dev/null
find "$tree" | sort >"$tmp/after"
check "graft --undo: nothing is left" cmp -s "$tmp/before" "$tmp/after"
mkdir "$tree/dma_owner_debug"
check "graft: refuses to replace a directory" status 1 "$DOD_TOP/scripts/graft" "$tree"
check "graft: refuses what is not a kernel tree" status 1 "$DOD_TOP/scripts/graft" "$tmp"
check "kernel: refuses an unknown target" status 1 "$DOD_TOP/scripts/kernel" no-such-target
check "kernel --list: names the compiler" grep -qxE 'x86_64-6.12-kasan +clang-19' \
	<("$DOD_TOP/scripts/kernel" --list)

# Of one figure that is at its target, and of one that is above.
bench()
{
	printf '%s\n' 'kernel test 1' 'case off out 1 pair_64_to 700' "case off guard 1 pair_64_to $1" \
		>"$tmp/results"
	shift
	"$DOD_TOP/scripts/bench.py" "$@" "$tmp/results" "$tmp/bench.json" "$tmp/bench.svg" >"$tmp/bench"
}

check "bench: a target that is met" status 0 bench 2900 --check
check "bench: says so" grep -qE 'guard only, map and unmap 64 B .* 2,200 .* met$' "$tmp/bench"
check "bench: a target that is missed" status 0 bench 2901
check "bench: says by how much" grep -qE '64 B .* 2,201 .* MISSED by 1$' "$tmp/bench"
check "bench: what is not measured is not met" grep -q '^0 met, 1 missed, [0-9]* not measured or not judged$' "$tmp/bench"
check "bench --check: fails" status 1 bench 2901 --check
check "bench: the chart is XML" python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$tmp/bench.svg"

# Sections of one case, without the tool and with it: instructions of the kernel, in the
# second the tool's, and a tick of the timer. Each is of two runs.
counts()
{
	printf '%s\n' 'ffffffff81000000 T work' 'ffffffff82000000 T update_process_times' >"$tmp/map"
	printf '%s\n' modules 'sections out pair_64_to 3 2' modules \
		'symbol ffffffffc0000000 judge dma_owner_debug' \
		'symbol ffffffffc0001000 run dma_owner_debug_bench' \
		'sections in pair_64_to 3 2' >"$tmp/sections"
	printf '%s\n' 'ffffffff81000004 20' 'user 2' end \
		'ffffffff81000000 1' 'ffffffff82000000 1' 'user 0' end \
		'ffffffff81000000 18' 'user 2' end >"$tmp/counts"
	printf '%s\n' 'ffffffff81000000 20' 'ffffffffc0000010 10' 'ffffffffc0001000 4' 'user 2' end \
		'ffffffff81000000 20' 'ffffffffc0000010 6' 'user 2' end \
		'ffffffff82000000 900' 'user 0' end >>"$tmp/counts"
}

profile()
{
	"$DOD_TOP/scripts/profile.py" "$@" "$tmp/sections" "$tmp/counts" "$tmp/map" >"$tmp/profile"
}

bench_profile()
{
	"$DOD_TOP/scripts/bench" --target "$build" --out "$tmp" --profile "$@" >"$tmp/profile" 2>"$tmp/err"
}

counts
check "profile: reads sections" status 0 profile
check "profile: the medians of those without a tick, and the tool's own part" cmp "$tmp/profile" - \
	<<<$'counted out pair_64_to 11 0\ncounted in pair_64_to 18 5'
check "profile --functions" status 0 profile --functions
check "profile: a function, without and with" \
	grep -qxE ' +0\.0 +5\.0 +\+5\.0  judge \[dma_owner_debug\]' "$tmp/profile"
check "profile: the sum" grep -qxE ' +11\.0 +18\.0 +\+7\.0  total' "$tmp/profile"
sed -i '$d' "$tmp/counts"
check "profile: refuses counts that end too early" refuses profile
check "bench --profile" status 0 bench_profile page_free --config guard
check "bench --profile: a function of the kernel" \
	grep -qE ' [1-9][0-9.]* +[1-9][0-9.]* .*  free_[a-z_]*pages?$' "$tmp/profile"
check "bench --profile: one of the tool" \
	grep -qE ' 0\.0 +[1-9][0-9.]* .* \[dma_owner_debug\]$' "$tmp/profile"
check "bench --profile: refuses an unknown case" status 2 bench_profile nonsense
check "bench --config: refuses an unknown one" status 2 bench_profile read --config none

for script in "$DOD_TOP"/scripts/*; do
	[ ! -d "$script" ] || continue
	[ -x "$script" ] || continue
	name=${script##*/}
	check "$name --help" count_is 1 "Usage: .*$name" <("$script" --help)
	check "$name: refuses an unknown option" refuses "$script" --nonsense
done

# parsed OPTIONS ARGUMENT...: what they set
parsed()
{
	local flag='' value='' number='' list=()

	parse_options "$@"
	echo "${flag-}, ${value-}, ${number-}, ${list[*]-}, ${args[*]-}, ${rest[*]-}"
}
spec='--flag --value= --number=N --list=...'
check "options: all kinds" [ "$(parsed "$spec" --list 1 x --value 'a b' --flag --list 2 --number 7 -- y --flag)" = \
	'y, a b, 7, 1 2, x, y --flag' ]
check "options: none" [ "$(parsed "$spec")" = ', , , , , ' ]
for wrong in '--number 0' '--number x' --value --flags; do
	# shellcheck disable=SC2086	# words
	check "options: refuses $wrong" refuses parsed "$spec" $wrong
done
