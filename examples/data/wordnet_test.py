"""wordnet.py: each synset a row of length 1, of features that occur twice, with its lexicographer file as label."""
import random
import unittest

from converter_case import ConverterCase

PARTS = ("noun", "verb", "adj", "adv")
WORDS = "a kind of small animal with four legs and long ears that runs".split()


class Wordnet(ConverterCase):
    def write(self, part, synsets):
        """synsets: (label, gloss)."""
        lines = ["  1 This is the licence", *(f"{i:08} {label:02} n 01 word 0 000 | {gloss}  " for i, (label, gloss) in enumerate(synsets))]
        (self.folder / f"data.{part}").write_text("\n".join(lines) + "\n", encoding="latin-1")

    def test_rows_are_synsets(self):
        draw = random.Random(2)
        synsets = {part: [(draw.randrange(45), " ".join(draw.choices(WORDS, k=draw.randrange(1, 9)))) for _ in range(120)] for part in PARTS}
        synsets["adv"][0] = (44, "zebra")  # a word that no other gloss has: a row without features
        for part in PARTS:
            self.write(part, synsets[part])
        self.convert("wordnet.py", "--source", self.folder)
        rows = self.lines("train.libsvm") + self.lines("test.libsvm")
        everything = [synset for part in PARTS for synset in synsets[part]]
        self.assertEqual(sorted(int(row.split(" ")[0]) for row in rows), sorted(label for label, _ in everything))
        names = self.lines("features.txt")
        self.assertEqual(names, sorted(set(names)))
        self.assertNotIn("zebra", names)
        self.assertTrue(set(WORDS) <= set(names))
        for row in rows:
            entries = [entry.split(":") for entry in row.split()[1:]]
            indices = [int(index) for index, _ in entries]
            self.assertEqual(indices, sorted(set(indices)))
            self.assertTrue(all(1 <= index <= len(names) for index in indices))
            self.assertTrue(not entries or abs(sum(float(value) ** 2 for _, value in entries) - 1) < 1e-3)
        self.assertEqual(sum(1 for row in rows if len(row.split()) == 1), 1)

    def test_equal_glosses_fall_on_one_side(self):
        for part in PARTS:
            self.write(part, [(3, f"thing {i % 20} of {i % 20}") for i in range(100)])
        self.convert("wordnet.py", "--source", self.folder)
        sides = [{row.split(" ", 1)[1] for row in self.lines(name)} for name in ("train.libsvm", "test.libsvm")]
        self.assertTrue(all(sides))
        self.assertFalse(sides[0] & sides[1])

    def test_what_is_missing_or_no_synset_is_said_and_nothing_is_written(self):
        self.assertIn("install the Debian package wordnet-base", self.convert("wordnet.py", "--source", self.folder, status=3))
        for part in PARTS:
            self.write(part, [(3, "thing")])
        (self.folder / "data.verb").write_text("  licence\n00000001 99 v | no such file\n")
        self.assertIn("data.verb:2: not a synset", self.convert("wordnet.py", "--source", self.folder, status=3))
        self.assert_nothing_written()


if __name__ == "__main__":
    unittest.main()
