#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The tool as patches for a kernel tree; "scripts/graft --patch" runs it.

Usage: series.py KERNEL_TREE DIR

Which patches there are, and their texts, is in scripts/series. The kernel tree is
read, not written: the patches are made in a temporary git repository that has only
the files of the tree that they change.
"""

import glob
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOME = "kernel/dma/owner_debug/"
MANUAL = "Documentation/dev-tools/dma_owner_debug.rst"


def die(text):
    sys.exit(f"graft: {text}")


def read(*path):
    try:
        with open(os.path.join(*path), encoding="utf-8") as f:
            return f.read()
    except OSError as e:
        die(e)


def place(name):
    """Where a file of ours is in the kernel."""
    return MANUAL if name.startswith("Documentation/") else HOME + name


def for_kernel(text):
    """Paths as they are there, and without what only concerns us here."""
    text = text.replace("Documentation/dma_owner_debug.rst", MANUAL)
    text = text.replace("kernel-doc:: dma_owner_debug/", "kernel-doc:: " + HOME)
    return re.sub(r"(?ms)^\.\. BEGIN out of tree$.*?^\.\. END out of tree\n\n", "", text)


class Patch:
    """A section of scripts/series."""

    def __init__(self, text):
        head, _, body = text.partition("\n")
        self.names = head.split()
        self.subject, _, self.text = body.strip().partition("\n")
        self.text = self.text.strip()
        for line in [self.subject] + self.text.split("\n"):
            if len(line) > 75:
                die(f"scripts/series: more than 75 characters: {line}")


def sections():
    parts = re.split(r"(?m)^== ", read(TOP, "scripts/series"))[1:]
    cover = Patch(parts.pop(0).removeprefix("cover"))
    left_out = parts.pop().partition("\n")[2].split()
    return cover, [Patch(p) for p in parts], set(left_out)


def our_files():
    found = []
    for pattern in ("*.[ch]", "Kbuild", "kunit/*.[ch]", "kunit/Kbuild", "tools/*.[ch]",
                    "tools/Kbuild", "samples/*.[ch]", "samples/Kbuild", "Documentation/*.rst"):
        found += glob.glob(pattern, root_dir=TOP)
    return {f for f in found if not f.endswith(".mod.c")}


def assign_files(patches, left_out):
    """Each file of ours is in one patch, or left out; anything else is a mistake."""
    rest = our_files() - left_out
    for p in patches:
        p.files = set()
        for name in p.names:
            if name[0] == "@" or name.startswith("Kconfig/"):
                continue
            match = {f for f in glob.glob(name, root_dir=TOP) if f in rest}
            if not match:
                die(f"scripts/series: there is no {name}, or another patch has it")
            p.files |= match
            rest -= match
    if rest:
        die(f"scripts/series: no patch has {' '.join(sorted(rest))}")


def partial_kbuild(name, present):
    """A Kbuild, without what is to be built from files that are not there."""
    here = os.path.dirname(name)
    ours = our_files()
    parts = dict(re.findall(r"(?m)^(\S+)-y := ((?:.*\\\n)*.*)", read(TOP, name)))

    def missing(word):
        if word[:-2] in parts and word.endswith(".o"):
            return all(map(missing, parts[word[:-2]].replace("\\", "").split()))
        if word.endswith(".o"):
            source = os.path.join(here, word[:-2] + ".c")
        elif word.endswith("/"):
            source = os.path.join(here, word, "Kbuild")
        else:
            return False
        return source in ours and source not in present

    def line(text):
        joined = re.sub(r"\s*\\\n\s*", " ", text)
        m = re.match(r"([^#].*? (?:\+=|:=)) (.*)", joined)
        if not m or not any(map(missing, m[2].split())):
            return text
        words = [w for w in m[2].split() if not missing(w)]
        out = m[1]
        for w in words:
            if len(out.rpartition("\n")[2]) + len(w) > 76:
                out += " \\\n\t" + w
            else:
                out += ("" if out.endswith("\t") else " ") + w
        return out if words else None

    paragraphs = []
    for para in read(TOP, name).rstrip("\n").split("\n\n"):
        lines = re.split(r"(?<!\\)\n", para)
        kept = [t for t in map(line, lines) if t is not None]
        if len(kept) == len(lines) or any(t[0] != "#" for t in kept):
            paragraphs.append("\n".join(kept))
    return "\n\n".join(paragraphs) + "\n"


def partial_kconfig(symbols):
    """The entries of these symbols."""
    head, *entries = re.split(r"(?m)^(?=config )", read(TOP, "Kconfig"))
    known = [e.split()[1] for e in entries]
    for s in symbols:
        if s not in known:
            die(f"scripts/series: Kconfig has no {s}")
    return (head + "".join(e for e, s in zip(entries, known) if s in symbols)).rstrip("\n") + "\n"


def change(text, pattern, repl, name):
    new, n = re.subn(pattern, repl, text, count=1)
    if n != 1:
        die(f"{name} of this kernel is not as expected: no place for our line")
    return new


def hook(name, text, author):
    """A file of the kernel, with what leads to us."""
    if name == "kernel/dma/Makefile":
        return change(text, r"(?m)^(obj-\$\(CONFIG_DMA_API_DEBUG\).*\n)",
                      r"\1obj-y\t\t\t\t\t+= owner_debug/\n", name)
    if name == "kernel/dma/Kconfig":
        return change(text, r"(?m)^(?=config DMA_MAP_BENCHMARK)",
                      f'source "{HOME}Kconfig"\n\n', name)
    if name == "Documentation/dev-tools/index.rst":
        return change(text, r"(?m)^(   kfence\n)", r"\1   dma_owner_debug\n", name)
    if name == "MAINTAINERS":
        # The list is where the DMA API's is; the place, alphabetical.
        mail = re.search(r"(?m)^DMA MAPPING HELPERS\n(?:.+\n)*?(L:.*\n)", text)
        entry = (f"DMA OWNER DEBUG\nM:\t{author}\n{mail[1] if mail else ''}S:\tMaintained\n"
                 f"F:\t{MANUAL}\nF:\t{HOME}\n\n")
        return change(text, r"(?s)(.*\nDMA MAPPING [^\n]*\n.*?\n\n)",
                      lambda m: m[1] + entry, name)
    die(f"scripts/series: @{name} is not known")


def main():
    if len(sys.argv) != 3:
        die("usage: series.py KERNEL_TREE DIR")
    tree, out = sys.argv[1], os.path.abspath(sys.argv[2])
    cover, patches, left_out = sections()
    assign_files(patches, left_out)

    who = {}
    for key in ("user.name", "user.email"):
        who[key] = subprocess.run(["git", "-C", TOP, "config", key], check=False,
                                  capture_output=True, text=True).stdout.strip()
        if not who[key]:
            die(f"patches are signed off, and git has no {key}: git config --global {key} ...")
    author = f"{who['user.name']} <{who['user.email']}>"

    if glob.glob(os.path.join(out, "*.patch")):
        die(f"{out} has patches already: remove them first")
    os.makedirs(out, exist_ok=True)

    with tempfile.TemporaryDirectory() as repo:
        def git(*args, **kw):
            config = [f"user.name={who['user.name']}", f"user.email={who['user.email']}",
                      "core.hooksPath=/dev/null", "commit.gpgSign=false",
                      "core.autocrlf=false"]
            args = [a for c in config for a in ("-c", c)] + list(args)
            return subprocess.run(["git", "-C", repo, *args], check=True,
                                  stdout=subprocess.PIPE, text=True, **kw).stdout

        def write(name, text):
            path = os.path.join(repo, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)

        git("init", "-q", "--template=", "-b", "series")
        for p in patches:
            for name in p.names:
                if name[0] == "@":
                    write(name[1:], read(tree, name[1:]))
        git("add", "-A")
        git("commit", "-q", "-m", "kernel")
        base = git("rev-parse", "HEAD").strip()

        present, symbols = set(), []
        for p in patches:
            present |= p.files
            symbols += [n.partition("/")[2] for n in p.names if n.startswith("Kconfig/")]
            for name in p.files:
                if os.path.basename(name) != "Kbuild":
                    write(place(name), for_kernel(read(TOP, name)))
            for name in present:
                if os.path.basename(name) == "Kbuild":
                    write(place(name), partial_kbuild(name, present))
            if symbols:
                write(HOME + "Kconfig", for_kernel(partial_kconfig(symbols)))
            for name in p.names:
                if name[0] == "@":
                    write(name[1:], hook(name[1:], read(repo, name[1:]), author))
            git("add", "-A")
            git("commit", "-q", "-s", "-F", "-", input=f"{p.subject}\n\n{p.text}\n")

        names = git("format-patch", "-q", "--cover-letter", "-o", out, base).split("\n")
        letter = os.path.join(out, "0000-cover-letter.patch")
        text = read(letter).replace("*** SUBJECT HERE ***", cover.subject)
        with open(letter, "w", encoding="utf-8") as f:
            f.write(text.replace("*** BLURB HERE ***", cover.text))
    print("\n".join(n for n in names if n) or "\n".join(sorted(glob.glob(out + "/*.patch"))))


main()
