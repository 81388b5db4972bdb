#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: parsers.py LOG PARSERS.MD

What parsers of kernel logs keep of the reports in LOG, with patterns equivalent to theirs: as
they are, and with the lines that PARSERS.MD has for them. Prints the table in usage.rst.
"""

import collections
import pathlib
import re
import sys

STAMP = r"\[[\s.\d]+\]"
FRAME = re.compile(rf"{STAMP}  (\S+)\+0x[0-9a-f]+/0x")
# What a parser makes of a report: its title, the text it keeps, what it tells reports apart by,
# and the call trace if it has one apart from the text.
Found = collections.namedtuple("Found", "title body signature trace", defaults=[None])


def blocks(text):
    """The code in PARSERS.MD, by parser."""
    return {m[1].lower(): re.findall(r"```\w+\n(.*?)```", m[2], re.S)
            for m in re.finditer(r"^## (\w+).*?\n(.*?)(?=^## |\Z)", text, re.S | re.M)}


def lava(log, lines):
    """The first start that matches; then all until its end. Serial consoles end lines with CR LF."""
    rules = [(r"-\[ cut here \]", r"-\[ end trace \w* \][^\n]*\r"), (r"BUG: KCSAN:", r"=+\r"),
             (r"BUG: KASAN:", r"=+\r"), (r"BUG: KFENCE:", r"=+\r"), (r"WARNING:", r"end trace[^\r]*\r"),
             (r"BUG:", r"\r")]
    if lines:
        rule = eval(lines[0].strip().rstrip(","))
        rules.insert(-1, (rule["start"], rule["end"]))
    text, pos = log.replace("\n", "\r\n"), 0
    while starts := [(m.start(), i, m) for i, (start, _) in enumerate(rules)
                     if (m := re.compile(start).search(text, pos))]:
        _, i, start = min(starts, key=lambda s: s[:2])
        end = re.compile(rules[i][1]).search(text, start.end())
        body = text[text.rfind("\n", 0, start.start()) + 1:end.end() - 1].replace("\r", "")
        yield Found(re.sub(rf"^{STAMP} ", "", body.split("\n")[0]), body, None)
        pos = end.end()


def squad(log, lines):
    """One alternation of all rules over the whole log; the name is cut off at a plus sign."""
    bar = rf"{STAMP}\s+=+"
    rules = [(kind, rf"{bar}\n{STAMP}\s+BUG: {kind}:.*{'?' if lines else ''}\n{bar}", rf"BUG: {kind}:[^+\n]*")
             for kind in ("KASAN", "KFENCE")]
    rules.append(("bug", r"^[^\n]+(?: kernel BUG at|BUG:).*?$", r"BUG[^+\n]*"))
    if lines:
        rules.insert(0, eval(lines[0].strip().rstrip(",")))
    for m in re.finditer("|".join(f"({rule[1]})" for rule in rules), log, re.S | re.M):
        rule = rules[m.lastindex - 1]
        name = re.search(rule[2], m[0])[0].strip()
        name = f"{rule[0]}-" + re.sub(r"[^\w]+", "-", re.sub(r"\d", "", name)).strip("-").lower()
        yield Found(name, m[0], name)


class Error:
    """Stands for logspec's."""

    def __init__(self):
        self.error_summary, self._report = "", ""


def logspec(log, lines):
    """A report is a title, unless it has an end; its call trace, all frames that follow."""
    known = {"re": re, "Error": Error, "LINUX_TIMESTAMP": STAMP}
    bug = rf"{STAMP} (?:kernel )?BUG"
    if lines:
        exec(lines[0], known)
        bug = rf"{known['DmaOwnerError'].start_marker_regex}|{bug}"
    pos = 0
    while start := re.compile(bug).search(log, pos):
        if "DMA_OWNER" in start[0]:
            error = known["DmaOwnerError"]()
            pos = start.start() + error._parse(log[start.start():])
            trace, body = error.call_trace, error._report
            summary = error.error_summary
        else:
            pos = log.index("\n", start.end())
            summary = body = log[start.start():pos].split("BUG: ")[1]
            trace = re.findall(rf"{STAMP}  (\S.*)", log[pos:])
        yield Found(summary, body, summary, "".join(f"[0]  {frame}\n" for frame in trace))


def syzkaller(log, lines):
    """The report goes on to the end of the log; the title is a format's, or the line from BUG: on."""
    func = r"([a-zA-Z0-9_]+)(?:\.|\+)"
    for start in re.finditer(rf"{STAMP} BUG:", log):
        text = log[start.start():]
        title = text[text.index("BUG:"):text.index("\n")]
        if lines:
            pattern = re.search(r'report:\s+compile\("(.*)"\)', lines[0])[1]
            pattern = pattern.replace("\\\\", "\\").replace("{{FUNC}}", func)
            form = re.search(r'fmt:\s+"(.*)"', lines[0])[1]
            if m := re.match(pattern, title):
                title = form.replace("%[1]v", m[1]).replace("%[2]v", m[2])
        title = re.sub(r"([a-zA-Z][\w.]+)\+0x[0-9a-z]+/0x[0-9a-z]+", r"\1", title)[:120]
        yield Found(title, text, title)


def abrt(log, lines):
    """From the title to the end of the first call trace, as it sees one; the signature is of its frames."""
    oops = None
    for line in log.splitlines() + [""]:
        text = re.sub(rf"^{STAMP} ?", "", line)
        frame = text.strip().startswith("[<") or "Comm:" in text or "Hardware name:" in text or \
            bool(lines and "+0x" in text and "/0x" in text)
        if oops and (not frame or "BUG:" in text if in_trace else len(oops) > 40):
            body = "\n".join(f"[0] {kept}" for kept in (oops if in_trace else oops[:1]))
            yield Found(oops[0], body, tuple(frames(body)[:6]) or None)
            oops = None
        elif oops:
            oops.append(text)
            in_trace = in_trace or "call trace:" in text.lower()
        if not oops and "BUG:" in text:
            oops, in_trace = [text], False


def other_build(log):
    """The same log of another boot and another build."""
    log = re.sub(r"\+0x[0-9a-f]+/0x[0-9a-f]+", "+0x7e/0x1230", log)
    log = re.sub(r"ffff8880\w{8}", "ffff888012345678", log)
    return re.sub(r"^\[ *\d+\.\d+\]", "[  777.000001]", log, flags=re.M)


def stripped(text):
    return [line for line in (re.sub(rf"^{STAMP} ?", "", line).strip() for line in text.splitlines()) if line]


def frames(text):
    """The functions of all lines that are frames."""
    return [m[1] for line in text.splitlines() if (m := FRAME.match(re.sub(rf"^({STAMP}) +", r"\1  ", line)))]


def row(parser, log, lines):
    """How many reports have their title, their first stack, all of their lines, nothing of what comes
    after them; and whether what tells them apart is the same on another boot and build."""
    found, again = list(parser(log, lines)), list(parser(other_build(log), lines))
    titles, stacks, whole, alone, stable, n = [], 0, 0, 0, [], 0
    for report in re.finditer(rf"^{STAMP} BUG: DMA_OWNER: \S+ in (\w+)\+.*?(?=^{STAMP} =+$)", log, re.S | re.M):
        n += 1
        stack = frames(re.search(r"Call Trace:\n((?:.*\+0x.*\n)+)", report[0])[1])
        it, other = (next((f for f in fs if report[1] in f.title), None) for fs in (found, again))
        if it:
            titles.append(it.title)
            stacks += frames(it.trace or it.body)[:len(stack)] == stack
            lines_of, kept = set(stripped(report[0])), set(stripped(it.body))
            whole += lines_of <= kept
            alone += all(line in report[0] or not line.strip("=") for line in kept | set(stripped(it.trace or "")))
            stable.append(it.signature and it.signature == other.signature)
    return [f"{len(titles)} of {n}", f"{stacks} of {n}", f"{whole} of {n}", f"{alone} of {n}",
            "none" if None in stable else "yes" if all(stable) else "no", f"``{titles[0]}``"]


def main():
    log = pathlib.Path(sys.argv[1]).read_text()
    code = blocks(pathlib.Path(sys.argv[2]).read_text())
    table = [["Parser", "Titles", "First stacks", "Whole", "Alone", "Stable", "Title of the first"]]
    for name, parser in (("LAVA", lava), ("SQUAD", squad), ("logspec", logspec), ("syzkaller", syzkaller), ("ABRT", abrt)):
        table.append([name] + row(parser, log, None))
        table.append([f"{name}, told"] + row(parser, log, code[name.lower()]))
    widths = [max(map(len, column)) for column in zip(*table)]
    rule = "  ".join("=" * width for width in widths)
    text = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in table]
    print("\n".join([rule, text[0], rule, *text[1:], rule]))


main()
