"""diamonds.py: each row that is no slip of the pen, on one side, standardised by the training rows."""
import csv
import math
import random
import unittest

import fake_rdata
from converter_case import ConverterCase


def diamonds(rows, seed=1):
    draw = random.Random(seed)
    columns = {name: [draw.uniform(1, 9) for _ in range(rows)] for name in ("carat", "depth", "table", "x", "y", "z")}
    columns["price"] = [draw.randrange(300, 20000) for _ in range(rows)]
    for name, levels in (("cut", "Fair Good"), ("color", "D E F"), ("clarity", "I1 SI2")):
        columns[name] = fake_rdata.Factor(draw.choice(levels.split()) for _ in range(rows))
    return columns


class Diamonds(ConverterCase):
    def read(self):
        return {name: list(csv.DictReader(self.lines(name))) for name in ("train.csv", "test.csv")}

    def test_rows_are_split_and_standardised(self):
        columns = diamonds(400)
        columns["x"][3], columns["y"][5], columns["z"][7] = 0.0, 31.0, -1.0  # slips of the pen
        for values in columns.values():
            values.append(values[0])  # an equal row
        fake_rdata.write_frame(self.folder, "diamonds", columns)
        self.assertIn(" rows to train on, ", self.convert("diamonds.py", "--source", self.folder))
        files = self.read()
        train, test = files["train.csv"], files["test.csv"]
        self.assertEqual(len(train) + len(test), 401 - 3)
        self.assertTrue(40 < len(test) < 130, len(test))
        for name in ("carat", "depth", "table", "x", "y", "z"):
            values = [float(row[name]) for row in train]
            mean = sum(values) / len(values)
            self.assertAlmostEqual(mean, 0, places=5)
            self.assertAlmostEqual(math.sqrt(sum((v - mean) ** 2 for v in values) / len(values)), 1, places=5)
        prices = sorted(round(math.exp(float(row["log_price"]))) for row in train + test)
        kept = [price for i, price in enumerate(columns["price"]) if i not in (3, 5, 7)]
        self.assertEqual(prices, sorted(kept))
        twins = [row["log_price"] == f"{math.log(columns['price'][0]):.6f}" for row in train]
        self.assertIn(sum(twins), (0, 2))  # equal rows fall on one side

    def test_the_same_input_gives_the_same_files_and_another_is_warned_of(self):
        fake_rdata.write_frame(self.folder, "diamonds", diamonds(50))
        self.convert("diamonds.py", "--source", self.folder)
        first = self.read()
        self.convert("diamonds.py", "--source", self.folder)
        self.assertEqual(self.read(), first)

    def test_what_is_missing_is_said_and_nothing_is_written(self):
        self.assertIn("install the Debian package r-cran-ggplot2", self.convert("diamonds.py", "--source", self.folder, status=3))
        columns = diamonds(5)
        del columns["clarity"]
        fake_rdata.write_frame(self.folder, "diamonds", columns)
        self.assertIn("clarity", self.convert("diamonds.py", "--source", self.folder, status=3))
        (self.folder / "Rdata.rdb").write_bytes(b"junk")
        self.assertIn("no data frame 'diamonds'", self.convert("diamonds.py", "--source", self.folder, status=3))
        self.assert_nothing_written()


if __name__ == "__main__":
    unittest.main()
