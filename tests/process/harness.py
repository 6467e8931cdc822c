"""Runs the sluice binary as a user would, in folders of its own, and looks for what it leaves behind. Used by the *_test.py here: FILE SLUICE REPOSITORY."""
import glob
import gzip
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SLUICE = os.path.abspath(sys.argv[1]) if len(sys.argv) > 2 else ""
REPOSITORY = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else ""

PIXELS = 8
CLASSES = 4
PATIENCE = 4  # how much longer than a quiet machine needs anything is waited for


def write_idx(folder, rows, seed=1):
    """Images of 8 × 8 bytes: noise, and a bright row that tells the class."""
    draw = random.Random(seed)
    labels = bytes(draw.randrange(CLASSES) for _ in range(rows))
    images = bytearray()
    for label in labels:
        image = bytearray(draw.randrange(60) for _ in range(PIXELS * PIXELS))
        for column in range(PIXELS):
            image[(2 * label) * PIXELS + column] = 150 + draw.randrange(100)
        images += image
    with gzip.open(os.path.join(folder, "images.gz"), "wb", compresslevel=1) as file:
        file.write(struct.pack(">IIII", 0x803, rows, PIXELS, PIXELS) + bytes(images))
    with open(os.path.join(folder, "labels"), "wb") as file:
        file.write(struct.pack(">II", 0x801, rows) + labels)


def job(name, epochs=2, **more):
    return {"name": name, "model": "softmax", "data": "tiny", "optimizer": {"name": "sgd", "lr": 0.1}, "batch": 32, "epochs": epochs, **more}


class ProcessTest(unittest.TestCase):
    """Each test has its own folder with data, its own place for sockets and caches."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="sluice-test-")
        self.runtime = os.path.join(self.folder, "r")
        os.mkdir(self.runtime, 0o700)
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": self.runtime, "XDG_CACHE_HOME": os.path.join(self.folder, "cache"),
                            "XDG_STATE_HOME": os.path.join(self.folder, "state")}
        for name in ("SLUICE_MANAGER", "NO_COLOR"):
            self.environment.pop(name, None)
        write_idx(self.folder, 2000)
        self.started = []

    def tearDown(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        # Whatever a test did: no process of ours may live on. Given a moment, for orphans end by themselves.
        left = self.wait_until(lambda: not self.processes(), 6) or self.processes()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.assertEqual(left, True, "processes were left behind")

    # --- what is there ---

    def processes(self):
        """Sluice processes whose command line or environment names this test's folder."""
        found = []
        for path in glob.glob("/proc/[0-9]*/environ"):
            pid = int(path.split("/")[2])
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    state = file.read().rpartition(")")[2].split()[0]
                with open(path, "rb") as file:
                    if state != "Z" and self.runtime.encode() in file.read() and os.readlink(f"/proc/{pid}/exe") == SLUICE:
                        found.append(pid)
            except OSError:
                pass
        return found

    def command_line(self, pid):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode().split("\0")

    def role(self, name):
        """Pid of the running role process of that verb."""
        for pid in self.processes():
            if self.command_line(pid)[1:2] == [name]:
                return pid
        return None

    def socket_folders(self):
        return os.listdir(self.runtime)

    @staticmethod
    def wait_until(holds, seconds):
        """Whether it comes to hold; PATIENCE is for slow machines and costs nothing elsewhere."""
        end = time.monotonic() + PATIENCE * seconds
        while time.monotonic() < end:
            if holds():
                return True
            time.sleep(0.05)
        return bool(holds())

    # --- doing ---

    def run_file(self, jobs, name="tiny.yaml", **more):
        document = {"cluster": {"servers": 1, "slots": 2}, "policy": {"name": "slaq", "round": "100ms"},
                    "data": {"tiny": {"format": "idx", "train": ["images.gz", "labels"], "test": ["images.gz", "labels"]}}, "jobs": jobs, **more}
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)  # JSON is YAML
        return path

    def start(self, *arguments, **more):
        process = subprocess.Popen([SLUICE, *arguments], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        self.started.append(process)
        return process

    def call(self, *arguments):
        """(status, stdout, stderr)"""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60 * PATIENCE)
        return process.returncode, out, err

    def call_within(self, limit, *arguments):
        """As call, for a command that changes nothing and must answer within `limit` seconds, the program's reading from disk not counted: the best of three tries."""
        for _ in range(3):
            self.call("--version")
            began = time.monotonic()
            answer = self.call(*arguments)
            took = time.monotonic() - began
            if took < limit:
                break
        self.assert_within(took, limit, arguments)
        return answer

    def assert_within(self, took, limit, what):
        """Where the machine stands still for moments, so that even a process that does nothing takes half a second at times, the limit can't be judged and that is said."""
        if took < limit:
            return
        idle = self.slowest_start()
        self.assertGreater(idle, 0.5, f"{what} took {took:.1f} s, more than {limit}")
        print(f"not judged: {what} took {took:.1f} s, on a machine where starting a process takes up to {idle:.1f} s", file=sys.stderr)

    @staticmethod
    def slowest_start(tries=10):
        """Seconds; a quiet machine needs 0.02."""
        slowest = 0.0
        for _ in range(tries):
            time.sleep(0.2)
            began = time.monotonic()
            subprocess.run([sys.executable, "-S", "-c", ""], check=True)
            slowest = max(slowest, time.monotonic() - began)
        return slowest

    def summary(self, out):
        with open(os.path.join(self.folder, out, "summary.json"), encoding="utf-8") as file:
            return json.load(file)

    def training(self, out, prefix):
        """True once a job of that name's beginning in the run in `out` has had its first loss reported."""
        try:
            with open(os.path.join(self.folder, out, "losses.csv"), encoding="utf-8") as file:
                return any(line.startswith(prefix) for line in file)
        except FileNotFoundError:
            return False


class ClusterTest(ProcessTest):
    """Against clusters of `up`, which stay until `down`."""

    def tearDown(self):
        self.call("down")
        super().tearDown()

    def well(self, *arguments):
        """What it printed; it must not fail."""
        status, out, err = self.call(*arguments)
        self.assertEqual(status, 0, err)
        return out

    def up(self, *more):
        return self.well("up", "--slots", "2", "--round-ms", "100", *more)

    def state(self, *name):
        return os.path.join(self.folder, "state", "sluice", *name)

    def roles(self):
        with open(self.state("cluster.json"), encoding="utf-8") as file:
            return {role["role"]: role["pid"] for role in json.load(file)["roles"]}

    def jobs(self):
        return {job["job"]: job for job in json.loads(self.well("ps", "--json"))["jobs"]}


def main():
    sys.argv = sys.argv[:1] + sys.argv[3:]
    unittest.main(verbosity=2)
