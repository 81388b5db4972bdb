# SPDX-License-Identifier: GPL-2.0
#
# Judges the console of a machine of scripts/soak --fleet: awk -v group=G -v mode=M
# [-v tool=] -f judge.awk expected console. What the kernel complains of must be a row
# of the file of what is expected, and a row that is certain must have come.

# A row: groups, modes, always or maybe, driver, type, function; where and why follow.
FILENAME == ARGV[1] {
	if (/^#/ || NF < 7)
		next
	if (!among(group, $1) || !among(mode, $2))
		next
	n++
	certain[n] = $3 == "always"
	driver[n] = $4
	type[n] = $5
	pattern[n] = "^(" $6 ")$"
	where[n] = $7
	next
}

{ sub(/\r$/, ""); sub(/^\[ *[0-9.]+\] /, "") }

# The whole of a report, from its title to the line at its end.
/^BUG: DMA_OWNER: / {
	end_report()
	r_type = $3
	r_function = plain($0)
	r_driver = ""
	next
}
r_type != "" && /^====/ { end_report(); next }
r_type != "" && r_driver == "" {
	if (match($0, /[Dd]evice [^ ]+ [^ ]*[0-9:][^ ]* (owns|maps|mapped|may|is to|can still|had|unmap|sync)/)) {
		split(substr($0, RSTART, RLENGTH), word, " ")
		r_driver = word[2]
	} else if (match($0, /Driver [^ ]+ was unbound/)) {
		split(substr($0, RSTART, RLENGTH), word, " ")
		r_driver = word[2]
	}
}

# What the tool says of itself: that it has stopped, or may have missed something.
/dma_owner_debug: (stopped|ftrace|cannot)|DMA owner: (KASAN has found|The probe)/ {
	text = $0
	gsub(/ /, "-", text)
	complaint("-", "kernel", text)
	next
}
# Its advice is nobody's fault, and is shown.
/dma_owner_debug: note: / {
	sub(/^.*note: /, "")
	sub(/;.*/, "")
	note[$0]++
	next
}

# dma-debug has a line that says what, and the warning's own before it.
/^DMA-API: [^ ]+ [^ ]+: / && /error|failed|device driver|mapped as|overlap|exceeded/ {
	text = $0
	sub(/^DMA-API: [^ ]+ [^ ]+: /, "", text)
	gsub(/[[(].*/, "", text)
	gsub(/ +$/, "", text)
	gsub(/ /, "-", text)
	complaint($2, "dma-debug", text)
	next
}
/^WARNING: .*(dma\/debug\.c|add_dma_entry|check_unmap|check_sync|check_for_|dma_debug|debug_dma)/ { next }

/BUG: |WARNING: |INFO: task|KASAN: |I\/O error|(EXT4-fs|XFS|BTRFS).*([Ee]rror|[Cc]orrupt)|NETDEV WATCHDOG/ {
	text = $0
	gsub(/0x[0-9a-f]+|[0-9]+/, "N", text)
	gsub(/ /, "-", text)
	complaint("-", "kernel", text)
}

END {
	end_report()
	for (i = 1; i <= n; i++) {
		row = mode " " group ": " driver[i] ": " type[i] " at " where[i]
		if (hits[i])
			print "soak: ok: " row ", as expected: " hits[i]
		else if (certain[i] && tool != "n")
			print "soak: FAILED: " row " was expected, and did not come"
	}
	for (text in note)
		print "soak: " mode " " group ": note: " text ": " note[text]
	for (text in unexpected)
		print "soak: FAILED: " mode " " group ": " text ": " unexpected[text]
	if (!failures)
		print "soak: ok: " mode " " group ": nothing but what is expected"
}

function among(word, list)
{
	return list == "all" || ("," list ",") ~ ("," word ",")
}

# plain TITLE: the function, without offset and module
function plain(title)
{
	sub(/^.* in /, "", title)
	sub(/\+0x.*/, "", title)
	sub(/ .*/, "", title)
	sub(/\.[a-z_]+(\.[0-9]+)?$/, "", title)
	return title
}

function end_report()
{
	if (r_type != "")
		complaint(r_driver == "" ? "-" : r_driver, r_type, r_function)
	r_type = ""
}

function complaint(by, what, fn,    i)
{
	for (i = 1; i <= n; i++) {
		if (driver[i] == by && what ~ ("^(" type[i] ")$") && fn ~ pattern[i]) {
			hits[i]++
			return
		}
	}
	unexpected[by ": " what " in " fn]++
	failures++
}
