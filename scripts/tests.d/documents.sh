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

# What off_types accepts is a type.
check "the module tells its names" vm "$build" --ko "$tool_ko" --timeout 120 -- \
	'insmod /ko/dma-owner-debug.ko' 'P=/sys/module/dma_owner_debug/parameters' \
	'ls $P | sed "s/^/parameters /" >/dev/out' \
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
check "each type has a sample" [ -z "$(LC_ALL=C comm -23 <(in_module types) \
	<(sed -n 's/^\.\. sample: \([^ ]*\).*/\1/p' "$docs/reports.rst" | LC_ALL=C sort -u))" ]
check "samples: fills the document" samples_fill
check "samples: a report that is not in the log" samples_lack
check "the README has 200 lines at most" [ "$(wc -l <"$DOD_TOP/README.md")" -le 200 ]
check "the README's links lead to files" links "$DOD_TOP/README.md"
check "the links of results.md lead to files" links "$docs/results.md"
