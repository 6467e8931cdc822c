#!/usr/bin/env python3
"""WordNet's glosses as a text classification data set, in libsvm format.

One row a synset of WordNet 3.0 (Debian package wordnet-base): the label is its lexicographer file (45 of them: noun.animal, verb.motion, ...),
the features are the words and the pairs of neighbouring words of its gloss that occur in at least two glosses; their values are 1, scaled so
that each row has length 1. A fifth of the rows, chosen by a hash of the gloss (so equal glosses fall on one side), is held out.

  wordnet.py --out build/data/wordnet      writes train.libsvm, test.libsvm, features.txt (line n names feature n)

Exit status: 0 written or already there, 2 bad usage, 3 the package's files are missing or not as expected, 8 cannot write.
"""
import argparse
import collections
import os
import re

from common import already_there, deliver, held_out, stop

PARTS = ("noun", "verb", "adj", "adv")
WORD = re.compile(r"[a-z0-9]+")
CLASSES = 45
GLOSSES_MIN = 2  # a feature is kept if it occurs in so many glosses (labels are not looked at)
# Of wordnet-base 1:3.0-37; another version of the package gives other sums, and a warning.
EXPECTED = {
    "train.libsvm": "0d11e01abb166db172c6f8e9cf37639b44dc044fea481c4ba5bd69636f6aeee7",
    "test.libsvm": "155349324524914dbc29eec9ba028f16763606932c2932e8af4b8e272e6846a8",
    "features.txt": "dea7fcb256293f09ef686628ae376ccebbe2de0910c962ae3d6aab4000191353",
}


def features_of(gloss):
    words = WORD.findall(gloss.lower())
    return set(words) | {f"{a} {b}" for a, b in zip(words, words[1:])}


def read_glosses(source, features_of=features_of):
    """(label, held out, features) of every synset, in the files' order."""
    rows = []
    for part in PARTS:
        path = os.path.join(source, f"data.{part}")
        try:
            with open(path, encoding="latin-1") as lines:
                for number, line in enumerate(lines, 1):
                    if line.startswith("  "):
                        continue  # the licence at the top
                    head, bar, gloss = line.partition("|")
                    fields = head.split(None, 2)
                    if not bar or len(fields) < 3 or not fields[1].isdigit() or int(fields[1]) >= CLASSES:
                        stop(3, f"{path}:{number}: not a synset of WordNet 3.0: {line[:60]!r}")
                    gloss = gloss.strip()
                    rows.append((int(fields[1]), held_out(gloss), features_of(gloss)))
        except FileNotFoundError:
            stop(3, f"{path} is missing; install the Debian package wordnet-base (apt-get install wordnet-base), or name its folder with --source")
        except OSError as wrong:
            stop(3, f"{path}: {wrong.strerror}")
    return rows


def as_files(rows):
    """The three files' texts."""
    counts = collections.Counter()
    for _, _, features in rows:
        counts.update(features)
    names = sorted(name for name, count in counts.items() if count >= GLOSSES_MIN)
    number = {name: index for index, name in enumerate(names, 1)}
    train, test = [], []
    for label, held, features in rows:
        indices = sorted(number[name] for name in features if name in number)
        value = f":{len(indices) ** -0.5:.5f}" if indices else ""
        (test if held else train).append(f"{label} " + " ".join(f"{index}{value}" for index in indices) + "\n")
    return {"train.libsvm": "".join(train), "test.libsvm": "".join(test), "features.txt": "\n".join(names) + "\n"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="DIR", required=True, help="where to write; made if missing")
    parser.add_argument("--source", metavar="DIR", default="/usr/share/wordnet", help="folder of data.noun, data.verb, … (default: %(default)s)")
    options = parser.parse_args()
    if already_there(options.out, EXPECTED):
        print(f"{options.out}: already there")
        return
    rows = read_glosses(options.source)
    deliver(options.out, as_files(rows), EXPECTED, "wordnet-base 1:3.0-37")
    held = sum(1 for row in rows if row[1])
    print(f"{len(rows) - held} rows to train on, {held} held out, {CLASSES} classes")


if __name__ == "__main__":
    main()
