#!/usr/bin/env python3
"""What people order of a running cluster: cancel, pause, resume, set; a cluster that stays (up, down); what its roles said (logs)."""
import json
import os
import select
import signal
import time

import harness

LONG = 100_000  # epochs that no test waits for


class Orders(harness.ProcessTest):
    """Against the cluster of a `run`."""

    def start_run(self, *jobs):
        process = self.start("run", self.run_file(list(jobs)), "--out", "o")
        self.assertTrue(self.wait_until(lambda: self.training("o", jobs[0]["name"]), 20), "it never began to train")
        while "--manager" not in (line := process.stderr.readline()):  # as a person would find it
            self.assertNotEqual(line, "")
        self.environment["SLUICE_MANAGER"] = line.split()[-1]
        return process

    def order(self, *arguments):
        status, out, err = self.call(*arguments)
        self.assertEqual(status, 0, err)
        return out

    def job(self, name):
        return {job["job"]: job for job in json.loads(self.order("ps", "--json"))["jobs"]}[name]

    def test_a_run_with_a_cancelled_job_is_partly_done(self):
        process = self.start_run(harness.job("long", epochs=LONG), harness.job("short", epochs=300))
        self.order("pause", "short")  # so that the run is there as long as it is asked
        self.assertEqual(self.order("cancel", "long"), "long: cancelled\n")
        self.assertEqual(self.order("cancel", "long"), "long: was cancelled already\n")
        self.assertTrue(self.wait_until(lambda: self.job("long")["freed"], 5), "the servers keep its tables")
        self.order("resume", "short")
        out, err = process.communicate(timeout=60 * harness.PATIENCE)
        self.assertEqual(process.returncode, 8, err)
        self.assertIn("1 job was cancelled", err)
        self.assertRegex(out, r"long +cancelled")
        self.assertEqual({job["job"]: job["state"] for job in self.summary("o")["jobs"]}, {"long": "cancelled", "short": "done"})
        out = self.order("explain", "long", "--out", "o")
        self.assertIn("asked: cancelled; it was running with", out)
        self.assertIn("cancelled: as asked", out)

    def test_pause_and_resume(self):
        process = self.start_run(harness.job("a", epochs=LONG), harness.job("b", epochs=LONG))
        self.assertEqual(self.order("pause", "a"), "a: paused\n")
        self.assertTrue(self.wait_until(lambda: self.job("b")["slots"] == 2, 2), "b never got the slots")
        self.assertEqual((self.job("a")["state"], self.job("a")["slots"]), ("paused", 0))
        self.assertTrue(self.wait_until(lambda: self.job("a")["step"] > 0 and self.job("a")["step"] == self.job("a")["step"], 2))
        step = self.job("a")["step"]
        self.assertRegex(self.order("ps"), r"\na +paused +0 ")
        self.assertEqual(self.order("resume", "a"), "a: resumed\n")
        self.assertTrue(self.wait_until(lambda: self.job("a")["step"] > step, 5), "it does not go on")
        out = self.order("explain", "a")
        self.assertIn("asked: paused; it was running with", out)
        self.assertIn("paused: it holds no worker slots", out)
        self.assertIn("  its next slot: ", out)
        self.assertIn("  held by: b (", out)
        self.assertIn("if job b ended it would have 2 slots", out)
        self.assertRegex(self.order("explain", "--prior"), r"\nsoftmax +\d+ ")
        self.order("cancel", "a", "b")
        process.communicate(timeout=60 * harness.PATIENCE)
        self.assertEqual(process.returncode, 8)

    def test_nothing_is_lost_by_pauses(self):
        epochs = 300
        process = self.start_run(harness.job("a", epochs=epochs), harness.job("b", epochs=LONG))
        pauses = 0
        while pauses < 5 and self.call("pause", "a")[0] == 0:  # where processes start slowly it is over before
            pauses += 1
            self.assertTrue(self.wait_until(lambda: self.job("a")["slots"] == 0, 2))
            self.order("resume", "a")
            self.assertTrue(self.wait_until(lambda: self.job("a")["slots"] > 0 or self.job("a")["state"] == "done", 5))
        self.assertTrue(pauses == 5 or self.job("a")["state"] == "done", "it can't be paused")
        self.assertGreater(pauses, 0)
        self.assertTrue(self.wait_until(lambda: self.job("a")["state"] == "done", 60))
        self.assertEqual(self.job("a")["examples"], epochs * 2000)
        self.assertGreater(self.job("a")["metric"], 0.9)
        self.order("cancel", "b")
        process.communicate(timeout=60 * harness.PATIENCE)
        self.assertEqual(process.returncode, 8)
        # A model is kept of what came to its end.
        self.assertEqual(os.listdir(os.path.join(self.folder, "o", "jobs")), ["a"])

    def test_set(self):
        process = self.start_run(harness.job("a", epochs=LONG), harness.job("b", epochs=LONG))
        self.assertEqual(self.order("set", "a", "slots.min=2", "weight=0.5"), "a: weight 1 → 0.5, slots.min 0 → 2\n")
        self.assertTrue(self.wait_until(lambda: self.job("a")["slots"] == 2, 2))
        self.assertIn("weight 0.5, slots 2…", self.order("ps"))
        self.assertIn("weight 0.5, slots 2…", self.order("explain", "a"))
        self.order("set", "a", "slots.min=0", "slots.max=1")
        self.assertTrue(self.wait_until(lambda: self.job("b")["slots"] >= 1 and self.job("a")["slots"] <= 1, 2))
        for wrong, words in ((["epochs=3"], "'epochs' cannot be changed while a job lives; what can: slots.max, slots.min, weight"), (["weight=much"], 'weight must be a number above 0, not "much"'),
                             (["slots.max=0"], "slots.max must be a whole number from 1 to 1024, not 0"), (["weight"], "'weight' must be KEY=VALUE")):
            status, _, err = self.call("set", "a", *wrong)
            self.assertEqual(status, 2, err)
            self.assertIn(words, err)
        for verb in (["set", "aa", "weight=1"], ["cancel", "aa"], ["pause", "a", "aa"], ["resume", "aa"]):
            status, _, err = self.call(*verb)
            self.assertEqual(status, 2, err)
            self.assertIn("unknown job 'aa'; did you mean 'a'?", err)
        self.assertNotEqual(self.job("a")["state"], "paused")
        answer = json.loads(self.order("cancel", "a", "b", "--json"))
        self.assertEqual([job["state"] for job in answer["jobs"]], ["cancelled", "cancelled"])
        process.communicate(timeout=60 * harness.PATIENCE)


class Up(harness.ClusterTest):
    """A cluster that stays until `down`, whatever happens to it."""

    def assert_nothing_left(self):
        self.assertEqual(self.processes(), [])
        self.assertEqual(self.socket_folders(), [])
        for name in ("sockets", "cluster.json"):
            self.assertFalse(os.path.exists(self.state(name)), name)

    def test_up_jobs_down(self):
        out = self.up()
        self.assertIn("up: 2 worker slots, 1 server, policy sluice", out)
        roles = self.roles()
        self.assertEqual(set(roles), {"manager", "server-1", "worker"})
        for pid in roles.values():
            self.assertEqual(os.getsid(pid), pid, "a session of its own")
        self.assertEqual(os.stat(self.state("sockets")).st_mode & 0o777, 0o700)
        self.assertIn("up already", self.up())
        self.assertEqual(self.roles(), roles)
        status, _, err = self.call("up", "--slots", "3")
        self.assertEqual(status, 2)
        self.assertIn("is up with 2 worker slots", err)
        self.assertIn("sluice down", err)
        file = self.run_file([harness.job("one"), harness.job("two")])
        for _ in range(2):  # the names are free again
            self.assertIn("two  done", self.well("submit", file, "--wait"))
        self.assertIn("0 → ", self.well("explain", "one"))
        self.assertIn("w: 64 × 4", self.well("export", "one", "--to", os.path.join(self.folder, "exported")))
        self.assertIn("job two: done", self.well("logs", "manager"))
        self.assertIn("3 processes have ended", self.well("down"))
        self.assert_nothing_left()
        self.assertIn("nothing is up", self.well("down"))
        status, _, err = self.call("ps")
        self.assertEqual(status, 2)
        self.assertIn("start one here with 'sluice up'", err)
        self.assertIn("job two: done", self.well("logs", "manager"), "what was written stays")

    def test_a_folder_of_its_own(self):
        self.up()
        self.assertIn("--dir", self.up("--dir", "other", "--policy", "fair"))
        self.assertEqual(len(self.processes()), 6)
        self.assertEqual(json.loads(self.well("ps", "--dir", "other", "--json"))["policy"], "fair")
        self.assertEqual(json.loads(self.well("ps", "--json"))["policy"], "sluice")
        self.well("down", "--dir", "other")
        self.assertEqual(len(self.processes()), 3)
        self.well("ps")

    def test_a_folder_of_a_run_is_left_alone(self):
        self.assertEqual(self.call("run", self.run_file([harness.job("one")]), "--out", "o")[0], 0)
        status, _, err = self.call("up", "--dir", "o")
        self.assertEqual(status, 4, err)
        self.assertIn("is the output folder of a run", err)

    def test_a_folder_with_a_long_path(self):
        long = os.path.join("d" * 60, "e" * 60)
        self.up("--dir", long)
        self.assertEqual(len(self.socket_folders()), 1)
        self.well("ps", "--dir", long)
        self.well("down", "--dir", long)
        self.assertEqual(self.socket_folders(), [])

    def test_wrong_flags_start_nothing(self):
        for wrong, words in ((["--slots", "many"], "--slots must be auto (one a core) or a number from 1 to 256, not 'many'"), (["--slots", "0"], "not '0'"), (["--policy", "slak"], "did you mean 'slaq'?"),
                             (["--servers", "0"], "--servers")):
            status, _, err = self.call("up", *wrong)
            self.assertEqual(status, 2, err)
            self.assertIn(words, err)
        self.assertEqual(self.processes(), [])
        with open(os.path.join(self.folder, "file"), "w", encoding="utf-8"):
            pass
        status, _, err = self.call("up", "--dir", "file")
        self.assertEqual(status, 8, err)
        self.assertIn("choose another folder with --dir", err)

    def test_what_was_ordered_outlives_down_and_up(self):
        self.up()
        file = self.run_file([harness.job("a", epochs=LONG), harness.job("b", epochs=LONG)])
        self.well("submit", file)
        self.assertTrue(self.wait_until(lambda: self.jobs()["b"]["step"] > 0, 10))
        self.well("pause", "a")
        self.well("set", "b", "slots.max=1")
        status, _, err = self.call("down")
        self.assertEqual(status, 0, err)
        self.assertIn("2 jobs are not over: the next sluice up with this folder begins them anew", err)
        self.up()
        self.assertTrue(self.wait_until(lambda: self.jobs()["b"]["step"] > 0, 10), "it does not begin anew")
        self.assertEqual((self.jobs()["a"]["state"], self.jobs()["b"]["slots_max"]), ("paused", 1))
        self.assertEqual(self.well("resume", "a"), "a: resumed\n")
        self.assertTrue(self.wait_until(lambda: self.jobs()["a"]["step"] > 0, 10))
        self.well("cancel", "a", "b")

    def lose(self, role):
        """Kills a role; the verbs say so in words, `up` starts it again, and jobs run."""
        self.up()
        self.well("submit", self.run_file([harness.job("long", epochs=LONG)]))
        self.assertTrue(self.wait_until(lambda: self.jobs()["long"]["step"] > 0, 10))
        before = self.roles()
        os.kill(before[role], signal.SIGKILL)
        self.assertTrue(self.wait_until(lambda: before[role] not in self.processes(), 2))
        if role == "manager":
            status, _, err = self.call("ps")
            self.assertEqual(status, 4)
            self.assertIn("'sluice up' starts it again", err)
        self.assertIn("up again", self.up())
        after = self.roles()
        self.assertEqual({name for name in after if after[name] != before[name]}, {role})
        self.assertIn("done", self.well("submit", self.run_file([harness.job("one")]), "--wait"))
        state = self.jobs()["long"]["state"]
        self.assertEqual(state, "failed" if role == "server-1" else "running", "values are in the server alone")
        self.well("down")
        self.assert_nothing_left()

    def test_kill_of_the_manager(self):
        self.lose("manager")

    def test_kill_of_the_worker(self):
        self.lose("worker")

    def test_kill_of_the_server(self):
        self.lose("server-1")

    def test_kill_of_all_then_down_or_up(self):
        for verb in ("down", "up"):
            self.up()
            for pid in self.roles().values():
                os.kill(pid, signal.SIGKILL)
            self.assertTrue(self.wait_until(lambda: not self.processes(), 2))
            out = self.well(verb)
            self.assertIn("nothing of it ran any more" if verb == "down" else "up: ", out)
            self.well("down")
            self.assert_nothing_left()

    def test_kill_of_some_then_down(self):
        self.up()
        for role in ("manager", "worker"):
            os.kill(self.roles()[role], signal.SIGKILL)
        self.assertIn("1 processes have ended", self.well("down"))
        self.assert_nothing_left()

    def test_a_pid_that_another_process_has_by_now_is_left_alone(self):
        self.up()
        pids = self.roles()
        with open(self.state("cluster.json"), encoding="utf-8") as file:
            document = json.load(file)
        self.well("down")
        for role in document["roles"]:
            role["pid"] = os.getpid()  # ours, but not its start
        with open(self.state("cluster.json"), "w", encoding="utf-8") as file:
            json.dump(document, file)
        self.assertIn("nothing of it ran any more", self.well("down"))
        with open(self.state("cluster.json"), "w", encoding="utf-8") as file:
            json.dump(document, file)
        self.assertIn("up: ", self.up())
        self.assertEqual(set(self.roles().values()) & set(pids.values()), set())
        self.well("down")
        with open(self.state("cluster.json"), "w", encoding="utf-8") as file:
            file.write("{")
        for verb in ("up", "down", "ps"):
            status, _, err = self.call(verb)
            self.assertEqual(status, 3, err)
            self.assertIn("then remove the file", err)
        os.remove(self.state("cluster.json"))

    def test_kill_of_up_at_any_moment(self):
        for delay in (0.002, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2):
            process = self.start("up", "--slots", "2", "--servers", "3")
            time.sleep(delay)
            process.kill()
            process.wait()
            self.well("down")
            self.assert_nothing_left()

    def test_an_interrupted_up_leaves_nothing(self):
        process = self.start("up", "--slots", "2", "--servers", "3")
        self.assertTrue(self.wait_until(lambda: len(self.processes()) > 2 or process.poll() is not None, 5))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20 * harness.PATIENCE)
        self.assertIn(process.returncode, (0, 130), err)  # 0: it was quicker
        if process.returncode == 130:
            self.assert_nothing_left()

    def test_many_at_once_start_one(self):
        processes = [self.start("up", "--slots", "1") for _ in range(5)]
        codes = sorted(process.wait(30 * harness.PATIENCE) for process in processes)
        self.assertEqual(codes[0], 0)
        self.assertTrue(set(codes) <= {0, 4}, codes)
        self.assertEqual(len(self.processes()), 3)

    def test_a_role_that_does_not_end_is_killed(self):
        self.up()
        os.kill(self.roles()["worker"], signal.SIGSTOP)
        status, out, err = self.call("down")
        self.assertEqual(status, 0, err)
        self.assertIn("the worker did not end within 5 s and was killed", err)
        self.assertIn("3 processes have ended", out)
        self.assert_nothing_left()


class Logs(harness.ProcessTest):
    def setUp(self):
        super().setUp()
        status, _, err = self.call("run", self.run_file([harness.job("one")]), "--out", "o")
        self.assertEqual(status, 0, err)

    def logs(self, *arguments):
        status, out, err = self.call("logs", "--out", "o", *arguments)
        self.assertEqual(status, 0, err)
        return out.splitlines()

    def test_all_roles_by_time(self):
        lines = self.logs()
        times = [line[:23] for line in lines]
        self.assertEqual(times, sorted(times))
        self.assertEqual({line.split()[2] for line in lines}, {"manager", "server-1", "worker"})
        self.assertEqual(self.logs("-n", "2"), lines[-2:])
        self.assertEqual({line.split()[2] for line in self.logs("server")}, {"server-1"})
        self.assertEqual(len(self.logs("manager", "worker", "server-1")), len(lines))
        self.assertEqual(self.logs("--level", "error"), [])
        for line, document in zip(lines, self.logs("--json")):
            self.assertIn(json.loads(document)["message"], line)

    def test_what_is_not_there(self):
        for arguments, words in ((["logs", "--out", "o", "sevrer-1"], "did you mean 'server-1'?"), (["logs", "--out", "o", "--level", "wran"], "did you mean 'warn'?"), (["logs", "--out", "nowhere"], "nowhere/logs: there are no logs"),
                                 (["logs"], "or of sluice up?")):
            status, out, err = self.call(*arguments)
            self.assertEqual((status, out), (2, ""), err)
            self.assertIn(words, err)

    def test_follow(self):
        process = self.start("logs", "--out", "o", "manager", "--follow", "-n", "0")
        log = os.path.join(self.folder, "o", "logs", "manager.log")
        new = "2999-01-01 00:00:00.000 manager info: new\n"

        def heard():
            # What is written before it follows is not news: so again and again, for nothing outside shows when it does.
            with open(log, "a", encoding="utf-8") as file:
                file.write(new)
            return select.select([process.stdout], [], [], 0.2)[0] or process.poll() is not None

        self.assertTrue(self.wait_until(heard, 10), "it follows nothing")
        self.assertEqual(process.stdout.readline(), new)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10 * harness.PATIENCE)
        self.assertEqual((process.returncode, out.replace(new, ""), err), (130, "", ""))
        # Whoever reads leaves: it ends.
        process = self.start("logs", "--out", "o", "--follow")
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(10 * harness.PATIENCE), 0)


if __name__ == "__main__":
    harness.main()
