#!/usr/bin/env python3
"""100,004 ratings of films (MovieLens-small, in Debian package r-cran-dslabs) as a regression data set, in CSV.

One row a rating, in the package's order: user, item (the film) and the rating, 0.5 to 5 stars. Users and items are written as texts, u1 and m31, so that each
becomes a feature. A fifth of the rows, chosen by a hash of user and item, is held out; users and items that only held-out rows have stay there.

R is not needed: the package's files are read as they are.

  ratings.py --out build/data/ratings     writes train.csv, test.csv

Exit status: 0 written or already there, 2 bad usage, 3 the package's files are missing or not as expected, 8 cannot write.
"""
import argparse
import os
import zlib

import common
import rdata

ORIGIN = "r-cran-dslabs 0.7.4"
# Of that version of the package; another one that has other rows gives other sums, and a warning.
EXPECTED = {
    "train.csv": "da26b5c30b25c591cac4476bca2b225021a14f66824fc80d23db88c1e27b98df",
    "test.csv": "3ea16ff35b1a7259ec6fa74ab7528bb540b0305b8c358e1e829cd1a4df06a24c",
}


def read_rows(source):
    """(user, item, rating) of each row, in the package's order."""
    stem = os.path.join(source, "Rdata")
    try:
        columns = rdata.read_frame(stem, "movielens")
        rows = list(zip(columns["userId"], columns["movieId"], columns["rating"]))
        for number, (user, item, rating) in enumerate(rows, 1):
            if not (user > 0 and item > 0 and 0.5 <= rating <= 5):
                raise ValueError(f"row {number} is user {user}, film {item}, rating {rating}")
        return rows
    except FileNotFoundError as wrong:
        common.stop(3, f"{wrong.filename} is missing; install the Debian package r-cran-dslabs (apt-get install --no-install-recommends r-cran-dslabs), "
                       "or unpack it only (apt-get download r-cran-dslabs; dpkg-deb -x r-cran-dslabs_*.deb DIR) and name its folder: "
                       "--source DIR/usr/lib/R/site-library/dslabs/data")
    except OSError as wrong:
        common.stop(3, f"{wrong.filename}: {wrong.strerror}")
    except (ValueError, KeyError, AttributeError, IndexError, TypeError, zlib.error) as wrong:
        common.stop(3, f"{stem}.rdx, {stem}.rdb: no data frame 'movielens' as {ORIGIN} has it: {wrong}")


def as_files(rows):
    """The two files' texts, and how many rows each has."""
    texts = {False: [], True: []}
    for user, item, rating in rows:
        texts[common.held_out(f"{user} {item}")].append(f"u{user},m{item},{rating:g}\n")
    header = "user,item,rating\n"
    return {"train.csv": header + "".join(texts[False]), "test.csv": header + "".join(texts[True])}, len(texts[False]), len(texts[True])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="DIR", required=True, help="where to write; made if missing")
    parser.add_argument("--source", metavar="DIR", default="/usr/lib/R/site-library/dslabs/data", help="folder of Rdata.rdx and Rdata.rdb (default: %(default)s)")
    options = parser.parse_args()
    if common.already_there(options.out, EXPECTED):
        print(f"{options.out}: already there")
        return
    texts, train, test = as_files(read_rows(options.source))
    common.deliver(options.out, texts, EXPECTED, ORIGIN)
    print(f"{train} rows to train on, {test} held out")


if __name__ == "__main__":
    main()
