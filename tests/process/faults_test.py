#!/usr/bin/env python3
"""What must hold when a run is interrupted, killed, or meets a machine that isn't as it should be."""
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

import harness
import zmtp

LONG = harness.job("long", epochs=100_000, seed=[1, 2, 3])


class Signals(harness.ProcessTest):
    def start_long_run(self, **more):
        process = self.start("run", self.run_file([LONG]), "--out", "o", **more)
        self.assertTrue(self.wait_until(lambda: self.training("o", "long-"), 20), "it never began to train")
        self.assertEqual(len(self.processes()), 4, "run, manager, server, worker")
        return process

    def assert_nothing_left(self):
        self.assertTrue(self.wait_until(lambda: not self.processes(), 5), "processes live on")
        self.assertTrue(self.wait_until(lambda: not self.socket_folders(), 2), "the folder of the sockets is still there")

    def end_by(self, number):
        process = self.start_long_run()
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=20 * harness.PATIENCE)
        took = time.monotonic() - began
        self.assertEqual(process.returncode, 130, err)
        self.assert_within(took, 6, f"an end by signal {number}")
        self.assertIn(f"interrupted by {signal.Signals(number).name}", err)
        self.assertIn("long-1", out, "the partial summary is shown")
        self.assertEqual({job["job"] for job in self.summary("o")["jobs"]}, {"long-1", "long-2", "long-3"})
        self.assert_nothing_left()

    def test_interrupt(self):
        self.end_by(signal.SIGINT)

    def test_terminate(self):
        self.end_by(signal.SIGTERM)

    def test_hang_up(self):
        self.end_by(signal.SIGHUP)

    def test_kill_of_the_run(self):
        process = self.start_long_run()
        process.kill()
        process.wait()
        self.assert_nothing_left()

    def test_kill_at_any_moment_of_the_start(self):
        file = self.run_file([LONG])
        for i, delay in enumerate((0.01, 0.05, 0.1, 0.2, 0.4)):
            process = self.start("run", file, "--out", f"o{i}")
            time.sleep(delay)
            process.kill()
            process.wait()
            self.assert_nothing_left()

    def test_a_manager_that_is_held_up_at_its_start(self):
        process = self.start("run", self.run_file([harness.job("one")]), "--out", "o")
        self.assertTrue(self.wait_until(lambda: self.role("manager") is not None, 10))
        manager = self.role("manager")
        os.kill(manager, signal.SIGSTOP)
        time.sleep(5)
        os.kill(manager, signal.SIGCONT)
        _, err = process.communicate(timeout=60 * harness.PATIENCE)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(self.summary("o")["jobs"][0]["state"], "done")

    def test_a_manager_that_is_held_up_while_jobs_run(self):
        process = self.start("run", self.run_file([harness.job("one", epochs=100)]), "--out", "o")
        self.assertTrue(self.wait_until(lambda: self.training("o", "one"), 20))
        manager = self.role("manager")
        os.kill(manager, signal.SIGSTOP)
        time.sleep(13)
        os.kill(manager, signal.SIGCONT)
        _, err = process.communicate(timeout=60 * harness.PATIENCE)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(self.summary("o")["jobs"][0]["state"], "done")

    def test_kill_of_the_parent_of_the_run(self):
        file = self.run_file([LONG])
        parent = subprocess.Popen([sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", harness.SLUICE, "run", file, "--out", "o"], cwd=self.folder,
                                  env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.started.append(parent)
        self.assertTrue(self.wait_until(lambda: self.training("o", "long-"), 20))
        parent.kill()
        parent.wait()
        self.assert_nothing_left()
        self.assertTrue(os.path.exists(os.path.join(self.folder, "o", "summary.json")))

    def lose(self, role):
        process = self.start_long_run()
        victim = self.role(role)
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        _, err = process.communicate(timeout=20 * harness.PATIENCE)
        took = time.monotonic() - began
        self.assertEqual(process.returncode, 1, err)
        self.assert_within(took, 8, f"the end after the loss of the {role}")
        self.assertRegex(err, rf"error: the {role}[-0-9]* process was killed by SIGKILL; its log: o/logs/{role}")
        self.assert_nothing_left()

    def test_kill_of_a_worker(self):
        self.lose("worker")

    def test_kill_of_a_server(self):
        self.lose("server")

    def test_kill_of_the_manager(self):
        self.lose("manager")


class Machine(harness.ProcessTest):
    def roles(self, port):
        address = f"tcp://127.0.0.1:{port}"
        return address, ["--insecure-tcp"]

    def free_port(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address, insecure = self.roles(taken.getsockname()[1])
            status, _, err = self.call_within(5, "manager", "--listen", address, "--state", "s", *insecure)
        self.assertEqual(status, 4, err)
        self.assertIn(address, err)

    def test_a_state_folder_in_use(self):
        first = self.start("manager", "--listen", f"ipc://{self.runtime}/a", "--state", "s")
        self.assertTrue(self.wait_until(lambda: os.path.exists(os.path.join(self.runtime, "a")), 5))
        status, _, err = self.call_within(5, "manager", "--listen", f"ipc://{self.runtime}/b", "--state", "s")
        self.assertEqual(status, 4, err)
        first.terminate()
        self.assertEqual(first.wait(5 * harness.PATIENCE), 0)

    def test_no_manager(self):
        address, insecure = self.roles(self.free_port())
        file = self.run_file([harness.job("one")])
        for arguments in (["ps"], ["submit", file], ["explain"], ["worker", "--name", "w"], ["server", "--name", "s", "--listen", "tcp://127.0.0.1:*"]):
            status, _, err = self.call_within(5, *arguments, "--manager", address, *insecure)
            self.assertEqual(status, 4, f"{arguments}: {err}")
            self.assertIn(address, err)

    def test_something_else_listens_there(self):
        """A peer that speaks ZeroMQ's greeting no better than a web server: said, in time, without a crash."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            address, insecure = self.roles(other.getsockname()[1])
            status, _, err = self.call_within(5, "ps", "--manager", address, *insecure)
        self.assertEqual(status, 4, err)

    def test_a_manager_of_another_version(self):
        """Its answers have another protocol version: said by every verb and role, with both versions, in time."""
        manager = zmtp.Listener(lambda frames: [zmtp.with_protocol(frames[0], 60_000)])  # a version that nobody has
        for arguments in (["ps"], ["worker", "--name", "w"], ["server", "--name", "s", "--listen", "tcp://127.0.0.1:*"]):
            status, _, err = self.call_within(5, *arguments, "--manager", manager.address, "--insecure-tcp")
            self.assertEqual(status, 4, f"{arguments}: {err}")
            self.assertRegex(err, r"version", arguments)
        self.assertGreaterEqual(manager.heard, 3)
        manager.close()

    def test_bytes_of_no_protocol_do_not_hurt_a_manager(self):
        port = self.free_port()
        address, insecure = self.roles(port)
        manager = self.start("manager", "--listen", address, "--state", "s", *insecure)
        self.assertTrue(self.wait_until(lambda: self.call("ps", "--manager", address, *insecure)[0] == 0, 10))
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(4096), b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03" + b"\0" * 53):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(garbage)
        status, _, err = self.call("ps", "--manager", address, *insecure)
        self.assertEqual(status, 0, err)
        manager.terminate()
        self.assertEqual(manager.wait(5 * harness.PATIENCE), 0)

    def test_a_cluster_by_hand(self):
        address, insecure = self.roles(self.free_port())
        file = self.run_file([harness.job("one"), harness.job("two")])
        roles = [self.start("manager", "--listen", address, "--state", "s", "--servers", "2", *insecure)]
        for i in (1, 2):
            roles.append(self.start("server", "--name", f"server-{i}", "--manager", address, "--listen", "tcp://127.0.0.1:*", *insecure))
            roles.append(self.start("worker", "--name", f"worker-{i}", "--manager", address, *insecure))
        status, out, err = self.call("submit", file, "--wait", "--manager", address, *insecure)
        self.assertEqual(status, 0, err)
        self.assertIn("two", out)
        status, out, err = self.call("explain", "one", "--manager", address, *insecure)
        self.assertEqual(status, 0, err)
        self.assertIn("0 → ", out)
        for role in roles:
            role.terminate()
        for role in roles:
            self.assertEqual(role.wait(5 * harness.PATIENCE), 0)

    def test_bad_rows(self):
        with open(os.path.join(self.folder, "rows.libsvm"), "w", encoding="utf-8") as file:
            for i in range(500):
                file.write(f"{i % 2} {1 + i % 2}:1 {3 + i % 5}:0.5\n" if i != 77 else "1 3:zero\n")
        data = {"tiny": {"format": "libsvm", "train": "rows.libsvm"}}
        file = self.run_file([harness.job("one")], data=data)
        status, out, err = self.call("run", file, "--out", "o")
        self.assertEqual(status, 3, out + err)
        self.assertIn("rows.libsvm:78", out + err)
        status, out, err = self.call("run", file, "--out", "p", "--max-bad-rows", "1")
        self.assertEqual(status, 0, out + err)

    @staticmethod
    def fill(folder):
        filler = os.open(os.path.join(folder, "filler"), os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(filler, b"x" * 4096) > 0:
                pass
        except OSError:
            pass
        os.close(filler)

    def test_a_full_disk(self):
        small = os.path.join(self.folder, "small")
        os.mkdir(small)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], capture_output=True, check=False).returncode != 0:
            self.skipTest("no right to mount a small tmpfs here")
        try:
            self.fill(small)
            file = self.run_file([harness.job("one")])
            status, _, err = self.call_within(20, "run", file, "--out", os.path.join(small, "o"))
            self.assertEqual(status, 8, err)
            self.assertIn("No space left on device", err)
        finally:
            subprocess.run(["umount", small], check=False)

    def test_a_disk_that_fills_up_while_it_trains(self):
        """Training goes on to the end; what could not be written is named, and the status says so."""
        small = os.path.join(self.folder, "small")
        os.mkdir(small)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], capture_output=True, check=False).returncode != 0:
            self.skipTest("no right to mount a small tmpfs here")
        try:
            out = os.path.join(small, "o")
            process = self.start("run", self.run_file([harness.job("long", epochs=200, seed=[1, 2, 3])]), "--out", out)
            self.assertTrue(self.wait_until(lambda: self.training(out, "long-"), 20))
            self.fill(small)
            _, err = process.communicate(timeout=60 * harness.PATIENCE)
            self.assertIn("No space left on device", err)
            self.assertEqual(process.returncode, 8, err)
        finally:
            process.kill()
            subprocess.run(["umount", small], check=False)


if __name__ == "__main__":
    harness.main()
