#!/usr/bin/env python3
"""Every command of README.md does what it says: each ```sh block is run, in order, in one folder; long ones shortened by arguments that a user has too."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

import harness

# A command's beginning → what is added to it, so that it ends soon. Nothing else of a command is changed.
SHORTENED = {
    "build/release/sluice run examples/sweep.yaml --policy": " --set 'jobs.*.epochs=1' --set 'jobs.*.submit_after=0s'",
}
# Commands that this test can't run from within, and why.
SKIPPED = {
    "scripts/test": "it is what runs this test",
    "scripts/run": "runs below, with fewer epochs and its output elsewhere",
}


def commands():
    with open(os.path.join(harness.REPOSITORY, "README.md"), encoding="utf-8") as file:
        for block in re.findall(r"^```sh\n(.*?)^```", file.read(), re.M | re.S):
            yield from (line for line in block.splitlines() if line and not line.startswith("#"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Readme(unittest.TestCase):
    def setUp(self):
        # The repository as it is, but with an out/ of its own.
        self.folder = tempfile.mkdtemp(prefix="sluice-readme-")
        for name in ("examples", "scripts", "docs"):
            os.symlink(os.path.join(harness.REPOSITORY, name), os.path.join(self.folder, name))
        os.makedirs(os.path.join(self.folder, "build", "release"))
        os.symlink(harness.SLUICE, os.path.join(self.folder, "build", "release", "sluice"))
        os.symlink(os.path.join(harness.REPOSITORY, "build", "data"), os.path.join(self.folder, "build", "data"))

    def tearDown(self):
        # Where a command in between failed, the cluster of `sluice up` is still there.
        subprocess.run([harness.SLUICE, "down"], env={**os.environ, "XDG_STATE_HOME": os.path.join(self.folder, "state")}, capture_output=True, check=False)
        shutil.rmtree(self.folder)

    def run_command(self, command, cwd, seconds=240):
        environment = {**os.environ, "SLUICE_PORT": str(free_port()), "XDG_STATE_HOME": os.path.join(self.folder, "state")}
        done = subprocess.run(["bash", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def test_commands(self):
        ran = 0
        for command in commands():
            if command in SKIPPED:
                continue
            for beginning, addition in SHORTENED.items():
                command += addition if command.startswith(beginning) else ""
            command = command.replace("examples/cluster.sh", "examples/cluster.sh build/release/sluice")
            with self.subTest(command):
                self.assertTrue(self.run_command(command, self.folder), "it printed nothing")
                ran += 1
        self.assertGreaterEqual(ran, 6)

    def test_the_first_command(self):
        if harness.SLUICE != os.path.join(harness.REPOSITORY, "build", "release", "sluice"):
            self.skipTest("scripts/run builds and runs build/release/sluice, and this is another build")
        out = self.run_command(f"scripts/run --set 'jobs.*.epochs=1' --out {self.folder}/first", harness.REPOSITORY, seconds=600)
        self.assertIn("HELD-OUT accuracy", out)


if __name__ == "__main__":
    harness.main()
