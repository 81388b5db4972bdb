# SPDX-License-Identifier: GPL-2.0
#
# The documents name what the module has and nothing that it lacks: parameters, counters,
# types of reports and of notes. They stand between ".. names: KIND" and ".. names: end", as
# terms of a definition list or as titles.

docs=$DOD_TOP/Documentation

# in_document KIND FILE: the names that it defines.
in_document()
{
	awk -v kind="$1" '
		/^\.\. names: / { on = $3 == kind }
		on && term != "" && /^(    |~~~)/ { print term }
		{ term = /^``/ ? $0 : "" }' "$2" |
		sed 's/ (default.*//; s/``\([^`=]*\)[^`]*``/\1/g; s/, /\n/g' | LC_ALL=C sort
}

# in_module KIND
in_module()
{
	tr -d '\r' <"$out" | sed -n "s/^$1 //p" | LC_ALL=C sort
}

# names_match KIND FILE
names_match()
{
	local lacks gone

	lacks=$(LC_ALL=C comm -23 <(in_module "$1") <(in_document "$1" "$2"))
	gone=$(LC_ALL=C comm -13 <(in_module "$1") <(in_document "$1" "$2"))
	[ -n "$(in_module "$1")" ] && [ -z "$lacks$gone" ] && return
	echo "$1: ${2##*/} lacks ${lacks:-nothing}, and has too many: ${gone:-nothing}" | tr '\n' ' ' >&2
	return 1
}

# differs TEXT KIND SED_SCRIPT FILE: with this mistake in the document it says so.
differs()
{
	sed "$3" "$4" >"$tmp/mistaken.rst"
	! names_match "$2" "$tmp/mistaken.rst" 2>"$tmp/says" && grep -q "$1" "$tmp/says"
}

# names KIND FILE
names()
{
	local first

	first=$(in_module "$1" | head -n 1)
	check "$1: ${2##*/} has them" names_match "$1" "$2"
	check "$1: one that is missing is found" \
		differs "lacks.* $first.*,.*many: nothing" "$1" "/^\`\`$first\>/s/^/ /" "$2"
	check "$1: one too many is found" differs "lacks nothing,.*many: nonsense" "$1" \
		"/^\.\. names: $1\$/a \\\\n\`\`nonsense\`\`\n    Text." "$2"
}

# links FILE: each that leads to a file does.
links()
{
	local link

	while read -r link; do
		[ -e "$(dirname "$1")/$link" ] || { echo "$1: no $link" >&2; return 1; }
	done < <(grep -oE '\]\([^)#:]+' "$1" | cut -c 3-)
}

# samples_fill: from a log with the reports that stand there, the same document.
samples_fill()
{
	sed 's/^\.\. sample: \([^ ]*\).*/demo|step|\1|/; s/^    //' "$docs/reports.rst" >"$tmp/log"
	cp "$docs/reports.rst" "$tmp/reports.rst"
	"$DOD_TOP/scripts/samples" "$tmp/log" "$tmp/reports.rst" && cmp "$docs/reports.rst" "$tmp/reports.rst"
}

# samples_lack: from a log without one, one line that names it, and no change.
samples_lack()
{
	sed -i '/BUG: DMA_OWNER: mask-exceeded/d' "$tmp/log"
	! "$DOD_TOP/scripts/samples" "$tmp/log" "$tmp/reports.rst" 2>"$tmp/says" &&
		count_is 1 '' "$tmp/says" && grep -q 'has no report mask-exceeded$' "$tmp/says" &&
		cmp "$docs/reports.rst" "$tmp/reports.rst"
}

abi=$DOD_TOP/Documentation/ABI/testing/debugfs-dma-owner-debug

# abi_names FILE: what it describes, files in debugfs and parameters.
abi_names()
{
	sed -n 's/^What:.*\/dma_owner_debug\/parameters\//parameters /p
		s/^What:.*\/debug\/dma_owner_debug\//files /p' "$1" | LC_ALL=C sort
}

# abi_matches FILE: it describes what the module has, and nothing else.
abi_matches()
{
	diff <(abi_names "$1") <(tr -d '\r' <"$out" | grep -E '^(files|parameters) ' | LC_ALL=C sort) >&2
}

# abi_says FILE: of parameters what the module itself says.
abi_says()
{
	diff <(awk '
			/^What:/ { n = split($2, part, "/"); name = $2 ~ "/parameters/" ? part[n] : "" }
			/^Description:/ { text = 1; sub(/^Description:/, "") }
			/^$/ { if (name) print name ":" said; text = name = said = "" }
			text { gsub(/^[ \t]+/, ""); said = said (said ? " " : "") $0 }
			END { if (name) print name ":" said }' "$1" | LC_ALL=C sort) \
		<(modinfo -F parm "$tool_ko" | LC_ALL=C sort) >&2
}

# abi_lacks SED_SCRIPT COMMAND: with this mistake in the file the command says so.
abi_lacks()
{
	sed "$1" "$abi" >"$tmp/mistaken.abi"
	! cmp -s "$abi" "$tmp/mistaken.abi" && ! "$2" "$tmp/mistaken.abi" 2>/dev/null
}

# not COMMAND...: it fails.
not()
{
	! "$@" 2>/dev/null
}

# messages_match FILE: it has the messages of this kernel's dma-debug, and no others.
messages_match()
{
	diff <(awk '/^\.\. messages: / { on = $3 == "begin" } on' "$1" |
			sed -n 's/^   \* - ``\(.*\)``$/\1/p' | LC_ALL=C sort) \
		<(python3 - "$source_tree/kernel/dma/debug.c" <<-'END' | LC_ALL=C sort -u
			import re, sys

			for m in re.finditer(r'\berr_printk\([^"#]*?((?:"[^"]*"\s*)+)', open(sys.argv[1]).read()):
			    text = "".join(re.findall('"([^"]*)"', m[1]))
			    if not text.startswith("%s"):  # the macro
			        print(re.split(r"\[|\\n", text)[0].strip())
		END
		) >&2
}

# What off_types accepts is a type.
check "the module tells its names" vm "$build" --ko "$tool_ko" --timeout 120 -- \
	'insmod /ko/dma-owner-debug.ko' 'P=/sys/module/dma_owner_debug/parameters' \
	'ls $P | sed "s/^/parameters /" >/dev/out' \
	'ls /sys/kernel/debug/dma_owner_debug | sed "s/^/files /" >/dev/out' \
	'while IFS=: read -r name value; do
		kind=types type=$(echo ${name#*_} | tr _ -)
		case $name in
		notes_*) kind=notes ;;
		reports_*) ;;
		*) type= ;;
		esac
		if [ "$type" ] && echo $type >$P/off_types; then echo $kind $type
		else echo counters $name; fi
	done </sys/kernel/debug/dma_owner_debug/stats >/dev/out'
names parameters "$docs/usage.rst"
names counters "$docs/counters.rst"
names types "$docs/reports.rst"
names notes "$docs/reports.rst"
check "ABI: the files and parameters that there are" abi_matches "$abi"
check "ABI: one that is missing is found" abi_lacks '/dma_owner_debug.reports$/s/reports/report/' abi_matches
need_packages kmod
check "ABI: of parameters what modinfo says" abi_says "$abi"
check "ABI: another text is found" abi_lacks 's/(default: Y)/(default: N)/' abi_says
if [ "$(make -s -C "$source_tree" kernelversion | cut -d. -f-2)" = 6.12 ]; then
	need_packages perl
	check "ABI: the kernel's script takes it" lacks . <(
		"$source_tree/scripts/get_abi.pl" --dir "$DOD_TOP/Documentation/ABI" validate 2>&1)
	check "dma-debug's messages are in dma-debug.rst" messages_match "$docs/dma-debug.rst"
	sed 's/maps memory from stack/maps stack memory/' "$docs/dma-debug.rst" >"$tmp/messages.rst"
	check "dma-debug's messages: another one is found" not messages_match "$tmp/messages.rst"
else
	skip "the ABI's script and dma-debug's messages are those of 6.12"
fi
check "each type has a sample" [ -z "$(LC_ALL=C comm -23 <(in_module types) \
	<(sed -n 's/^\.\. sample: \([^ ]*\).*/\1/p' "$docs/reports.rst" | LC_ALL=C sort -u))" ]
check "samples: fills the document" samples_fill
check "samples: a report that is not in the log" samples_lack
check "the README has 200 lines at most" [ "$(wc -l <"$DOD_TOP/README.md")" -le 200 ]
check "the README's links lead to files" links "$DOD_TOP/README.md"
check "the links of results.md lead to files" links "$docs/results.md"
