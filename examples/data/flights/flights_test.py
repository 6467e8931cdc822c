"""The flights: what rows.mjs makes of them, in node's own test runner, and how flights.mjs stops. Skipped where there is no node."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
NODE = shutil.which("node")


@unittest.skipUnless(NODE, "node is not installed (apt-get install nodejs): only the flights need it")
class Flights(unittest.TestCase):
    def test_rows(self):
        done = subprocess.run([NODE, "--test", HERE / "rows_test.mjs"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("# pass 4", done.stdout)

    def convert(self, *arguments):
        return subprocess.run([NODE, HERE / "flights.mjs", *arguments], capture_output=True, text=True, check=False)

    def test_help_and_bad_usage(self):
        self.assertEqual(self.convert("--help").returncode, 0)
        self.assertEqual(self.convert().returncode, 2)
        self.assertEqual(self.convert("--outt", "x").returncode, 2)

    @unittest.skipUnless((HERE / "node_modules" / "hyparquet").is_dir(), "the npm packages beside flights.mjs are not installed: its first run does it")
    def test_what_is_no_parquet_file_is_said_and_nothing_is_written(self):
        with tempfile.TemporaryDirectory(prefix="sluice-converter-") as folder:
            folder = pathlib.Path(folder)
            for name, content in (("junk", b"PAR1 and no more"), ("empty", b"")):
                (folder / name).write_bytes(content)
                done = self.convert("--out", folder / "out", "--source", folder / name)
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertIn(f"{folder / name}: not the flights", done.stderr)
            done = self.convert("--out", folder / "out", "--source", folder / "none")
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("none is missing", done.stderr)
            self.assertEqual(list((folder / "out").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
