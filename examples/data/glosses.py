#!/usr/bin/env python3
"""WordNet's glosses as bags of words, for topic models, in libsvm format.

One row a synset of WordNet 3.0 (Debian package wordnet-base): the features are the words of its gloss of three letters or more that occur in at least 10 glosses and in at
most 3 % of them (which leaves out "the", "of", "or"), the values how often they occur in it. The label is its lexicographer file, as wordnet.py has it; topic models do not
look at it. Glosses that keep fewer than two words are left out. A fifth of the rows, chosen by a hash of the gloss, is held out.

  glosses.py --out build/data/glosses      writes train.libsvm, test.libsvm, words.txt (line n names feature n)

Exit status: 0 written or already there, 2 bad usage, 3 the package's files are missing or not as expected, 8 cannot write.
"""
import argparse
import collections

from common import already_there, deliver
from wordnet import WORD, read_glosses

GLOSSES_MIN, SHARE_MAX, WORDS_MIN, LETTERS_MIN = 10, 0.03, 2, 3
ORIGIN = "wordnet-base 1:3.0-37"
# Of that version of the package; another one gives other sums, and a warning.
EXPECTED = {
    "train.libsvm": "d9e14d1447558d9c6bbcf158e43b7e2543b0293ba53c31521df9a473362fd4a7",
    "test.libsvm": "afd73ac0ffdb15afcb0be34a6388aa51696f0f4c6381540d37a1e92af1d6de9e",
    "words.txt": "efd4e8affa487b0d2fdd44e0d33d037db8a61ed166f49fde625f7b1cb5fe4a05",
}


def words_of(gloss):
    return collections.Counter(word for word in WORD.findall(gloss.lower()) if len(word) >= LETTERS_MIN and not word.isdigit())


def as_files(rows):
    """The three files' texts, and how many rows two of them have."""
    glosses = collections.Counter()
    for _, _, words in rows:
        glosses.update(words.keys())
    names = sorted(word for word, count in glosses.items() if GLOSSES_MIN <= count <= SHARE_MAX * len(rows))
    number = {name: index for index, name in enumerate(names, 1)}
    train, test = [], []
    for label, held, words in rows:
        kept = sorted((number[word], count) for word, count in words.items() if word in number)
        if len(kept) >= WORDS_MIN:
            (test if held else train).append(f"{label} " + " ".join(f"{index}:{count}" for index, count in kept) + "\n")
    texts = {"train.libsvm": "".join(train), "test.libsvm": "".join(test), "words.txt": "\n".join(names) + "\n"}
    return texts, len(train), len(test), len(names)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="DIR", required=True, help="where to write; made if missing")
    parser.add_argument("--source", metavar="DIR", default="/usr/share/wordnet", help="folder of data.noun, data.verb, … (default: %(default)s)")
    options = parser.parse_args()
    if already_there(options.out, EXPECTED):
        print(f"{options.out}: already there")
        return
    texts, train, test, words = as_files(read_glosses(options.source, words_of))
    deliver(options.out, texts, EXPECTED, ORIGIN)
    print(f"{train} rows to train on, {test} held out, {words} words")


if __name__ == "__main__":
    main()
