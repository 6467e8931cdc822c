"""The reader of R's files: what was written comes back; what is cut off or damaged is an error that the converters catch."""
import pathlib
import random
import tempfile
import unittest
import zlib

import fake_rdata
import rdata

CAUGHT = (ValueError, KeyError, AttributeError, IndexError, TypeError, OSError, zlib.error)  # as diamonds.py and ratings.py have them


class Rdata(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-rdata-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.stem = str(pathlib.Path(folder.name) / "Rdata")

    def test_frames_come_back(self):
        draw = random.Random(4)
        for rows in (0, 1, 7, 500):
            columns = {
                "whole": [draw.randrange(-(2**31) + 1, 2**31) for _ in range(rows)],
                "number": [draw.uniform(-9, 9) for _ in range(rows)],
                "text": [draw.choice(["", "a", "ü", None]) for _ in range(rows)],
                "level": fake_rdata.Factor(draw.choice(["low", "high", None]) for _ in range(rows)),
            }
            fake_rdata.write_frame(self.folder, "things", columns)
            self.assertEqual(rdata.read_frame(self.stem, "things"), columns)

    def test_another_name_is_said(self):
        fake_rdata.write_frame(self.folder, "things", {"a": [1]})
        with self.assertRaisesRegex(ValueError, "no stuff; there are things"):
            rdata.read_frame(self.stem, "stuff")

    def test_every_cut_is_an_error(self):
        fake_rdata.write_frame(self.folder, "things", {"a": [1, 2], "b": fake_rdata.Factor(["x", "y"])})
        whole = {ending: pathlib.Path(self.stem + ending).read_bytes() for ending in (".rdx", ".rdb")}
        for ending, content in whole.items():
            for size in range(len(content)):
                pathlib.Path(self.stem + ending).write_bytes(content[:size])
                with self.assertRaises(CAUGHT, msg=f"{ending} cut at {size}"):
                    rdata.read_frame(self.stem, "things")
            pathlib.Path(self.stem + ending).write_bytes(content)


if __name__ == "__main__":
    unittest.main()
