# SPDX-License-Identifier: GPL-2.0
#
# What CI systems are given (packaging/ci): the files parse and hold, the script says what was
# reported, and the reports are what parsers of logs expect.

ci=$DOD_TOP/packaging/ci

# holds CONFIG FILE: each line of FILE is in CONFIG, or says what is not set there.
holds()
{
	local line

	while read -r line; do
		case $line in
		CONFIG_*) ;;
		'# CONFIG_'*) ! grep -q "^${line:2:-11}=" "$1" || { echo "not so: $line" >&2; return 1; }
			continue ;;
		*) continue ;;
		esac
		grep -qxF "$line" "$1" || { echo "not so: $line" >&2; return 1; }
	done <"$2"
}

# lacks_option LINE: of a file with this line it says that it does not hold.
lacks_option()
{
	echo "$1" >"$tmp/mistaken.config"
	! holds "$tmp/config-x86_64/.config" "$tmp/mistaken.config" 2>"$tmp/says" && grep -qF "$1" "$tmp/says"
}

# configured_with FILE ARCH: with FILE added to the defaults of that architecture, it holds.
configured_with()
{
	local dir=$tmp/config-$2 make

	make=(make -C "$source_tree" O="$dir" ARCH="$2" "LLVM=$DOD_LLVM")
	mkdir -p "$dir"
	"${make[@]}" defconfig >"$logs/field-$2.log" 2>&1 &&
		cat "$1" >>"$dir/.config" &&
		"${make[@]}" olddefconfig >>"$logs/field-$2.log" 2>&1 &&
		holds "$dir/.config" "$1"
}

# kunit_configured: kunit.py takes the directory, and finds each option in the result. The
# kernel's tree is not written to, as scripts/graft does.
kunit_configured()
{
	{ cat "$source_tree/Kconfig"; echo "source \"$DOD_TOP/Kconfig\""; } >"$tmp/Kconfig"
	(cd "$source_tree" && tools/testing/kunit/kunit.py config --arch="$arch" \
		--build_dir="$tmp/kunit" --kunitconfig="$1" --make_options "LLVM=$DOD_LLVM" \
		--make_options "KBUILD_KCONFIG=$tmp/Kconfig") >"$logs/field-kunit.log" 2>&1 </dev/null
}

# yaml FILE EXPRESSION: it parses as d, and the expression of Python is true.
yaml()
{
	/usr/bin/python3 -c 'import sys, yaml
d = yaml.safe_load(open(sys.argv[1]))
options = [l.rstrip() for l in open(sys.argv[3]) if l.startswith("CONFIG") or " is not set" in l]
sys.exit(not eval(sys.argv[2]))' "$1" "$2" "$ci/dma_owner.config"
}

# options_known: the lines in usage.rst have options that kernelci/tuxmake and kernelci/tuxrun
# have, with as many values. Neither is run.
options_known()
{
	/usr/bin/python3 - "$DOD_TOP/Documentation/usage.rst" <<-'END'
	import argparse, shlex, sys

	ONE, SOME = {}, {"nargs": "+"}
	TOOLS = {
	    "tuxmake": {"--target-arch": ONE, "--kconfig": ONE, "--kconfig-add": ONE, "--output-dir": ONE},
	    "tuxrun": {"--tuxmake": ONE, "--device": ONE, "--overlay": SOME, "--log-file-text": ONE},
	}
	seen = set()
	for line in open(sys.argv[1]):
	    words = shlex.split(line) if line.startswith("    tux") else [""]
	    if words[0] in TOOLS:
	        parser = argparse.ArgumentParser(words[0])
	        for name, how in TOOLS[words[0]].items():
	            parser.add_argument(name, **how)
	        parser.add_argument("commands", nargs="*")
	        parser.parse_args(words[1:])
	        seen.add(words[0])
	sys.exit(seen != set(TOOLS))
	END
}

# lava KTAP: what the steps of lava.yaml report if dma_owner.sh prints this.
lava()
{
	mkdir -p "$tmp/lava/packaging/ci" "$tmp/lava/bin"
	printf '#!/bin/sh\ncat %q\n' "$1" >"$tmp/lava/packaging/ci/dma_owner.sh"
	printf '#!/bin/sh\necho "$@"\n' >"$tmp/lava/bin/lava-test-case"
	chmod +x "$tmp/lava/packaging/ci/dma_owner.sh" "$tmp/lava/bin/lava-test-case"
	/usr/bin/python3 -c 'import sys, yaml
print("\n".join(yaml.safe_load(open(sys.argv[1]))["run"]["steps"]))' "$ci/lava.yaml" >"$tmp/lava/run.sh"
	(cd "$tmp/lava" && PATH=$tmp/lava/bin:$PATH COMMAND=true sh -e run.sh) | grep -e --result
}

# run_is N STATUS PATTERN: what the script printed in its run of that number.
run_is()
{
	awk -v n="$1" '/^### / { on = $2 == n; next } on' "$out" | tr -d '\r' >"$tmp/run.$1"
	grep -qx "exit $2" "$tmp/run.$1" && sed -i '/^exit /d' "$tmp/run.$1" &&
		head -n 1 "$tmp/run.$1" | grep -qx 'TAP version 13' &&
		grep -qxE "$3" "$tmp/run.$1" && return
	cat "$tmp/run.$1" >&2
	return 1
}

# fails_only FILE TYPE: for kunit.py nothing in it has failed but this.
fails_only()
{
	"$source_tree/tools/testing/kunit/kunit.py" parse --json="$tmp/json" "$1" \
		</dev/null >/dev/null 2>&1 || true
	# What fails there is no failure here.
	(ktap_json field "$tmp/json") >"$tmp/verdicts"
	grep -q '^ok ' "$tmp/verdicts" &&
		[ "$(sed -n 's/^not ok .* \([^ ]*\) (FAIL)$/\1/p' "$tmp/verdicts")" = "$2" ]
}

# unseen_is GUARD KFENCE: with it the script skips the types of which the table of guards in
# usage.rst says "no".
unseen_is()
{
	# shellcheck disable=SC2034	# used by unseen
	local guard=${1/KFENCE/nothing} kfence=$2 canary=Y type

	eval "$(sed -n '/^unseen()/,/^}/p' "$ci/dma_owner.sh")"
	awk -v guard="$1" '
		/^\.\. guards: / { on = $3 == "begin" }
		on && $1 == "Type" { for (i = 2; i <= NF; i++) if ($i == guard) column = i }
		on && /^``/ { gsub("`", "", $1); print $1, $column == "no" ? "no" : "" }' \
		"$DOD_TOP/Documentation/usage.rst" >"$tmp/guard"
	while read -r type _; do
		[ -z "$(unseen "$type")" ] || echo "$type no"
	done <"$tmp/guard" >"$tmp/unseen"
	[ -s "$tmp/guard" ] && diff "$tmp/unseen" <(grep ' no$' "$tmp/guard") >&2
}

# parsers_keep LOG FILE: the table of what parsers keep, with the lines that FILE has, is that
# in usage.rst.
parsers_keep()
{
	"$DOD_TOP/scripts/tests.d/field/parsers.py" "$1" "$2" >"$tmp/parsers" &&
		diff "$tmp/parsers" <(awk '/^\.\. parsers: / { on = $3 == "begin"; next } on && NF' \
			"$DOD_TOP/Documentation/usage.rst") >&2
}

# parsers_differ SED_SCRIPT PARSER: with this mistake in the lines, the row of that parser is
# another.
parsers_differ()
{
	sed "$1" "$ci/parsers.md" >"$tmp/mistaken.md"
	! parsers_keep "$reports" "$tmp/mistaken.md" 2>"$tmp/says" && grep -q "^> $2, told" "$tmp/says"
}

need_packages python3-yaml
for of in x86_64 arm64; do
	check "dma_owner.config: $of can be configured so" configured_with "$ci/dma_owner.config" $of
done
check "dma_owner.config: what does not hold is found" lacks_option CONFIG_KASAN_SW_TAGS=y
check ".kunitconfig: kunit.py takes it" kunit_configured "$ci"
check "kernelci.yaml has what dma_owner.config has" yaml "$ci/kernelci.yaml" \
	'd["fragments"]["dma_owner"]["configs"] == options'
check "lava.yaml is a test definition" yaml "$ci/lava.yaml" \
	'"Lava-Test" in d["metadata"]["format"] and d["metadata"]["name"] and all(isinstance(s, str) for s in d["run"]["steps"])'

check "tuxmake, tuxrun: their options" options_known
reports=$DOD_TOP/scripts/tests.d/field/reports.log
check "parsers: what they keep" parsers_keep "$reports" "$ci/parsers.md"
check "parsers: a wrong end is found" parsers_differ 's/"end": r"=+/"end": r"/' LAVA
check "parsers: a rule that goes on too long is found" parsers_differ 's/DMA_OWNER:\.\*?/DMA_OWNER:.*/' SQUAD
check "parsers: a signature with offsets is found" parsers_differ 's/\[^+\\s\]+/\\S+/' logspec
check "the script runs" vm "$build" --qemu -device --qemu edu,dma_mask=0xffffffff --ko "$edu_ko" \
	--ko "$tool_ko" --file "$ci/dma_owner.sh" --timeout 120 -- \
	'run() { n=$((n + 1)); echo "### $n"; s=0; sh /files/dma_owner.sh "$@" || s=$?; echo "exit $s"; }' \
	'n=0' 'run true >/dev/out' \
	'insmod /ko/dma-owner-debug.ko' 'run true >/dev/out' \
	'insmod /ko/dma_owner_debug_edu.ko mask_bits=32' \
	'set -- /sys/kernel/debug/dma_owner_debug_edu/*' \
	'step() { run sh /files/step.sh $1 $2 -; }' \
	'step $1 right >/dev/out' 'step $1 write-after-map >/dev/out' \
	'step $1 write-after-map >/dev/out' 'run >/dev/out' 'run sh -c "exit 3" >/dev/out'
check "the tool is not there: skipped" run_is 1 4 '1\.\.0 # SKIP dma_owner_debug is not loaded'
check "nothing is mapped: skipped" run_is 2 4 '1\.\.0 # SKIP no driver has mapped anything'
check "what is right passes" run_is 3 0 'ok [0-9]* cpu-write'
check "kunit.py: all pass" fails_only "$tmp/run.3" ''
check "what is wrong fails" run_is 4 1 '# cpu-write in edu_step_write_after_map.*, 1 times'
check "kunit.py: only that type fails" fails_only "$tmp/run.4" cpu-write
check "in the next job, too" run_is 5 1 'not ok [0-9]* cpu-write'
check "without a command: since the load" run_is 6 1 'not ok [0-9]* cpu-write'
check "a command that fails" run_is 7 1 'not ok 1 command'
check "kunit.py: only the command fails" fails_only "$tmp/run.7" command
check "each type is a test" [ "$(grep -c '^\(not \)\?ok ' "$tmp/run.6")" = \
	"$(awk '/^\.\. guards: / { on = $3 == "begin" } on && /^``/ { n++ } END { print n }' \
		"$DOD_TOP/Documentation/usage.rst")" ]
check "what cannot be noticed is skipped" grep -qxE 'ok [0-9]* device-wrote-nothing # SKIP canary=0' "$tmp/run.3"
for of in 'KASAN 0' 'KCSAN 0' 'KFENCE 1' 'nothing 0'; do
	# shellcheck disable=SC2086	# words
	check "what is skipped: ${of% *}" unseen_is $of
done
check "LAVA: the command and the types" [ "$(lava "$tmp/run.4" | grep -v 'result pass' | paste -sd ' ')" = \
	'cpu-write --result fail device-wrote-nothing --result skip' ]
check "LAVA: skipped" [ "$(lava "$tmp/run.1")" = 'command --result skip' ]

# The patches for what was found are for 6.12. Whoever sends them signs them off.
if [ "$(make -s -C "$source_tree" kernelversion | cut -d. -f-2)" = 6.12 ]; then
	need_packages patch perl
	for of in "$DOD_TOP"/Documentation/findings/*.patch; do
		check "${of##*/}: applies" status_of 0 "$logs/field-patches.log" \
			patch -d "$source_tree" -p1 --dry-run -F 0 -i "$of"
		check "${of##*/}: checkpatch" status_of 0 "$logs/field-patches.log" \
			"$source_tree/scripts/checkpatch.pl" --root "$source_tree" --strict --no-signoff -q "$of"
	done
else
	skip "the patches in Documentation/findings are for 6.12"
fi
