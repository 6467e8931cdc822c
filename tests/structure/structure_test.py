#!/usr/bin/env python3
"""Holds the seams, the directions of includes, and the sizes. Usage: structure_test.py REPOSITORY. Prints every breach with its place and ends with 1 if there is one."""
import os
import re
import statistics
import subprocess
import sys

FILE_LINES_MAX = 600
FILE_LINES_MEDIAN_MAX = 150
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 160

# What a room may include. The roles never include each other.
BELOW = {"sluice": set(), "base": set(), "proto": {"base"}, "net": {"proto", "base"}}
for role in ("server", "worker", "manager"):
    BELOW[role] = {"net", "proto", "base"}
BELOW["worker"] = BELOW["worker"] | {"sluice"}  # what plug-ins are built against
BELOW["sim"] = {"server", "worker", "manager", "net", "proto", "base"}
BELOW["cli"] = BELOW["sim"] | {"sim"}
ROOMS = set(BELOW)
EVERYTHING = {"tests", "bench"}  # may include all rooms

# (what it is, pattern, the files or folders that are its adapter). Everything else of ours goes through a seam.
SEAMS = [
    ("reads time", r"std::chrono::\w*_clock|\bwait_until\b|\bclock_gettime\b|\bgettimeofday\b|\bstd::time\(|\b::time\(|\btimerfd_create\b|\bclock\(\)", ["base/clock.cc"]),
    ("sleeps", r"\bsleep_for\b|\bsleep_until\b|\busleep\b|\bnanosleep\b|\b::sleep\(", []),
    ("starts threads", r"\bstd::j?thread\b|\bstd::async\b|\bpthread_create\b|#include <thread>|#include <future>", ["base/executor.cc"]),
    ("opens sockets", r"#include <zmq|#include <sys/socket|#include <netinet|#include <sys/un\.h|\b::socket\(", ["net/"]),
    ("draws randomness", r"random_device|\bmt19937|std::uniform_|std::normal_distribution|std::bernoulli|\bstd::rand\b|\b::?rand\(\)|\bgetrandom\b|#include <random>|std::shuffle|std::sample", ["base/rng.cc"]),
    ("starts processes", r"\bposix_spawn|\bfork\(|\bexecv|\bstd::system\b|\bpopen\b", ["cli/detail/children.cc", "worker/plugin/child_process.cc"]),
    ("loads libraries", r"\bdlopen\b|#include <dlfcn", ["worker/plugin/library.cc"]),
    ("hears signals", r"\bsigaction\b|\bsignalfd\b|\bstd::signal\b", ["cli/detail/signals.cc", "cli/detail/run_flags.cc"]),
    ("uses OpenBLAS", r"#include <(cblas|openblas)", ["worker/kernels.cc"]),
    ("uses TBB", r"#include <(tbb|oneapi)/", ["base/", "server/", "worker/data/", "worker/trained_model.cc", "manager/", "sim/study.cc"]),
    ("uses SQLite", r"#include <sqlite3", ["manager/store/"]),
    ("uses yaml-cpp", r"#include <yaml-cpp", ["base/config_parse.cc", "base/config_emit.cc"]),
    ("uses spdlog", r"#include <spdlog", ["base/log.cc"]),
    ("uses Cap'n Proto", r"#include <capnp|wire\.capnp\.h", ["proto/"]),
    ("uses GSL", r"#include <gsl/", ["manager/predictors/"]),
    ("uses zlib", r"#include <zlib", ["worker/data/"]),
    ("uses libzip", r"#include <zip\.h", ["worker/data/npz.cc", "worker/data/npy_test.cc"]),
    ("uses CLI11", r"#include <CLI/", ["cli/"]),
]
WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def tracked(root, *patterns):
    out = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns], capture_output=True, text=True, check=True).stdout
    return [path for path in out.splitlines() if os.path.isfile(os.path.join(root, path))]


def lines_of(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read().split("\n")


def without_text(line):
    """The line without string and character literals and without a // comment, so that braces and names in them don't count."""
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    line = re.sub(r"'(\\.|[^'\\])'", "' '", line)
    return line.split("//")[0]


def check_seams(path, lines):
    if path.split("/")[0] not in ROOMS:
        return
    for number, line in enumerate(lines, 1):
        code = line.split("//")[0]
        for what, pattern, adapters in SEAMS:
            if re.search(pattern, code) and not any(path == a or (a.endswith("/") and path.startswith(a)) for a in adapters):
                yield f"{path}:{number}: {what} outside of {', '.join(adapters) or 'any seam'}: {line.strip()[:90]}"


def check_includes(path, lines):
    room = path.split("/")[0]
    for number, line in enumerate(lines, 1):
        found = re.match(r'\s*#include "([^"]+)"', line)
        if not found:
            continue
        target = found.group(1)
        if target.endswith(".capnp.h"):
            continue  # generated
        other = target.split("/")[0]
        if "/" not in target:
            if not os.path.isfile(os.path.join(ROOT, os.path.dirname(path), target)) or room in ROOMS:
                yield f"{path}:{number}: includes are from the root of the repository: {target}"
        elif room in ROOMS and other != room and other not in BELOW[room]:
            yield f"{path}:{number}: {room} may not include {other}"
        elif room != other and other in ROOMS and "/detail/" in target and room not in EVERYTHING:
            yield f"{path}:{number}: {target} is not part of {other}'s face"


def functions(lines):
    """(first line, number of lines, name) of function bodies: a line that ends with '{' after a ')' at namespace or class level, until its brace closes."""
    control = re.compile(r"^\s*(if|for|while|switch|else|do|catch|return|namespace|class|struct|enum|union|extern)\b|^\s*}")
    depth = 0
    start = None
    for number, line in enumerate(lines, 1):
        code = without_text(line)
        indent = len(code) - len(code.lstrip())
        if start is None and indent <= 2 and "(" in code + "".join(lines[max(0, number - 3):number - 1]) and code.rstrip().endswith("{") and not control.match(code):
            start, depth, name = number, 0, code.strip()[:60]
        if start is not None:
            depth += code.count("{") - code.count("}")
            if depth <= 0:
                yield start, number - start + 1, name
                start = None


def check_sizes(path, lines):
    if len(lines) > FILE_LINES_MAX + 1:
        yield f"{path}: {len(lines) - 1} lines, more than {FILE_LINES_MAX}: two rooms in one file"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX and "://" not in line and 'R"(' not in line and path.endswith((".cc", ".h")):
            yield f"{path}:{number}: {len(line)} columns, more than {COLUMNS_MAX}"
        if WORDS.search(line) and not path.startswith("tests/structure/"):
            yield f"{path}:{number}: unfinished: {line.strip()[:90]}"
    if path.endswith((".cc", ".h")):
        for start, length, name in functions(lines):
            if length > FUNCTION_LINES_MAX:
                yield f"{path}:{start}: a function of {length} lines, more than {FUNCTION_LINES_MAX}: {name}"


def check_pages(root):
    """Commands and links of the pages lead somewhere."""
    for path in tracked(root, "*.md"):
        text = "\n".join(lines_of(root, path))
        prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)#]+)\)", prose):
            if "://" not in target and not os.path.exists(os.path.join(root, os.path.dirname(path), target)):
                yield f"{path}: a link to {target}, which isn't there"
        for script in set(re.findall(r"(?<![\w/])((?:scripts|examples|bench|tests)/[\w./-]+\w)", text)):
            if not os.path.exists(os.path.join(root, script)):
                yield f"{path}: names {script}, which isn't there"


def check_pairs(paths):
    """x_test.cc stands beside the x it tests, or is its folder's contract suite, or defines a fake for others' tests."""
    known = set(paths)
    for path in paths:
        stem = path.removesuffix("_test.cc")
        if path.endswith("_test.cc") and path.split("/")[0] in ROOMS and not stem.endswith("/contract") and "/fake_" not in stem and not {stem + ".h", stem + ".cc"} & known:
            yield f"{path}: there is no {stem}.h beside it"


def main():
    global ROOT
    ROOT = sys.argv[1]
    breaches = list(check_pages(ROOT))
    code = tracked(ROOT, "*.cc", "*.h")
    sizes = []
    for path in code + tracked(ROOT, "*.py", "scripts/*", "bench/run"):
        lines = lines_of(ROOT, path)
        breaches += check_sizes(path, lines)
        if path.endswith((".cc", ".h")):
            sizes.append(len(lines) - 1)
            breaches += check_seams(path, lines)
            breaches += check_includes(path, lines)
    breaches += check_pairs(code)
    median = statistics.median(sizes)
    if median >= FILE_LINES_MEDIAN_MAX:
        breaches.append(f"the median file has {median} lines; it must stay under {FILE_LINES_MEDIAN_MAX}")
    for breach in breaches:
        print(breach)
    print(f"{len(code)} C++ files, median {median:.0f} lines, longest {max(sizes)}; {len(breaches)} breaches")
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
