"""Reads a data frame out of an R package's lazy-load database (data/Rdata.rdx and .rdb), without R.

Knows what data frames are made of: vectors of logicals, integers, numbers and strings, lists, their attributes. Anything else is a ValueError.
The form is that of R's serialize() in XDR, versions 2 and 3, as the manual "R Internals" describes it.
"""
import bz2
import lzma
import struct
import zlib

NIL, GLOBAL, BASE, EMPTY, REFERENCE, NAMESPACE, ALTREP = 254, 253, 241, 242, 255, 249, 238
SYMBOL, PAIRS, CHARS, LOGICALS, INTEGERS, REALS, STRINGS, LIST = 1, 2, 9, 10, 13, 14, 16, 19
NA_INTEGER = -(2**31)


class Value:
    """An R vector: its items, and its attributes by name."""

    def __init__(self, items, attributes):
        self.items = items
        self.attributes = attributes

    def named(self):
        return dict(zip(self.attributes["names"].items, self.items))


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0
        self.known = []  # symbols and namespaces, which later items refer to by number
        if self.take(2) != b"X\n":
            raise ValueError("not in R's XDR form")
        version = self.integer()
        self.take(8)  # the versions of R that wrote it and that can read it
        if version == 3:
            self.take(self.integer())
        elif version != 2:
            raise ValueError(f"R's serialization {version} is not known")

    def take(self, size):
        if size < 0 or self.at + size > len(self.data):
            raise ValueError(f"truncated at byte {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self):
        return struct.unpack(">i", self.take(4))[0]

    def vector(self, letter, size):
        count = self.integer()
        return list(struct.unpack(f">{count}{letter}", self.take(size * count)))

    def attributes(self, flags):
        return self.item() if flags & 0x200 else {}

    def item(self):
        flags = self.integer()
        kind = flags & 0xFF
        if kind in (NIL, GLOBAL, BASE, EMPTY):
            return {}
        if kind == REFERENCE:
            return self.known[(flags >> 8 or self.integer()) - 1]
        if kind == SYMBOL:
            self.known.append(self.item())
            return self.known[-1]
        if kind == NAMESPACE:
            self.integer()
            self.known.append([self.item() for _ in range(self.integer())])
            return self.known[-1]
        if kind == CHARS:
            size = self.integer()
            return None if size == -1 else self.take(size).decode("utf-8", "replace")
        if kind == PAIRS:
            return self.pairs(flags)
        if kind == ALTREP:
            return self.altrep()
        if kind in (LOGICALS, INTEGERS):
            items = self.vector("i", 4)
        elif kind == REALS:
            items = self.vector("d", 8)
        elif kind in (STRINGS, LIST):
            items = [self.item() for _ in range(self.integer())]
        else:
            raise ValueError(f"R's type {kind} at byte {self.at} is not known")
        return Value(items, self.attributes(flags))

    def pairs(self, flags):
        """A linked list, read in a loop: name to value (number to value where there is no name)."""
        found = {}
        while flags & 0xFF == PAIRS:
            self.attributes(flags)
            name = self.item() if flags & 0x400 else len(found)
            found[name] = self.item()
            flags = self.integer()
        if flags & 0xFF != NIL:
            raise ValueError(f"a list without an end at byte {self.at}")
        return found

    def altrep(self):
        """Vectors that R keeps in another form: a range, or one wrapped with what is known of it."""
        name = self.item()[0]
        state, attributes = self.item(), self.item()
        if name == "compact_intseq":
            count, first, step = (int(number) for number in state.items)
            return Value([first + step * index for index in range(count)], attributes)
        if name.startswith("wrap_"):
            wrapped = state.items[0] if isinstance(state, Value) else state[0]
            return Value(wrapped.items, attributes or wrapped.attributes)
        raise ValueError(f"R's form {name} is not known")


def decompress(block):
    """A block of the .rdb file: four bytes of size, perhaps a letter for the method, the data."""
    if block[4:5] == b"Z":
        return lzma.decompress(block[5:], format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6}])
    if block[4:5] == b"2":
        return bz2.decompress(block[5:])
    return block[5:] if block[4:5] == b"0" else zlib.decompress(block[4:])


def read_frame(stem, name):
    """Column name to list of values of data frame `name` in STEM.rdx and STEM.rdb; factors as their levels' names, NA as None (numbers: as nan)."""
    with open(f"{stem}.rdx", "rb") as file:
        index = Reader(zlib.decompress(file.read(), 31)).item().named()["variables"].named()
    if name not in index:
        raise ValueError(f"no {name}; there are {', '.join(sorted(index))}")
    start, size = index[name].items
    with open(f"{stem}.rdb", "rb") as file:
        file.seek(start)
        frame = Reader(decompress(file.read(size))).item()
    columns = {}
    for column, value in frame.named().items():
        levels = value.attributes.get("levels")
        columns[column] = [None if item == NA_INTEGER else levels.items[item - 1] for item in value.items] if levels else value.items
    return columns
