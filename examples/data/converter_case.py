"""For tests of the converters beside this file: each is run as a person would, on small inputs made for it."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent


class ConverterCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-converter-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.out = self.folder / "out"

    def convert(self, program, *arguments, status=0):
        """Runs a converter with --out; returns what it said on stdout, or on stderr where it is to fail."""
        command = [sys.executable, str(HERE / program), "--out", str(self.out), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done.stderr if status else done.stdout

    def lines(self, name):
        return (self.out / name).read_text().splitlines()

    def assert_nothing_written(self):
        self.assertEqual(list(self.out.iterdir()) if self.out.exists() else [], [])
