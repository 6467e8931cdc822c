"""What the converters beside this file share: how they stop, and how they write files whole and say their checksums."""
import hashlib
import os
import sys
import tempfile

PROGRAM = os.path.basename(sys.argv[0])


def stop(status, words):
    print(f"{PROGRAM}: error: {words}", file=sys.stderr)
    sys.exit(status)


def held_out(text):
    """A fifth of all texts; equal ones fall on one side."""
    return int.from_bytes(hashlib.sha1(text.encode()).digest()[:8], "big") % 5 == 0


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def write(path, text):
    """The whole file or nothing: a temporary file beside it, then a rename."""
    handle, temporary = tempfile.mkstemp(prefix=".converter-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def already_there(out, expected):
    try:
        return all(digest(os.path.join(out, name)) == sum for name, sum in expected.items())
    except OSError:
        return False


def deliver(out, texts, expected, origin):
    """Writes the files, name to text, into folder `out`, and prints their sha256 sums; warns of one that differs from the expected sum."""
    try:
        os.makedirs(out, exist_ok=True)
        for name, text in texts.items():
            path = os.path.join(out, name)
            write(path, text)
            found = digest(path)
            print(f"{found}  {path}")
            if found != expected[name]:
                print(f"{PROGRAM}: warning: {path} differs from the one of {origin} that the figures in docs/ are of", file=sys.stderr)
    except OSError as wrong:
        stop(8, f"{wrong.filename or out}: {wrong.strerror}")
