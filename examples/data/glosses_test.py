"""glosses.py: each synset a line of its gloss's words with their counts, with its lexicographer file as label."""
import collections
import random
import re
import unittest

from converter_case import ConverterCase

PARTS = ("noun", "verb", "adj", "adv")
WORDS = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(100)]


class Glosses(ConverterCase):
    def test_rows_are_synsets_of_counted_words(self):
        draw = random.Random(3)
        everything = []
        for part in PARTS:
            synsets = [(draw.randrange(45), draw.sample(WORDS, 1) + ["of", "seldom"][:draw.randrange(3)]) for _ in range(400)]
            synsets[7] = (44, ["zebra", WORDS[0]])  # a word that no other gloss has: one word is left, which is too few
            for _, words in synsets:
                words += [words[0]] * draw.randrange(2) + (["often"] if draw.randrange(4) == 0 else []) + draw.sample(WORDS, 2 if "zebra" not in words else 0)
            everything += synsets
            lines = ["  1 This is the licence", *(f"{i:08} {label:02} n 01 x 0 000 | {' '.join(words)}  " for i, (label, words) in enumerate(synsets))]
            (self.folder / f"data.{part}").write_text("\n".join(lines) + "\n", encoding="latin-1")
        self.convert("glosses.py", "--source", self.folder)
        names = self.lines("words.txt")
        glosses = collections.Counter(word for _, words in everything for word in set(words))
        self.assertEqual(names, sorted(word for word in glosses if len(word) > 2 and 10 <= glosses[word] <= 0.03 * len(everything)))
        rows = self.lines("train.libsvm") + self.lines("test.libsvm")
        for row in rows:
            self.assertRegex(row, r"^\d+( \d+:\d+){2,}$")
        got = collections.Counter((int(row.split()[0]), tuple((names[int(i) - 1], int(count)) for i, count in re.findall(r"(\d+):(\d+)", row))) for row in rows)
        wanted = collections.Counter()
        for label, words in everything:
            kept = sorted((word, count) for word, count in collections.Counter(words).items() if word in names)
            if len(kept) >= 2:
                wanted[label, tuple(kept)] += 1
        self.assertEqual(got, wanted)
        self.assertTrue(self.lines("train.libsvm") and self.lines("test.libsvm"))

    def test_missing_files_are_said(self):
        self.assertIn("install the Debian package wordnet-base", self.convert("glosses.py", "--source", self.folder, status=3))
        self.assert_nothing_written()


if __name__ == "__main__":
    unittest.main()
