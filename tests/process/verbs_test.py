#!/usr/bin/env python3
"""What people order of a running cluster: cancel, pause, resume, set."""
import glob
import json
import os
import unittest

import harness

LONG = 100_000  # epochs that no test waits for


class Orders(harness.ProcessTest):
    """Against the cluster of a `run`."""

    def start_run(self, *jobs):
        process = self.start("run", self.run_file(list(jobs)), "--out", "o")
        self.assertTrue(self.wait_until(lambda: self.training("o", jobs[0]["name"]), 20), "it never began to train")
        self.environment["SLUICE_MANAGER"] = "ipc://" + glob.glob(os.path.join(self.runtime, "sluice-*", "manager.sock"))[0]
        return process

    def order(self, *arguments):
        status, out, err = self.call(*arguments)
        self.assertEqual(status, 0, err)
        return out

    def job(self, name):
        return {job["job"]: job for job in json.loads(self.order("ps", "--json"))["jobs"]}[name]

    def test_a_run_with_a_cancelled_job_is_partly_done(self):
        process = self.start_run(harness.job("long", epochs=LONG), harness.job("short", epochs=400))
        self.assertEqual(self.order("cancel", "long"), "long: cancelled\n")
        self.assertEqual(self.order("cancel", "long"), "long: was cancelled already\n")
        out, err = process.communicate(timeout=60 * harness.PATIENCE)
        self.assertEqual(process.returncode, 8, err)
        self.assertIn("1 job was cancelled", err)
        self.assertRegex(out, r"long +cancelled")
        self.assertEqual({job["job"]: job["state"] for job in self.summary("o")["jobs"]}, {"long": "cancelled", "short": "done"})
        out = self.order("explain", "long", "--out", "o")
        self.assertIn("asked: cancelled; it was running with", out)
        self.assertIn("cancelled: cancelled as asked", out)

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
        self.assertIn("paused: paused: it holds no worker slots", out)
        self.order("cancel", "a", "b")
        process.communicate(timeout=60 * harness.PATIENCE)
        self.assertEqual(process.returncode, 8)

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


if __name__ == "__main__":
    harness.main()
