# SPDX-License-Identifier: GPL-2.0
#
# The pages of scripts/timeline: from the tool's events, from the kernel's own, from what
# trace-cmd prints of both; and that trace-cmd records and lists them in a guest.

timeline=$DOD_TOP/scripts/timeline

# says STATUS TEXT ARGUMENT...: it ends so, with one line that has the text.
says()
{
	local want=$1 text=$2 got=0

	shift 2
	"$timeline" "$@" >"$tmp/says" 2>&1 || got=$?
	[ $got = "$want" ] && count_is 1 '' "$tmp/says" && grep -qF -- "$text" "$tmp/says"
}

# drawn NAME [OPTION]...: the page and the JSON of the trace $tmp/NAME.trace
drawn()
{
	"$timeline" "${@:2}" "$tmp/$1.trace" "$tmp/$1.html" "$tmp/$1.json" </dev/null
}

# page_is NAME COUNT PATTERN: so many of what matches are in the page.
page_is()
{
	local n

	n=$(grep -oE -- "$3" "$tmp/$1.html" | wc -l)
	[ "$n" = "$2" ] || { echo "$1: $n, not $2, match $3" >&2; return 1; }
}

# picture NAME N PATTERN: the report of that number has it, in its picture or around.
picture()
{
	grep -qE -- "$3" < <(sed -n "/<section id=\"r$2\">/,/<\/section>/p" "$tmp/$1.html") || {
		echo "$1: report $2 lacks $3" >&2
		return 1
	}
}

# pictures_are_right NAME: XML; no text over another, none outside.
pictures_are_right()
{
	python3 - "$tmp/$1.html" <<-'END'
		import re, sys
		import xml.dom.minidom as dom

		pictures = re.findall(r'<svg class="picture".*?</svg>', open(sys.argv[1]).read(), re.S)
		for n, picture in enumerate(pictures, 1):
		    svg = dom.parseString(picture).documentElement
		    width, boxes = float(svg.getAttribute("viewBox").split()[2]), []
		    for t in svg.getElementsByTagName("text"):
		        words, kind = t.firstChild.data, t.getAttribute("class")
		        wide = len(words) * {"big": 8.4, "b": 6.3}.get(kind, 5.6)
		        x = float(t.getAttribute("x")) - \
		            wide * {"start": 0, "middle": 0.5, "end": 1}[t.getAttribute("text-anchor")]
		        y = float(t.getAttribute("y"))
		        if x < -1 or x + wide > width + 1:
		            sys.exit(f"picture {n}: outside: {words}")
		        for ax, bx, ay, other in boxes:
		            if x < bx and ax < x + wide and abs(y - ay) < 9:
		                sys.exit(f"picture {n}: {words} is over {other}")
		        boxes.append((x, x + wide, y, words))
		sys.exit(None if pictures else "no picture")
	END
}

# slices_nest NAME TRACKS: in the JSON, in the order of time on each track; so many tracks.
slices_nest()
{
	python3 - "$tmp/$1.json" "$2" <<-'END'
		import json, sys

		open_, last, tracks = {}, {}, set()
		for e in json.load(open(sys.argv[1]))["traceEvents"]:
		    track = e["pid"], e["tid"]
		    if e["ph"] in "BE":
		        tracks.add(track)
		        if e["ts"] < last.get(track, 0):
		            sys.exit(f"not in order: {e}")
		        last[track] = e["ts"]
		        open_[track] = open_.get(track, 0) + (1 if e["ph"] == "B" else -1)
		        if not 0 <= open_[track] <= 2:
		            sys.exit(f"does not nest: {e}")
		if any(open_.values()) or len(tracks) != int(sys.argv[2]):
		    sys.exit(f"open: {open_}")
	END
}

# The tool's own events: parts of a buffer, lost events, a record and an address that are used
# again, calls that change no owner (I), a mapping without an end, equal mappings at a time, a
# report with no mapping.
R='track="0000:00:03.0 dma 0x6791800" mapping'
cat >"$tmp/ours.trace" <<END
# tracer: nop
#
# entries-in-buffer/entries-written: 30/42   #P:2
#
CPU:1 [LOST 3 EVENTS]
          insmod-123     [001] d..1.    12.300000: owner: B slice="device FROM_DEVICE 4096 B" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=4096 call=map caller=foo_rx_alloc+0x34/0x120 [foo]
          insmod-123     [001] d..1.    12.300001: device_owned: track="0000:00:03.0" value=4096
 kworker/0:1-mm-12       [000] d..1.    12.310000: owner: E slice="device FROM_DEVICE 4096 B" $R=7 dma=0x6791840 phys=0x6791840 first=64 len=512 call=sync_for_cpu caller=foo_poll+0x34/0x120 [foo]
 kworker/0:1-mm-12       [000] d..1.    12.310000: owner: B slice="device FROM_DEVICE 3584 B" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=64 call=sync_for_cpu caller=foo_poll+0x34/0x120 [foo]
 kworker/0:1-mm-12       [000] d..1.    12.310040: owner: E slice="device FROM_DEVICE 3584 B" $R=7 dma=0x6791840 phys=0x6791840 first=64 len=512 call=sync_for_device caller=foo_refill+0x34/0x120 [foo]
 kworker/0:1-mm-12       [000] d..1.    12.310040: owner: B slice="device FROM_DEVICE 4096 B" $R=7 dma=0x6791840 phys=0x6791840 first=64 len=512 call=sync_for_device caller=foo_refill+0x34/0x120 [foo]
 kworker/0:1-mm-12       [000] d..1.    12.330040: owner: E slice="device FROM_DEVICE 4096 B" $R=7 dma=0x6791a00 phys=0x6791a00 first=512 len=1024 call=sync_for_cpu caller=foo_poll+0x34/0x120 [foo]
 kworker/0:1-mm-12       [000] d..1.    12.330040: owner: B slice="device FROM_DEVICE 3072 B" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=512 call=sync_for_cpu caller=foo_poll+0x34/0x120 [foo]
 kworker/0:1-mm-12       [000] d..1.    12.330045: report: I slice="cpu-read in foo_parse+0x34/0x120 [foo]" $R=7 dma=0x6792000 phys=0x6792000 first=2048 len=8 caller=foo_parse+0x34/0x120 [foo]
 kworker/0:1-mm-12       [000] d..1.    12.330046: console: ==================================================================
 kworker/0:1-mm-12       [000] d..1.    12.330046: console: BUG: DMA_OWNER: cpu-read in foo_parse+0x34/0x120 [foo]
 kworker/0:1-mm-12       [000] d..1.    12.330046: console: Read of size 8 at ffff888006792000 by task <script>/12 on cpu 0
 kworker/0:1-mm-12       [000] d..1.    12.330046: console:  foo_parse+0x34/0x120 [foo]
 kworker/0:1-mm-12       [000] d..1.    12.330046: console: ==================================================================
 kworker/0:1-mm-12       [000] d..1.    12.335000: owner: I slice="sync for the CPU" $R=7 dma=0x6791a00 phys=0x6791a00 first=512 len=1024 call=sync_for_cpu caller=foo_poll+0x34/0x120 [foo]
 kworker/0:1-mm-12       [000] d..1.    12.340000: owner: E slice="device FROM_DEVICE 3072 B" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=4096 call=unmap caller=foo_clean+0x34/0x120 [foo]
            ping-44      [000] d..1.    12.342000: owner: I slice="map" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=4096 call=map caller=foo_skip+0x34/0x120 [foo]
            ping-44      [000] d..1.    12.343000: owner: B slice="device FROM_DEVICE 4096 B" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=4096 call=sync_for_device caller=foo_skip+0x34/0x120 [foo]
            ping-44      [000] d..1.    12.344000: owner: E slice="device FROM_DEVICE 4096 B" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=4096 call=sync_for_cpu caller=foo_skip+0x34/0x120 [foo]
            ping-44      [000] d..1.    12.345000: owner: I slice="unmap" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=4096 call=unmap caller=foo_skip+0x34/0x120 [foo]
            ping-44      [000] d..1.    12.350000: owner: B slice="device TO_DEVICE 60 B" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=60 call=map caller=foo_xmit+0x34/0x120 [foo]
            ping-44      [000] d..1.    12.350001: owner: B slice="device TO_DEVICE 60 B" $R=8 dma=0x6791800 phys=0x6791800 first=0 len=60 call=map caller=foo_xmit+0x34/0x120 [foo]
            ping-44      [000] d..1.    12.350002: report: I slice="overlapping-mapping in foo_xmit+0x34/0x120 [foo]" $R=8 dma=0x6791800 phys=0x6791800 first=0 len=60 caller=foo_xmit+0x34/0x120 [foo]
            ping-44      [000] d..1.    12.350003: owner: E slice="device TO_DEVICE 60 B" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=60 call=unmap caller=foo_clean+0x34/0x120 [foo]
            ping-44      [000] d..1.    12.350003: owner: B slice="device TO_DEVICE 60 B" $R=7 dma=0x6791800 phys=0x6791800 first=0 len=60 call=map caller=foo_xmit+0x34/0x120 [foo]
            ping-44      [000] d..1.    12.350004: report: I slice="never-mapped in foo_xmit+0x34/0x120 [foo]" track="0000:00:03.0" mapping=0 dma=0x0 phys=0x0 first=0 len=0 caller=foo_xmit+0x34/0x120 [foo]
END

check "ours: a page" drawn ours
check "ours: each report" page_is ours 3 '<section '
check "ours: a picture of each, and a line in the list" page_is ours 6 'class="picture"|href="#r[1-3]"'
check "ours: no overlap" pictures_are_right ours
# Whole, without 64 to 575, whole, and twice without 512 to 1535.
check "ours: who owned what" [ "$(sed -n '/id="r1"/,/<pre>/p' "$tmp/ours.html" |
	grep -oE 'class="(device|cpu|unknown)"' | tr -d '\n')" = "$(printf 'class="%s"' \
	device device cpu device device device cpu device device cpu device)" ]
check "ours: the calls" picture ours 1 '>sync_for_cpu, bytes 512–1535<'
check "ours: who called" picture ours 1 '>foo_rx_alloc \[foo\]<'
check "ours: the fault" picture ours 1 'class="fault".*about bytes 2048–2055<'
check "ours: in words" picture ours 1 'When this was found, the device owned dma 0x6791800 \(last call 5 µs before\)'
check "ours: the text" picture ours 1 '^ foo_parse\+0x34/0x120 \[foo\]'
check "ours: nothing that runs or is fetched" page_is ours 0 '<script|https?:|<link|<img|@import'
check "ours: escaped" picture ours 1 'by task &lt;script&gt;/12'
check "ours: both mappings of one time, and the one before" picture ours 2 \
	'still mapped when.*dma 0x6791800, 4096 bytes'
check "ours: one that the CPU owned at first and at last" picture ours 2 \
	'class="cpu"[^>]*><rect class="device"[^>]*><rect class="cpu".*>foo_skip \[foo\]<'
check "ours: the end of a slice is no call" lacks '3584|3072|>sync_for_cpu, bytes 0' "$tmp/ours.html"
check "ours: no mapping" picture ours 3 'names no bytes that have an address for the device'
check "ours: what was lost" page_is ours 1 '<li>15 events that were lost'
check "ours: the text that is missing" page_is ours 1 '<li>The text of some reports'
check "ours: the JSON nests" slices_nest ours 2
check "ours: the counter" grep -q '"ph": "C".*"bytes": 4096' "$tmp/ours.json"

# As trace-cmd report prints it: no flags, names padded; and without quotation marks,
# or the sizes of functions.
sed -E 's/"//g; /owner: /s|/0x120||; s/(\[00[01]\]) d\.\.1\. +/\1    /; s/: console: /: console:              /
	s/: (owner|report): ([BEI])/: \1:                \2/; s/: device_owned: /: device_owned:         /
	s/^CPU:1 \[LOST 3 EVENTS\]/CPU:1 [3 EVENTS DROPPED]/; 1,2d' "$tmp/ours.trace" >"$tmp/cmd.trace"
check "trace-cmd: a page" drawn cmd
check "trace-cmd: the same" cmp <(sed 's/ours\.trace/cmd.trace/' "$tmp/ours.html") "$tmp/cmd.html"
check "trace-cmd: the same JSON" cmp <(sed 's|/0x120||' "$tmp/ours.json") <(sed 's|/0x120||' "$tmp/cmd.json")

# A buffer of another CPU that is late.
awk 'NR == 6 { late = $0; next } { print } NR == 20 { print late }' "$tmp/ours.trace" >"$tmp/late.trace"
check "out of order: a page" drawn late
check "out of order: the same" cmp <(sed 's/ours\.trace/late.trace/' "$tmp/ours.html") "$tmp/late.html"

# The kernel's events: a part, a list, a mapping from before the trace, one that is made after its
# report, a report after the end of the trace, which is in the log only.
cat >"$tmp/stock.trace" <<'END'
              sh-1       [000] .....     1.000000: dma_sync_single_for_cpu: 0000:00:01.0 dir=FROM_DEVICE dma_addr=1000 size=64
              sh-1       [000] .....     1.100000: dma_map_page: 0000:00:01.0 dir=FROM_DEVICE dma_addr=8000 size=1024 phys_addr=8000 attrs=
              sh-1       [000] .....     1.100010: dma_sync_single_for_cpu: 0000:00:01.0 dir=FROM_DEVICE dma_addr=8100 size=256
              sh-1       [000] .....     1.100020: console: BUG: DMA_OWNER: shared-line-write in foo+0x1/0x2 [foo]
              sh-1       [000] .....     1.100020: console: Write of size 4 at ffff888000008404 by task sh/1 on cpu 0
              sh-1       [000] .....     1.100020: console: Device foo 0000:00:01.0 owns 1024 bytes, DMA_FROM_DEVICE
              sh-1       [000] .....     1.100020: console:  [ffff888000008000, ffff888000008400), dma 0x8000
              sh-1       [000] .....     1.100020: console: ==================================================================
              sh-1       [000] .....     1.200000: dma_unmap_page: 0000:00:01.0 dir=FROM_DEVICE dma_addr=8000 size=1024 attrs=
              sh-1       [000] .....     1.300000: dma_map_sg: 0000:00:01.0 dir=TO_DEVICE nents=2/2 ents=2/2 dma_addrs={0xf000,0xe000} sizes={0x200,0x100} phys_addrs={0xf000,0xe000} attrs=
              sh-1       [000] .....     1.310000: console: BUG: DMA_OWNER: free-while-mapped in bar+0x1/0x2 [foo]
              sh-1       [000] .....     1.310000: console: Device foo 0000:00:01.0 owns 256 bytes, DMA_TO_DEVICE
              sh-1       [000] .....     1.310000: console:  [ffff88800000e000, ffff88800000e100), dma 0xe000
              sh-1       [000] .....     1.310000: console: ==================================================================
              sh-1       [000] .....     1.320000: dma_unmap_sg: 0000:00:01.0 dir=TO_DEVICE phys_addrs={0xf000,0xe000} attrs=
              sh-1       [000] .....     1.330000: console: BUG: DMA_OWNER: stack-buffer in baz+0x1/0x2 [foo]
              sh-1       [000] .....     1.330000: console: Device foo 0000:00:01.0 maps 32 bytes, DMA_TO_DEVICE
              sh-1       [000] .....     1.330000: console:  [ffff88800000e000, ffff88800000e020), dma 0xe000
              sh-1       [000] .....     1.330000: console: ==================================================================
           other-2       [000] .....     1.330005: dma_map_page: 0000:00:01.0 dir=TO_DEVICE dma_addr=e000 size=16 phys_addr=e000 attrs=
              sh-1       [000] .....     1.350010: dma_map_page: 0000:00:01.0 dir=TO_DEVICE dma_addr=e000 size=32 phys_addr=e000 attrs=
END
cat >"$tmp/stock.log" <<'END'
[    1.310000] BUG: DMA_OWNER: free-while-mapped in bar+0x1/0x2 [foo]
[    1.310000] ==================================================================
[    2.500000][  T300] BUG: DMA_OWNER: owned-at-shutdown in quux+0x1/0x2 [foo]
[    2.500000][  T300] 1 mapping of 64 bytes, DMA_FROM_DEVICE
[    2.500000][  T300]  [ffff888000001000, ffff888000001040), dma 0x1000
[    2.500000][  T300] ==================================================================
END
check "stock: a page" drawn stock --log "$tmp/stock.log"
check "stock: each report, of the trace and of the log" page_is stock 4 '<section '
check "stock: no overlap" pictures_are_right stock
check "stock: a part" picture stock 1 '>dma_sync_single_for_cpu, bytes 256–511<'
check "stock: bytes beside the buffer" picture stock 1 'the report is about 4 bytes after its end<'
check "stock: an entry of a list, until its unmap" picture stock 2 'dma 0xe000, 256 bytes, TO_DEVICE.*>dma_unmap_sg<'
check "stock: and no other" lacks 'dma 0xf000' <(sed -n '/id="r2"/,/<pre>/p' "$tmp/stock.html")
check "stock: a mapping that comes after its report" picture stock 3 'found by the call that mapped'
check "stock: which has a bar" picture stock 3 ', 32 bytes, TO_DEVICE.*>dma_map_page<'
check "stock: not another task's" page_is stock 0 ', 16 bytes'
check "stock: one from before the trace" picture stock 4 'dma 0x1000, 64 bytes, FROM_DEVICE, mapped before the trace began'
check "stock: says that it cannot know" page_is stock 1 '<li>When 1 mappings were made, and how large'
check "stock: nor who called" page_is stock 1 '<li>Which function made a call'
check "stock: the JSON nests" slices_nest stock 3

check "no such file" says 1 'No such file' "$tmp/none" "$tmp/bad.html"
check "a directory" says 1 'Is a directory' "$tmp" "$tmp/bad.html"
: >"$tmp/empty"
check "an empty file" says 1 'no events' "$tmp/empty" "$tmp/bad.html"
head -c 65536 /dev/urandom >"$tmp/random"
check "any bytes" says 1 'no events' "$tmp/random" "$tmp/bad.html"
printf '\x17\x08Dtracing6\0\0' >"$tmp/trace.dat"
check "a binary trace" says 1 'trace-cmd report' "$tmp/trace.dat" "$tmp/bad.html"
check "a page that cannot be written" says 1 'bad.html' "$tmp/ours.trace" "$tmp/none/bad.html"
check "one argument" says 2 'see timeline --help' "$tmp/ours.trace"
check "no page was left by those" [ ! -e "$tmp/bad.html" ]
# In the middle of a line, and lines that are not what they seem.
head -c 2500 "$tmp/ours.trace" >"$tmp/cut.trace"
sed 's/first=[0-9]* //; s/dma_addr=[0-9a-f]*/dma_addr=/; s/size=[0-9]*/size=/' "$tmp/ours.trace" \
	"$tmp/stock.trace" >"$tmp/odd.trace"
check "a trace that is cut off" drawn cut
check "fields that are missing" drawn odd

# What trace-cmd records in a guest, on this machine's processor.
if [ "$(dpkg --print-architecture)" != "$(case $arch in x86_64) echo amd64 ;; *) echo "$arch" ;; esac)" ]; then
	skip "trace-cmd is for this machine's processor only"
	return
fi
need_packages trace-cmd
mkdir -p "$tmp/tree/bin"
cp /usr/bin/trace-cmd "$tmp/tree/bin"
while read -r library; do
	mkdir -p "$tmp/tree${library%/*}"
	cp -L "$library" "$tmp/tree$library"
done < <(ldd /usr/bin/trace-cmd | grep -o '/[^ ]*')
# What is wrong is what any kernel sees.
check "trace-cmd records" vm "$build" --tree "$tmp/tree" --ko "$tool_ko" --ko "$edu_ko" \
	--qemu -device --qemu edu,dma_mask=0xffffffff --timeout 180 -- \
	'mount -t tracefs none /sys/kernel/tracing' \
	'insmod /ko/dma-owner-debug.ko' 'insmod /ko/dma_owner_debug_edu.ko mask_bits=32' \
	'events=dma' \
	'[ ! -e /sys/kernel/tracing/events/dma_owner ] || events=dma_owner' \
	'[ -e /sys/kernel/tracing/events/$events ] || { echo "demo: no events"; exit; }' \
	'trace-cmd record -e $events -e printk:console -o /tmp/dat sh -c "
		for f in /sys/kernel/debug/dma_owner_debug_edu/*/run; do echo stack-buffer >\$f; done" >/tmp/log 2>&1 ||
		{ cat /tmp/log; exit 1; }' \
	'trace-cmd report /tmp/dat >/tmp/report' 'cat /tmp/report >/dev/out'
if grep -q 'demo: no events' "$console"; then
	skip "this kernel has no events of the DMA API"
	return
fi
cp "$out" "$tmp/recorded.trace"
check "trace-cmd lists: a page" drawn recorded
check "trace-cmd lists: the report" page_is recorded 1 '<section '
check "trace-cmd lists: the buffer on the stack, from its map to its unmap" picture recorded 1 \
	', 32 bytes, TO_DEVICE.*>([a-z_]*)unmap[a-z_]*<.*>([a-z_]*)map[a-z_]*<'
check "trace-cmd lists: no overlap" pictures_are_right recorded
check "trace-cmd lists: the text of the report" picture recorded 1 '^Hint: '
