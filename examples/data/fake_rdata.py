"""For tests: writes a data frame as an R package's lazy-load database, in R's XDR form of version 2."""
import os
import struct
import zlib

INTEGERS, REALS, STRINGS, LIST, SYMBOL, PAIRS, CHARS, NIL = 13, 14, 16, 19, 1, 2, 9, 254
NA_INTEGER = -(2**31)


class Factor(list):
    """A column of texts that R keeps as numbers of levels."""


def integer(number):
    return struct.pack(">i", number)


def text(value):
    if value is None:
        return integer(CHARS) + integer(-1)
    raw = value.encode()
    return integer(CHARS) + integer(len(raw)) + raw


def attributes(pairs):
    out = b"".join(integer(PAIRS | 0x400) + integer(SYMBOL) + text(name) + value for name, value in pairs)
    return out + integer(NIL)


def strings(values):
    return integer(STRINGS) + integer(len(values)) + b"".join(text(value) for value in values)


def column(values):
    if isinstance(values, Factor):
        levels = sorted({value for value in values if value is not None})
        numbers = [NA_INTEGER if value is None else levels.index(value) + 1 for value in values]
        return integer(INTEGERS | 0x200) + integer(len(values)) + struct.pack(f">{len(values)}i", *numbers) + attributes([("levels", strings(levels)), ("class", strings(["factor"]))])
    if all(isinstance(value, int) for value in values):
        return integer(INTEGERS) + integer(len(values)) + struct.pack(f">{len(values)}i", *values)
    if all(isinstance(value, float) for value in values):
        return integer(REALS) + integer(len(values)) + struct.pack(f">{len(values)}d", *values)
    return strings(values)


def named_list(items):
    """items: name to the serialized value."""
    return integer(LIST | 0x200) + integer(len(items)) + b"".join(items.values()) + attributes([("names", strings(list(items)))])


def serialized(item):
    return b"X\n" + integer(2) + integer(0x040000) + integer(0x020300) + item


def write_frame(folder, name, columns):
    """FOLDER/Rdata.rdx and .rdb with data frame `name`; columns: name to list."""
    frame = serialized(named_list({key: column(values) for key, values in columns.items()}))
    block = struct.pack(">i", len(frame)) + zlib.compress(frame)
    index = serialized(named_list({"variables": named_list({name: column([0, len(block)])})}))
    packer = zlib.compressobj(wbits=31)
    for ending, content in ((".rdb", block), (".rdx", packer.compress(index) + packer.flush())):
        with open(os.path.join(folder, "Rdata" + ending), "wb") as file:
            file.write(content)
