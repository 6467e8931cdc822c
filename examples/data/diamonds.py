#!/usr/bin/env python3
"""The prices of 53,940 diamonds (Debian package r-cran-ggplot2) as a regression data set, in CSV.

The target, the last column, is the natural logarithm of the price in dollars. The numbers (carat, depth, table, and the sizes x, y, z) are
standardised: the training rows' mean 0, deviation 1; cut, color and clarity stay texts. Rows with a size of 0 or above 20 mm, slips
of the pen that the data set is known for, are left out. A fifth of the rows, chosen by a hash of the row (so equal rows fall on one side), is held out.

R is not needed: the package's files are read as they are.

  diamonds.py --out build/data/diamonds     writes train.csv, test.csv

Exit status: 0 written or already there, 2 bad usage, 3 the package's files are missing or not as expected, 8 cannot write.
"""
import argparse
import math
import os
import zlib

import common
import rdata

NUMBERS = ("carat", "depth", "table", "x", "y", "z")
TEXTS = ("cut", "color", "clarity")
ORIGIN = "r-cran-ggplot2 3.4.1"
# Of that version of the package; another one that has other rows gives other sums, and a warning.
EXPECTED = {
    "train.csv": "ed0a982c457991feed74360e3e4c96c243379fa7f291300270c1d6684cf62bbf",
    "test.csv": "f9e73a41e331f881f2c14684e2f0f541fef5af94df4a6d4d9b7246eb726517d4",
}


def read_rows(source):
    """Each row as a map, in the package's order."""
    stem = os.path.join(source, "Rdata")
    try:
        columns = rdata.read_frame(stem, "diamonds")
        wanted = {name: columns[name] for name in (*NUMBERS, *TEXTS, "price")}
        return [dict(zip(wanted, values)) for values in zip(*wanted.values())]
    except FileNotFoundError as wrong:
        common.stop(3, f"{wrong.filename} is missing; install the Debian package r-cran-ggplot2 (apt-get install --no-install-recommends r-cran-ggplot2), "
                       "or unpack it only (apt-get download r-cran-ggplot2; dpkg-deb -x r-cran-ggplot2_*.deb DIR) and name its folder: "
                       "--source DIR/usr/lib/R/site-library/ggplot2/data")
    except OSError as wrong:
        common.stop(3, f"{wrong.filename}: {wrong.strerror}")
    except (ValueError, KeyError, AttributeError, IndexError, TypeError, zlib.error) as wrong:
        common.stop(3, f"{stem}.rdx, {stem}.rdb: no data frame 'diamonds' as {ORIGIN} has it: {wrong}")


def as_files(rows):
    """The two files' texts, and how many rows each has."""
    rows = [row for row in rows if all(0 < row[size] <= 20 for size in "xyz")]
    sides = [common.held_out(repr(sorted(row.items()))) for row in rows]
    train = [row for row, side in zip(rows, sides) if not side]
    scale = {}
    for name in NUMBERS:
        mean = math.fsum(row[name] for row in train) / len(train)
        scale[name] = (mean, math.sqrt(math.fsum((row[name] - mean) ** 2 for row in train) / len(train)))
    texts = {False: [], True: []}
    for row, side in zip(rows, sides):
        numbers = [f"{(row[name] - scale[name][0]) / scale[name][1]:.6f}" for name in NUMBERS]
        texts[side].append(",".join([*numbers, *(row[name] for name in TEXTS), f"{math.log(row['price']):.6f}"]) + "\n")
    header = ",".join([*NUMBERS, *TEXTS, "log_price"]) + "\n"
    return {"train.csv": header + "".join(texts[False]), "test.csv": header + "".join(texts[True])}, len(texts[False]), len(texts[True])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="DIR", required=True, help="where to write; made if missing")
    parser.add_argument("--source", metavar="DIR", default="/usr/lib/R/site-library/ggplot2/data", help="folder of Rdata.rdx and Rdata.rdb (default: %(default)s)")
    options = parser.parse_args()
    if common.already_there(options.out, EXPECTED):
        print(f"{options.out}: already there")
        return
    texts, train, test = as_files(read_rows(options.source))
    common.deliver(options.out, texts, EXPECTED, ORIGIN)
    print(f"{train} rows to train on, {test} held out")


if __name__ == "__main__":
    main()
