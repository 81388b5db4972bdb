#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What scripts/profile/plugin.c has counted, in instructions.

Usage: profile.py [--functions] RESULTS COUNTS SYSTEM.MAP

RESULTS is of guest/bench.sh, and says what the sections of COUNTS are. Prints, for each
case and configuration, a line for bench.py, of the median section of those without a tick
of the timer:

    counted CONFIG CASE INSTRUCTIONS OF-THE-TOOL

or, with --functions, what each function takes in it, without the tool and with.
"""

import bisect
import collections
import itertools
import sys

TOOL = "dma_owner_debug"
TICK = "update_process_times"


def die(text):
    sys.exit(f"profile: {text}")


class Symbols:
    """Where functions begin, the kernel's and those of modules."""

    def __init__(self, kernel, modules):
        self.symbols = sorted(itertools.chain(kernel, modules))
        self.starts = [start for start, *_ in self.symbols]

    def at(self, address):
        """(module, function)"""
        i = bisect.bisect(self.starts, address)
        return self.symbols[i - 1][1:] if i else ("", "?")


def read_system_map(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            address, kind, name = line.split()
            if kind in "tTwW":
                yield int(address, 16), "", name


def read_sections(path):
    """Of each: {address: count}, with None for user space."""
    counts = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            where, *count = line.split()
            if where == "end":
                yield counts
                counts = {}
            else:
                counts[None if where == "user" else int(where, 16)] = int(*count)


def median(sections, tick):
    """Of those without a tick, which comes by the time and not by the work; if there are any."""
    quiet = [s for s in sections if tick not in s] or sections
    return sorted(quiet, key=lambda s: sum(s.values()))[len(quiet) // 2]


def by_function(counts, symbols, runs):
    functions = collections.Counter()
    for address, count in counts.items():
        functions[symbols.at(address) if address else ("", "(user space)")] += count / runs
    return functions


def read(results, counts, system_map):
    """Yields (config, case, {(module, function): instructions}) of the median sections."""
    kernel, modules = list(read_system_map(system_map)), []
    tick = next(start for start, _, name in kernel if name == TICK)
    sections = read_sections(counts)
    with open(results, encoding="utf-8") as f:
        for line in f:
            kind, *fields = line.split()
            if kind == "modules":
                modules = []
            elif kind == "symbol":
                address, name, module = fields
                modules.append((int(address, 16), module, name))
            elif kind == "sections":
                config, case, number, runs = fields
                mine = list(itertools.islice(sections, int(number)))
                if len(mine) != int(number):
                    die(f"{counts} ends before {case}")
                symbols = Symbols(kernel, modules)
                yield config, case, by_function(median(mine, tick), symbols, int(runs))


def show_functions(case, without, with_tool, config):
    names = sorted(set(without) | set(with_tool),
                   key=lambda name: (without[name] - with_tool[name], name))
    print(f"{case}: instructions a run, without the tool and with it ({config})\n")
    print(f"{'without':>10}{'with':>10}{'more':>10}")
    rows = [("total", sum(without.values()), sum(with_tool.values())),
            ("the tool itself", 0, tool_part(with_tool))]
    for module, function in names:
        key = module, function
        if max(without[key], with_tool[key]) >= 0.5:
            where = f" [{module}]" if module else ""
            rows.append((function + where, without[key], with_tool[key]))
    for name, before, after in rows:
        print(f"{before:10,.1f}{after:10,.1f}{after - before:+10,.1f}  {name}")


def tool_part(functions):
    return sum(n for (module, _), n in functions.items() if module == TOOL)


def main():
    args = sys.argv[1:]
    functions = args[:1] == ["--functions"]
    if functions:
        args = args[1:]
    if len(args) != 3:
        print(__doc__)
        sys.exit(0 if "--help" in args else 2)
    try:
        found = list(read(*args))
    except (OSError, TypeError, ValueError) as e:
        die(e)
    if functions:
        (_, case, without), (config, _, with_tool) = found
        show_functions(case, without, with_tool, config)
        return
    for config, case, table in found:
        print("counted", config, case, round(sum(table.values())), round(tool_part(table)))


main()
