#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What scripts/bench has measured, as tables, as JSON and as a chart.

Usage: bench.py [--check] RESULTS JSON SVG

RESULTS has a line for each figure, as guest/bench.sh wrote them. With --check the
exit status is 1 if a target is missed.
"""

import collections
import json
import statistics
import sys
from xml.sax.saxutils import escape

CASES = {
    "pair_64_to": "64 B, to device",
    "pair_64_from": "64 B, from device",
    "pair_2k_to": "2 KiB, to device",
    "pair_2k_from": "2 KiB, from device",
    "pair_64k_to": "64 KiB, to device",
    "pair_64k_from": "64 KiB, from device",
    "sg16_to": "sg 16 x 4 KiB, to device",
    "sg16_from": "sg 16 x 4 KiB, from device",
    "sync_256_to": "sync 256 B, to device",
    "sync_256_from": "sync 256 B, from device",
    "ring_16": "write of 16 B to a mapped ring, and its sync",
    "read": "allowed read",
    "kfree": "kfree, never mapped",
    "page_free": "page free, never mapped",
}
CONFIGS = {
    "guard": "guard only",
    "all": "everything on",
    "lines": "noncoherent=64",
}
WORKLOADS = {
    "threads_1": "map and unmap, 1 CPU",
    "threads_2": "map and unmap, 2 CPUs",
    "nvme_read_64k": "nvme, read 64 KiB",
    "nvme_write_64k": "nvme, write 64 KiB",
    "nvme_read_4k": "nvme, read 4 KiB",
    "nvme_write_4k": "nvme, write 4 KiB",
    "e1000e": "e1000e, download",
    "virtio_net": "virtio-net, download",
}
# What QEMU's plugin counts: requests to drivers, and what takes less than the clock can tell.
REQUESTS = {
    "nvme_read_4k": "nvme, read 4 KiB",
    "nvme_write_4k": "nvme, write 4 KiB",
    "nvme_read_64k": "nvme, read 64 KiB in one piece",
    "nvme_write_64k": "nvme, write 64 KiB in one piece",
    "nvme_read_64k_sg": "nvme, read 64 KiB in 16 pages",
    "nvme_write_64k_sg": "nvme, write 64 KiB in 16 pages",
    "e1000e": "e1000e, download of 1 MiB",
    "kfree": "kfree, never mapped",
    "page_free": "page free, never mapped",
}
PAIRS_64 = ("pair_64_to", "pair_64_from")
PAIRS_2K = ("pair_2k_to", "pair_2k_from")
SYNCS = ("sync_256_to", "sync_256_from")
LISTS = ("sg16_to", "sg16_from")
MANY = 100000


def die(text):
    sys.exit(f"bench: {text}")


class Results:
    """The figures, by what they are of."""

    def __init__(self, path):
        self.kernel = self.release = ""
        self.clocksource = None
        self.cases = {}  # (dma-debug, config, live, case): instructions
        self.yardstick = {}  # (dma-debug, config, direction): (map, unmap)
        self.banner = {}  # config: what the tool said at load
        self.gone = {}  # config: bytes for MANY live
        self.zero = {}  # entries of the zero page that are live: instructions for 64 more
        self.untracked = {}  # when: how many mappings had no record, or no content
        self.counted = {}  # (config, case): (instructions, of which the tool's own)
        self.wall = collections.defaultdict(dict)  # (workload, config): {pair: rate}
        try:
            with open(path, encoding="utf-8") as f:
                for line in f:
                    self.add(*line.split())
        except (OSError, TypeError, ValueError, AttributeError) as e:
            die(f"{path}: {e}")

    def add(self, kind, *fields):
        getattr(self, "add_" + kind)(*fields)

    def add_kernel(self, name, release):
        self.kernel, self.release = name, release

    def add_clocksource(self, name):
        self.clocksource = name

    def add_banner(self, config, *words):
        self.banner[config] = " ".join(words)

    def add_case(self, dma_debug, config, live, case, value):
        self.cases[dma_debug, config, int(live), case] = int(value)

    def add_yardstick(self, dma_debug, config, direction, *microseconds):
        self.yardstick[dma_debug, config, {"1": "to", "2": "from"}[direction]] = tuple(
            round(float(us) * 1000) for us in microseconds)

    def add_zero(self, live, value):
        self.zero[int(live)] = int(value)

    def add_memory(self, config, kib):
        self.gone[config] = int(kib) * 1024

    def add_untracked(self, when, records, contents):
        self.untracked[when] = {"records": int(records), "contents": int(contents)}

    def add_counted(self, config, case, *instructions):
        self.counted[config, case] = tuple(map(int, instructions))

    def add_wall(self, pair, config, workload, rate):
        self.wall[workload, config][int(pair)] = int(rate)

    def lives(self):
        return sorted({live for _, _, live, _ in self.cases})

    def on_top(self, config, live, case, dma_debug="off"):
        """Of what the call costs without the tool; None if it was not measured."""
        with_tool = self.cases.get((dma_debug, config, live, case))
        without = self.cases.get((dma_debug, "out", live, case))
        return None if with_tool is None or without is None else with_tool - without

    def share(self, feature, cases):
        """The most that a part of everything on adds to one of the cases."""
        with_it, without = (
            [self.cases.get(("off", config, 1, case)) for case in cases]
            for config in ("all", "no_" + feature))
        if None in with_it + without:
            return None
        return max(a - b for a, b in zip(with_it, without))

    def worst(self, configs, cases):
        """The most that is on top of one of the cases, with whatever else is live."""
        found = [self.on_top(config, live, case)
                 for config in configs for live in self.lives() for case in cases]
        found = [value for value in found if value is not None]
        return max(found) if found else None

    def of_dma_debug(self, cases):
        """With everything on, in terms of what dma-debug puts on top; the worst case."""
        found = [(self.on_top("all", live, case), self.cases.get(("on", "out", live, case)),
                  self.cases.get(("off", "out", live, case)))
                 for live in self.lives() for case in cases]
        found = [ours / (on - off) for ours, on, off in found if None not in (ours, on, off)]
        return max(found) if found else None

    def request(self, *cases):
        """Instructions with the tool, in terms of those without; the worst case."""
        found = [self.counted["in", case][0] / self.counted["out", case][0] for case in cases
                 if ("in", case) in self.counted and ("out", case) in self.counted]
        return max(found) if found else None

    def own(self, case):
        """Instructions of the tool's own functions."""
        return self.counted["in", case][1] if ("in", case) in self.counted else None

    def growth(self, config, cases):
        """Of what is on top: with MANY live, in terms of with one; the worst case."""
        found = [(self.on_top(config, MANY, case), self.on_top(config, 1, case))
                 for case in cases]
        found = [many / one for many, one in found if many is not None and one]
        return max(found) if found else None

    def ratios(self, above, below):
        """Of two (workload, config), pair by pair."""
        above, below = self.wall.get(above, {}), self.wall.get(below, {})
        return [above[pair] / below[pair] for pair in sorted(above) if below.get(pair)]

    def median(self, above, below):
        ratios = self.ratios(above, below)
        return statistics.median(ratios) if ratios else None

    def throughput(self, workload):
        return self.median((workload, "in"), (workload, "out"))

    def bytes_per_mapping(self, config):
        """From the memory that is gone, less that without the tool."""
        if config not in self.gone or "out" not in self.gone:
            return None
        return (self.gone[config] - self.gone["out"]) / MANY

    def lost(self, *whens):
        """The most mappings that went without a record, when it begins like this."""
        found = [n["records"] for when, n in self.untracked.items() if when.startswith(whens)]
        return max(found) if found else None

    def record_size(self):
        for banner in self.banner.values():
            words = banner.split()
            return int(words[words.index("of") + 1])
        return None


# What issues 7 and 15 ask for: name, unit, how to judge, limit, figure. Instructions are on
# top of those without the tool, with the worst number of live mappings and, where none is
# named, in the worse direction. Requests and throughput are with everything on but the profile,
# in terms of those without the tool.
AT_MOST, AT_LEAST = "at most", "at least"
TARGETS = (
    ("guard only, map and unmap 64 B", "instructions", AT_MOST, 2200,
     lambda r: r.worst(["guard"], PAIRS_64)),
    ("guard only, map and unmap 2 KiB", "instructions", AT_MOST, 2500,
     lambda r: r.worst(["guard"], PAIRS_2K)),
    ("guard only, sync pair of 256 B", "instructions", AT_MOST, 1800,
     lambda r: r.worst(["guard"], SYNCS)),
    ("everything on, map and unmap 64 B", "instructions", AT_MOST, 10000,
     lambda r: r.worst(["all"], PAIRS_64)),
    ("everything on, 2 KiB to the device", "instructions", AT_MOST, 4500,
     lambda r: r.worst(["all"], ["pair_2k_to"])),
    ("everything on, 2 KiB from the device", "instructions", AT_MOST, 3300,
     lambda r: r.worst(["all"], ["pair_2k_from"])),
    ("everything on, 64 KiB to the device", "instructions", AT_MOST, 15000,
     lambda r: r.worst(["all"], ["pair_64k_to"])),
    ("everything on, 64 KiB from the device", "instructions", AT_MOST, 11000,
     lambda r: r.worst(["all"], ["pair_64k_from"])),
    ("everything on, list of 16 x 4 KiB to the device", "instructions", AT_MOST, 70000,
     lambda r: r.worst(["all"], ["sg16_to"])),
    ("everything on, list of 16 x 4 KiB from the device", "instructions", AT_MOST, 40000,
     lambda r: r.worst(["all"], ["sg16_from"])),
    # dma-debug costs the same at any size: 64 KiB have a limit of their own, above its half.
    ("everything on, in terms of dma-debug, 2 KiB and lists", "times", AT_MOST, 0.5,
     lambda r: r.of_dma_debug(PAIRS_64 + PAIRS_2K + LISTS)),
    ("everything on, sync pair of 256 B", "instructions", AT_MOST, 10000,
     lambda r: r.worst(["all"], SYNCS)),
    ("the same with noncoherent=64, the worst", "instructions", AT_MOST, 10000,
     lambda r: r.worst(["lines"], PAIRS_64 + PAIRS_2K + SYNCS)),
    ("profile, map and unmap", "instructions", AT_MOST, 60,
     lambda r: r.share("profile", PAIRS_64 + PAIRS_2K)),
    ("history, a sync pair: two hand-overs", "instructions", AT_MOST, 120,
     lambda r: r.share("history", SYNCS)),
    ("guard only, 100,000 live in terms of 1", "times", AT_MOST, 1.03,
     lambda r: r.growth("guard", PAIRS_64 + PAIRS_2K + SYNCS + LISTS)),
    ("everything on, 100,000 live in terms of 1", "times", AT_MOST, 1.03,
     lambda r: r.growth("all", PAIRS_64 + PAIRS_2K + SYNCS + LISTS)),
    ("list of 64 zero pages, 8,192 live in terms of 512", "times", AT_MOST, 1.2,
     lambda r: r.zero[8192] / r.zero[512] if len(r.zero) == 2 else None),
    ("allowed read", "instructions", AT_MOST, 900,
     lambda r: r.worst(["guard", "all"], ["read"])),
    ("kfree of memory never mapped, the tool's own part", "instructions", AT_MOST, 20,
     lambda r: r.own("kfree")),
    ("page free of memory never mapped, the same", "instructions", AT_MOST, 20,
     lambda r: r.own("page_free")),
    ("instructions a nvme request, 4 KiB", "times", AT_MOST, 1.05,
     lambda r: r.request("nvme_read_4k", "nvme_write_4k")),
    ("instructions a nvme request, 64 KiB in one piece", "times", AT_MOST, 1.10,
     lambda r: r.request("nvme_read_64k", "nvme_write_64k")),
    ("instructions a nvme request, 64 KiB in 16 pages", "times", AT_MOST, 1.10,
     lambda r: r.request("nvme_read_64k_sg", "nvme_write_64k_sg")),
    ("2 CPUs in terms of 1, neighbouring pages", "times", AT_LEAST, 1.8,
     lambda r: r.median(("threads_2", "in"), ("threads_1", "in"))),
    ("2 CPUs in terms of 1, 2 MiB apart", "times", AT_LEAST, 1.8,
     lambda r: r.median(("threads_2_apart", "in"), ("threads_1", "in"))),
    ("nvme, read 64 KiB", "of without", AT_LEAST, 0.90, lambda r: r.throughput("nvme_read_64k")),
    ("nvme, write 64 KiB", "of without", AT_LEAST, 0.90, lambda r: r.throughput("nvme_write_64k")),
    ("nvme, read 4 KiB", "of without", AT_LEAST, 0.90, lambda r: r.throughput("nvme_read_4k")),
    ("nvme, write 4 KiB", "of without", AT_LEAST, 0.90, lambda r: r.throughput("nvme_write_4k")),
    ("e1000e, download", "of without", AT_LEAST, 0.90, lambda r: r.throughput("e1000e")),
    ("a record, as the tool says at load", "bytes", AT_MOST, 511, lambda r: r.record_size()),
    ("a live mapping, guard only", "bytes", AT_MOST, 511, lambda r: r.bytes_per_mapping("guard")),
    ("a live mapping, everything on", "bytes", AT_MOST, 511, lambda r: r.bytes_per_mapping("all")),
    ("untracked of 100,000, 1 CPU", "mappings", AT_MOST, 0, lambda r: r.lost("guard", "all")),
    ("untracked of 100,000, 2 CPUs", "mappings", AT_MOST, 0, lambda r: r.lost("two_cpus")),
    ("untracked under load", "mappings", AT_MOST, 0, lambda r: r.lost("load_")),
    ("untracked of 100,000, no worker may run", "mappings", AT_MOST, 0,
     lambda r: r.lost("at_once")),
)


def number(value, unit):
    if value is None:
        return "-"
    if unit in ("times", "of without"):
        return f"{value:.3f}"
    return f"{value:,.0f}"


def verdict(value, unit, sense, limit, busy):
    """In words, and whether it is met: None if that cannot be said."""
    if value is None:
        return "not measured", None
    if busy and unit in ("times", "of without") and sense == AT_LEAST:
        return "not judged: the machine is busy", None
    excess = value - limit if sense == AT_MOST else limit - value
    if excess <= 0:
        return "met", True
    return f"MISSED by {number(excess, unit)}", False


def judge(results):
    # Without the tool nothing but the machine keeps the CPUs from each other.
    scale = results.median(("threads_2_apart", "out"), ("threads_1", "out"))
    busy = scale is not None and scale < 1.8
    rows = []
    for name, unit, sense, limit, figure in TARGETS:
        value = figure(results)
        text, met = verdict(value, unit, sense, limit, busy)
        rows.append({"name": name, "unit": unit, "sense": sense, "limit": limit,
                     "value": value, "met": met, "verdict": text})
    return rows


# ---- tables ------------------------------------------------------------------

def table(title, head, rows, words=(0,)):
    """Columns that are words are aligned to the left, others to the right."""
    rows = [head] + rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    print(title)
    for row in rows:
        cells = [cell.ljust(width) if i in words else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        print("  " + "  ".join(cells).rstrip())
    print()


def plus(value):
    return "-" if value is None else f"{value:+,}"


def show_cases(results):
    configs = [c for c in CONFIGS if any(key[1] == c for key in results.cases)]
    rows = []
    for case, name in CASES.items():
        for live in results.lives():
            without = results.cases.get(("off", "out", live, case))
            if without is None:
                continue
            with_debug = results.cases.get(("on", "out", live, case))
            rows.append(
                [name, f"{live:,}", f"{without:,}",
                 plus(None if with_debug is None else with_debug - without)]
                + [plus(results.on_top(config, live, case)) for config in configs]
                + [plus(results.on_top("all", live, case, "on"))])
            name = ""
    if rows:
        table("Instructions for a pair of calls, without, and on top of that, each by itself",
              ["", "live", "without", "dma-debug"] + [CONFIGS[c] for c in configs]
              + ["on dma-debug"], rows)


def show_yardstick(results):
    rows = []
    for (dma_debug, config, direction), (mapped, unmapped) in results.yardstick.items():
        rows.append([f"dma-debug {dma_debug}, {CONFIGS.get(config, 'without')}",
                     f"{direction} device", f"{mapped:,}", f"{unmapped:,}"])
    if rows:
        table("The kernel's dma_map_benchmark, a page, instructions (it has 100 for its unit)",
              ["", "", "map", "unmap"], rows, words=(0, 1))


def show_counted(results):
    rows = []
    for case, name in REQUESTS.items():
        ratio = results.request(case)
        if ratio is not None:
            without, with_tool = (results.counted[config, case][0] for config in ("out", "in"))
            rows.append([name, f"{without:,}", f"{with_tool:,}", f"{ratio:.3f}",
                         f"{results.own(case):,}"])
    if rows:
        table("All instructions of the guest, and those of the tool's functions (dma_debug=off)",
              ["", "without", "with", "ratio", "own"], rows)


def show_wall(results):
    rows = []
    for workload, name in WORKLOADS.items():
        ratios = results.ratios((workload, "in"), (workload, "out"))
        if ratios:
            rows.append([name, f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}",
                         f"{max(ratios):.2f}", str(len(ratios))])
    for config, name in ("out", "without the tool"), ("in", "with it"):
        for workload, where in ("threads_2", ""), ("threads_2_apart", ", 2 MiB apart"):
            ratios = results.ratios((workload, config), ("threads_1", config))
            if ratios:
                rows.append([f"2 CPUs in terms of 1, {name}{where}",
                             f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}",
                             f"{max(ratios):.2f}", str(len(ratios))])
    if rows:
        table("Throughput with the tool in terms of without, in turn (2 CPUs, dma_debug=off)",
              ["", "median", "least", "most", "pairs"], rows)


def show_memory(results):
    rows = []
    for config in CONFIGS:
        value = results.bytes_per_mapping(config)
        if value is None:
            continue
        rows.append([CONFIGS[config], f"{value:,.0f}"])
    if rows:
        table(f"Bytes of memory that are gone for each of {MANY:,} live mappings",
              ["", "bytes"], rows)


def show_targets(rows):
    table("Targets", ["", "limit", "measured", "", "verdict"],
          [[row["name"], f"{row['sense']} {number(row['limit'], row['unit'])}",
            number(row["value"], row["unit"]), row["unit"], row["verdict"]] for row in rows],
          words=(0, 3, 4))


# ---- the chart ---------------------------------------------------------------

COLOURS = {"dma-debug": "#9aa5b1", "guard": "#4477aa", "all": "#228833", "lines": "#ccbb44"}
WIDTH, LEFT, RIGHT = 960, 220, 90


class Chart:
    """Panels of bars, one below the other."""

    def __init__(self, title, subtitle):
        self.parts = []
        self.y = 30
        self.text(20, self.y, title, 18, weight="bold")
        self.y += 20
        self.text(20, self.y, subtitle, 12, colour="#555")
        self.y += 30

    def text(self, x, y, what, size=11, anchor="start", colour="#111", weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
                          f'text-anchor="{anchor}" font-weight="{weight}">{escape(what)}</text>')

    def rect(self, x, y, width, height, colour, hint):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" '
                          f'height="{height}" fill="{colour}"><title>{escape(hint)}</title></rect>')

    def line(self, x, top, bottom, colour, dash=""):
        self.parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" '
                          f'stroke="{colour}" stroke-dasharray="{dash}"/>')

    def panel(self, title, legend, groups, top, limit=None):
        """Groups are (name, [(colour, figure, label)]); the scale ends at @top."""
        scale = (WIDTH - LEFT - RIGHT) / top
        self.text(20, self.y, title, 14, weight="bold")
        x = LEFT
        self.y += 20
        for colour, name in legend:
            self.rect(x, self.y - 9, 10, 10, colour, name)
            self.text(x + 15, self.y, name)
            x += 40 + 7 * len(name)
        self.y += 10
        start = self.y
        for name, bars in groups:
            self.text(LEFT - 8, self.y + 6.5 * len(bars) + 4, name, anchor="end")
            for colour, figure, label in bars:
                width = max(min(figure, top), 0) * scale
                self.rect(LEFT, self.y + 1, width, 11, colour, f"{name}: {label}")
                self.text(LEFT + width + 5, self.y + 10, label, 10, colour="#333")
                self.y += 13
            self.y += 7
        self.line(LEFT, start, self.y, "#111")
        if limit is not None:
            self.line(LEFT + limit * scale, start, self.y, "#cc3311", "4 3")
            self.text(LEFT + limit * scale, self.y + 12, f"target {limit:g}", 10, "middle", "#cc3311")
        self.y += 40

    def write(self, path):
        with open(path, "w", encoding="utf-8") as f:
            f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.y}" '
                    f'viewBox="0 0 {WIDTH} {self.y}" font-family="sans-serif">\n'
                    f'<rect width="{WIDTH}" height="{self.y}" fill="#fff"/>\n')
            f.write("\n".join(self.parts) + "\n</svg>\n")


def instruction_bars(results, live, cases):
    groups = []
    for case in cases:
        bars = []
        without = results.cases.get(("off", "out", live, case))
        with_debug = results.cases.get(("on", "out", live, case))
        if without is not None and with_debug is not None:
            bars.append((COLOURS["dma-debug"], with_debug - without, plus(with_debug - without)))
        for config in CONFIGS:
            value = results.on_top(config, live, case)
            if value is not None:
                bars.append((COLOURS[config], value, plus(value)))
        if bars:
            groups.append((CASES[case], bars))
    return groups


def draw(results, path):
    chart = Chart("What dma_owner_debug costs", f"{results.kernel}, {results.release}, QEMU")
    legend = [(COLOURS["dma-debug"], "the kernel's dma-debug")]
    legend += [(COLOURS[c], "tool, " + name) for c, name in CONFIGS.items()]
    for live in results.lives():
        groups = instruction_bars(results, live, PAIRS_64 + PAIRS_2K + SYNCS)
        # What is longer is cut off, and has its label all the same.
        chart.panel(f"Instructions on top, for a pair of calls, {live:,} live", legend, groups, 30000)
    if results.lives():
        chart.panel("Instructions on top, large mappings", legend,
                    instruction_bars(results, results.lives()[0],
                                     ("pair_64k_to", "pair_64k_from") + LISTS), 200000)
    groups = [(name, [(COLOURS["all"], results.throughput(w), f"{results.throughput(w):.2f}")])
              for w, name in WORKLOADS.items() if results.throughput(w) is not None]
    if groups:
        chart.panel("Throughput with the tool, without it is 1",
                    [(COLOURS["all"], "tool, everything on")], groups, 1.2, 0.90)
    chart.write(path)


def main():
    args = sys.argv[1:]
    check = args[:1] == ["--check"]
    if check:
        args = args[1:]
    if len(args) != 3:
        print(__doc__)
        sys.exit(0 if "--help" in args else 2)
    results = Results(args[0])
    targets = judge(results)

    print(f"{results.kernel}, {results.release}\n")
    show_cases(results)
    show_yardstick(results)
    show_counted(results)
    show_wall(results)
    show_memory(results)
    show_targets(targets)
    missed = sum(row["met"] is False for row in targets)
    print(f"{sum(row['met'] is True for row in targets)} met, {missed} missed, "
          f"{sum(row['met'] is None for row in targets)} not measured or not judged")

    try:
        with open(args[1], "w", encoding="utf-8") as f:
            json.dump({
                "kernel": results.kernel, "release": results.release,
                "clocksource": results.clocksource, "banner": results.banner,
                "instructions": [dict(zip(("dma_debug", "tool", "live", "case"), key), value=value)
                                 for key, value in results.cases.items()],
                "dma_map_benchmark": [
                    dict(zip(("dma_debug", "tool", "direction"), key), map=value[0], unmap=value[1])
                    for key, value in results.yardstick.items()],
                "counted": [dict(zip(("tool", "case"), key), instructions=value[0], own=value[1])
                            for key, value in results.counted.items()],
                "wall": [{"workload": workload, "tool": config, "per_second": list(rates.values())}
                         for (workload, config), rates in results.wall.items()],
                "memory": {"gone": results.gone},
                "untracked": results.untracked,
                "targets": targets,
            }, f, indent=1)
            f.write("\n")
        draw(results, args[2])
    except OSError as e:
        die(e)
    sys.exit(check and missed > 0)


main()
