# SPDX-License-Identifier: GPL-2.0
#
# The engine's floors call only those below them: scripts/layers says so of the engine,
# and finds what is wrong with a tree of small objects.

# object FLOOR/NAME CODE
object()
{
	mkdir -p "$tmp/floors/${1%/*}"
	gcc -fno-pie -c -x c -o "$tmp/floors/$1.o" - <<<"$2"
}

# floors: a tree in which all is well: calls go down, and up only through a struct.
floors()
{
	local floor below=''

	rm -rf "$tmp/floors"
	for floor in base report guard owner judge attach .; do
		[ $floor = . ] && floor=dma_owner_debug
		object "${floor/dma_owner_debug/.}/$floor" \
			"${below:+int $below(void);} int $floor(void) { return ${below:+$below() +} 1; }"
		below=$floor
	done
	object judge/ops 'int f(void) { return 1; } const struct { int (*f)(void); } judge_ops = { f };'
	object owner/ask 'extern const struct { int (*f)(void); } judge_ops; int ask(void) { return judge_ops.f(); }'
}

table='static const int table[4] = { 1 }; const int *one(void) { return table; }'

# finds TEXT LINE [FLOOR/NAME CODE]...: with these objects more, that one line.
finds()
{
	local text=$1 line=$2 status=0

	shift 2
	floors
	while [ $# -gt 0 ]; do
		object "$1" "$2"
		shift 2
	done
	"$DOD_TOP/scripts/layers" "$tmp/floors" >"$tmp/layers" || status=$?
	check "layers: $text" [ "$status $(<"$tmp/layers")" = "$([ -z "$line" ]; echo $?) $line" ]
}

# The engine as it is, each file an object of its own.
split=$tmp/split
cp -a "$modules" "$split"
! grep -q DOD_SPLIT "$split/Kbuild" || find "$split" -name '*.o' -delete
make -C "$split" KDIR="$build" DOD_SPLIT=1 -j"$(nproc)" dma-owner-debug.ko \
	>"$logs/layers.log" 2>&1 </dev/null || fail "the modules do not build with DOD_SPLIT=1"
check "the engine's floors call only those below them" "$DOD_TOP/scripts/layers" "$split"

need_packages gcc libc6-dev binutils
finds "calls that go down" ''
finds "a call upwards" 'report/up.c calls up: owner() of owner/' \
	report/up 'int owner(void); int up(void) { return owner(); }'
finds "a call of the front door" 'attach/up.c calls up: dma_owner_debug() of dma_owner_debug.c' \
	attach/up 'int dma_owner_debug(void); int up(void) { return dma_owner_debug(); }'
finds "a variable from above" 'base/up.c calls up: answer of judge/' \
	judge/data 'int answer = 42;' base/up 'extern int answer; int up(void) { return answer; }'
finds "a struct that is not constant" 'base/up.c calls up: some_ops of judge/' \
	judge/data 'int some_ops = 42;' base/up 'extern int some_ops; int up(void) { return some_ops; }'
finds "a table in two objects" 'table stands in each of base/one.c owner/two.c' \
	base/one "$table" owner/two "${table/one/two}"
floors
echo '#include "../owner/owner.h"' >"$tmp/floors/guard/up.h"
check "layers: a header from above" grep -qx 'guard/up.h includes owner/owner.h' \
	<("$DOD_TOP/scripts/layers" "$tmp/floors")
rm -r "$tmp/floors/guard"
check "layers: a floor that is missing" grep -q 'no object in guard' \
	<("$DOD_TOP/scripts/layers" "$tmp/floors" 2>&1)
