"""sections.py: each package of a large section a row of length 1, with its section as label."""
import os
import random
import unittest

from converter_case import ConverterCase

APT_HELPER = "/usr/lib/apt/apt-helper"
SECTIONS = {"games": "fast board puzzle".split(), "libs": "shared library runtime".split(), "web": "server page browser".split()}


@unittest.skipUnless(os.access(APT_HELPER, os.X_OK), f"{APT_HELPER}, which reads package lists, is not there: no Debian system")
class Sections(ConverterCase):
    def write(self, packages):
        """packages: (name, section, description)."""
        entries = (f"Package: {n}\nVersion: 1\nSection: {s}\nDescription: {d}\n more of it\n" for n, s, d in packages)
        path = self.folder / "Packages"
        path.write_text("\n".join(entries))
        return path

    def test_rows_are_packages_of_large_sections(self):
        draw = random.Random(3)
        packages = [(f"{section}-tool{i}", section, " ".join(draw.choices(words, k=3))) for section, words in SECTIONS.items() for i in range(110)]
        packages += [(f"rare{i}", "rare", "few of them") for i in range(99)]
        source = self.write(draw.sample(packages, len(packages)))
        self.assertIn("3 classes", self.convert("sections.py", "--source", source))
        self.assertEqual(self.lines("labels.txt"), sorted(SECTIONS))
        names = self.lines("features.txt")
        rows = self.lines("train.libsvm") + self.lines("test.libsvm")
        self.assertEqual(len(rows), 330)
        self.assertTrue(30 < len(self.lines("test.libsvm")) < 110)
        for row in rows:
            label, *entries = row.split()
            section = self.lines("labels.txt")[int(label)]
            found = {names[int(entry.split(":")[0]) - 1] for entry in entries}
            self.assertIn(f"name:{section}", found)
            self.assertIn(f"name^{section}", found)
            self.assertTrue(found & set(SECTIONS[section]))
            self.assertLess(abs(sum(float(entry.split(":")[1]) ** 2 for entry in entries) - 1), 1e-3)
        self.assertNotIn("few", names)

    def test_what_is_no_list_is_said_and_nothing_is_written(self):
        self.assertIn("apt-helper cannot read it", self.convert("sections.py", "--source", self.folder / "none", status=3))
        (self.folder / "junk").write_text("Package: a\nVersion: 1\n")
        self.assertIn("entry 1 is not a package", self.convert("sections.py", "--source", self.folder / "junk", status=3))
        self.assertIn("no section with 100 packages", self.convert("sections.py", "--source", self.write([("a", "games", "fast")]), status=3))
        self.assert_nothing_written()


if __name__ == "__main__":
    unittest.main()
