#!/usr/bin/env python3
"""Debian's packages as a text classification data set, in libsvm format: the section from the name and the one-line description.

One row a package of apt's own lists (Debian 12, main, without updates): the label is its section, of those with at least 100 packages; the
features are the words and the pairs of neighbouring words of its description, and the parts of its name, that occur in at least two packages;
their values are 1, scaled so that each row has length 1. A fifth of the rows, chosen by a hash of the package's name, is held out. (Packages of one
source are much alike and fall on both sides: this is easier than sections of unknown software.)

  sections.py --out build/data/sections     writes train.libsvm, test.libsvm, features.txt (line n names feature n), labels.txt (line n: label n - 1)

Exit status: 0 written or already there, 2 bad usage, 3 apt's lists are missing or not as expected, 8 cannot write.
"""
import argparse
import collections
import glob
import re
import subprocess

import common

LISTS = "/var/lib/apt/lists/*_debian_dists_bookworm_main_binary-*_Packages*"
APT_HELPER = "/usr/lib/apt/apt-helper"  # apt's own; it reads lists however they are compressed
WORD = re.compile(r"[a-z0-9+#]+")
PART = re.compile(r"[a-z]+|[0-9]+")
PACKAGES_MIN = 2  # a feature is kept if it occurs in so many packages (labels are not looked at)
SECTION_MIN = 100
ORIGIN = "Debian 12's list for amd64, 12.15"
# Of that state of Debian 12; a point release or another architecture gives other sums, and a warning.
EXPECTED = {
    "train.libsvm": "4907f2d8b520a9614a4e656ddc2935f6383743c0240a440a25bcf302eabaf144",
    "test.libsvm": "209574b4630589876b64ab6aabbf6b48c474d45b1682e08945f23326be06db7b",
    "features.txt": "93036f1a6b061a099c24eb67b1cdfc1e961730e4699862d12279bc0f2496f677",
    "labels.txt": "4b02e0ccdfca9ce6b3b866c90e11791d73802ecf731affb23b90cd9081135c2f",
}


def features_of(name, description):
    words = WORD.findall(description.lower())
    parts = PART.findall(name)
    return {*words, *(f"{a} {b}" for a, b in zip(words, words[1:])), *(f"name:{part}" for part in parts), f"name^{parts[0]}", f"name${parts[-1]}"}


def read_list(path):
    """The text of a package list, decompressed."""
    try:
        return subprocess.run([APT_HELPER, "cat-file", path], check=True, capture_output=True).stdout.decode("utf-8", "replace")
    except FileNotFoundError:
        common.stop(3, f"{APT_HELPER} is missing; it comes with Debian's package apt: is this a Debian system?")
    except subprocess.CalledProcessError as wrong:
        common.stop(3, f"{path}: apt-helper cannot read it: {wrong.stderr.decode('utf-8', 'replace').strip()}")


def read_packages(paths):
    """(name, section, features) of every package, by name."""
    found = {}
    for path in paths:
        for number, entry in enumerate(read_list(path).split("\n\n"), 1):
            fields = dict(line.split(": ", 1) for line in entry.split("\n") if ": " in line and not line.startswith(" "))
            if not fields:
                continue  # the end
            if not fields.keys() >= {"Package", "Section", "Description"} or not PART.search(fields["Package"]):
                common.stop(3, f"{path}: entry {number} is not a package with a section and a description: {entry[:60]!r}")
            found[fields["Package"]] = (fields["Section"], features_of(fields["Package"], fields["Description"]))
    sizes = collections.Counter(section for section, _ in found.values())
    return [(name, *found[name]) for name in sorted(found) if sizes[found[name][0]] >= SECTION_MIN]


def as_files(packages):
    """The four files' texts, and how many rows train and test have."""
    counts = collections.Counter()
    for _, _, features in packages:
        counts.update(features)
    names = sorted(name for name, count in counts.items() if count >= PACKAGES_MIN)
    number = {name: index for index, name in enumerate(names, 1)}
    sections = sorted({section for _, section, _ in packages})
    label = {section: index for index, section in enumerate(sections)}
    rows = {False: [], True: []}
    for name, section, features in packages:
        indices = sorted(number[feature] for feature in features if feature in number)
        value = f":{len(indices) ** -0.5:.5f}" if indices else ""
        rows[common.held_out(name)].append(f"{label[section]} " + " ".join(f"{index}{value}" for index in indices) + "\n")
    texts = {"train.libsvm": "".join(rows[False]), "test.libsvm": "".join(rows[True]), "features.txt": "\n".join(names) + "\n", "labels.txt": "\n".join(sections) + "\n"}
    return texts, len(rows[False]), len(rows[True]), len(sections)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="DIR", required=True, help="where to write; made if missing")
    parser.add_argument("--source", metavar="FILE", action="append", help=f"a package list, again for more (default: {LISTS.replace('%', '%%')})")
    options = parser.parse_args()
    if common.already_there(options.out, EXPECTED):
        print(f"{options.out}: already there")
        return
    paths = options.source or sorted(glob.glob(LISTS))
    if not paths:
        common.stop(3, f"there is no {LISTS}; fetch apt's lists (apt-get update), or name package lists with --source")
    packages = read_packages(paths)
    if not packages:
        common.stop(3, f"{', '.join(paths)}: no section with {SECTION_MIN} packages")
    texts, train, test, classes = as_files(packages)
    common.deliver(options.out, texts, EXPECTED, ORIGIN)
    print(f"{train} rows to train on, {test} held out, {classes} classes")


if __name__ == "__main__":
    main()
