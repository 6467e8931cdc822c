"""ratings.py: each rating once, on the side that its user and film say."""
import csv
import random
import unittest

import fake_rdata
from converter_case import ConverterCase


def ratings(rows, seed=1):
    draw = random.Random(seed)
    return {
        "movieId": [draw.randrange(1, 60) for _ in range(rows)],
        "title": [draw.choice("ab") for _ in range(rows)],
        "userId": [draw.randrange(1, 40) for _ in range(rows)],
        "rating": [draw.randrange(1, 11) / 2 for _ in range(rows)],
    }


class Ratings(ConverterCase):
    def test_each_rating_is_in_one_file_and_a_pair_on_one_side(self):
        columns = ratings(900)
        fake_rdata.write_frame(self.folder, "movielens", columns)
        self.convert("ratings.py", "--source", self.folder)
        train, test = ([tuple(row) for row in csv.reader(self.lines(name))][1:] for name in ("train.csv", "test.csv"))
        wanted = sorted((f"u{u}", f"m{m}", r) for u, m, r in zip(columns["userId"], columns["movieId"], columns["rating"]))
        self.assertEqual(sorted((u, m, float(r)) for u, m, r in train + test), wanted)
        self.assertFalse({row[:2] for row in train} & {row[:2] for row in test})
        self.assertTrue(90 < len(test) < 270, len(test))
        self.assertEqual(self.lines("train.csv")[0], "user,item,rating")

    def test_what_is_missing_or_no_rating_is_said_and_nothing_is_written(self):
        self.assertIn("install the Debian package r-cran-dslabs", self.convert("ratings.py", "--source", self.folder, status=3))
        columns = ratings(9)
        columns["rating"][4] = 7.5
        fake_rdata.write_frame(self.folder, "movielens", columns)
        self.assertIn("row 5 is user", self.convert("ratings.py", "--source", self.folder, status=3))
        fake_rdata.write_frame(self.folder, "movies", ratings(9))
        self.assertIn("no movielens; there are movies", self.convert("ratings.py", "--source", self.folder, status=3))
        self.assert_nothing_written()


if __name__ == "__main__":
    unittest.main()
