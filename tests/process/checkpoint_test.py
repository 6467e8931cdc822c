#!/usr/bin/env python3
"""Checkpoints as a user makes and restores them, and jobs that begin with another's values."""
import json
import os
import shutil
import signal
import subprocess
import time

import harness

LONG = 100_000  # epochs that no test waits for


class Checkpoints(harness.ClusterTest):
    def path(self, *names):
        return os.path.join(self.folder, *names)

    def submit(self, *jobs, **more):
        return self.well("submit", self.run_file(list(jobs), **more))

    def steps(self, name, least):
        self.assertTrue(self.wait_until(lambda: (job := self.jobs()[name])["step"] >= least or job["state"] in ("done", "failed"), 30), f"{name} makes no steps")
        return self.jobs()[name]

    def ended(self, name):
        self.assertTrue(self.wait_until(lambda: self.jobs()[name]["state"] in ("done", "failed", "cancelled"), 60), f"{name} comes to no end")
        return self.jobs()[name]

    def fails(self, status, words, *arguments):
        got, out, err = self.call(*arguments)
        self.assertEqual(got, status, out + err)
        self.assertIn(words, err)
        return err

    def parts(self, folder):
        return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(".part.safetensors"))

    @staticmethod
    def flip(path, at):
        with open(path, "r+b") as file:
            file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 0x04]))

    def test_a_job_goes_on_to_the_last_digit_with_other_servers(self):
        bsp = harness.job("bsp", epochs=120, consistency={"mode": "bsp"}, slots={"min": 2, "max": 2}, optimizer={"name": "adam", "lr": 0.003})
        self.up("--servers", "2")
        self.submit(bsp)
        whole = self.ended("bsp")
        self.assertEqual(whole["state"], "done", whole)
        self.submit(bsp)
        self.steps("bsp", 500)
        out = json.loads(self.well("checkpoint", "bsp", "--to", "kept", "--json"))
        saved = out["jobs"][0]
        self.assertGreaterEqual(saved["step"], 500)
        self.assertLess(saved["step"], whole["step"], "it was over: the test shows nothing")
        self.assertEqual(self.ended("bsp")["validation_loss"], whole["validation_loss"], "a checkpoint changes what is saved")
        self.well("down")
        self.up("--servers", "3")
        self.assertIn(f"bsp: goes on at step {saved['step']}", self.well("restore", "kept"))
        again = self.ended("bsp")
        self.assertEqual(again["state"], "done", again)
        for what in ("validation_loss", "metric", "step", "examples"):
            self.assertEqual(again[what], whole[what], what)
        self.assertEqual(again["first_loss"], whole["first_loss"], "its curve is the whole one")
        self.assertEqual(sorted(os.listdir(self.path("kept"))), ["bsp", "checkpoint.json"])
        self.assertEqual(len(self.parts(self.path("kept"))), 2, "a part for each server there was")

    def test_all_jobs_while_they_train_and_after_a_loss_of_the_server(self):
        self.up("--servers", "2")
        one = {"min": 1, "max": 1}  # so that nothing is left for a third job
        self.submit(harness.job("a", epochs=LONG, slots=one), harness.job("b", epochs=400, slots=one, consistency={"mode": "ssp", "staleness": 2}), harness.job("waits"))
        self.steps("a", 50), self.steps("b", 50)
        out = self.well("checkpoint", "--all", "--to", "kept/")
        self.assertRegex(out, r"a: saved at step \d+, [\d.]+ MB; training stood still for [\d.]+ ms")
        self.assertIn("waits: has not begun: what was asked for is saved", out)
        self.assertEqual([name for name in os.listdir(self.folder) if "saving" in name], [], "the side folder is gone")
        os.kill(self.roles()["server-1"], signal.SIGKILL)
        self.assertEqual(self.ended("a")["state"], "failed")
        self.up()
        self.assertTrue(self.wait_until(lambda: all(job["state"] == "failed" for job in self.jobs().values()), 30))
        self.well("restore", "kept", "a", "b")
        job = self.steps("a", 51)
        self.assertEqual(job["state"], "running", job)
        self.assertEqual(self.ended("b")["examples"], 400 * 2000, "every example once")
        self.fails(2, "there is a job named 'a' already", "restore", "kept", "a")
        self.well("restore", "kept", "a", "--as", "a-2")
        self.steps("a-2", 51)
        self.fails(2, "--as gives one job a name", "restore", "kept", "--as", "x")
        self.fails(2, "unknown job of the checkpoint 'c'", "restore", "kept", "c")
        self.well("cancel", "a", "a-2")

    def test_what_can_not_be_saved_is_said(self):
        self.up()
        self.fails(2, "no job lives", "checkpoint", "--all", "--to", "kept")
        self.submit(harness.job("long", epochs=LONG), harness.job("short"))
        self.steps("long", 10)
        self.assertEqual(self.ended("short")["state"], "done")
        self.fails(2, "job 'short' is done: only a live job can be saved", "checkpoint", "short", "--to", "kept")
        self.fails(2, "unknown job 'lang'; did you mean 'long'?", "checkpoint", "lang", "--to", "kept")
        self.fails(2, "name jobs, or take --all", "checkpoint", "--to", "kept")
        self.fails(2, "name jobs, or take --all", "checkpoint", "long", "--all", "--to", "kept")
        self.fails(2, "is not there", "checkpoint", "long", "--to", "no/where")
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("kept")], [])
        self.well("checkpoint", "long", "--to", "kept")
        before = self.parts(self.path("kept"))
        self.fails(2, "has files in it", "checkpoint", "long", "--to", "kept")
        self.assertEqual(self.parts(self.path("kept")), before, "the one that is there stays")
        self.fails(2, "is no folder", "checkpoint", "long", "--to", "labels")
        self.well("cancel", "long")

    def test_what_can_not_be_restored_is_said_and_nothing_is_submitted(self):
        self.up()
        self.submit(harness.job("long", epochs=LONG))
        self.steps("long", 10)
        self.well("checkpoint", "long", "--to", "kept")
        self.fails(2, "'long'", "restore", "kept")
        self.well("cancel", "long")
        self.fails(2, "nowhere", "restore", "nowhere")
        part = self.parts(self.path("kept"))[0]
        for place in (0, 9, 300, os.path.getsize(part) // 2, -1):
            shutil.copytree(self.path("kept"), self.path("bad"))
            self.flip(part.replace("/kept/", "/bad/"), place)
            self.fails(3, os.path.basename(part), "restore", "bad")
            shutil.rmtree(self.path("bad"))
        shutil.copytree(self.path("kept"), self.path("bad"))
        os.truncate(part.replace("/kept/", "/bad/"), os.path.getsize(part) - 1)
        self.fails(3, os.path.basename(part), "restore", "bad")
        os.remove(part.replace("/kept/", "/bad/"))
        self.fails(2, "no part of a checkpoint is there", "restore", "bad")
        shutil.rmtree(self.path("bad"))
        shutil.copytree(self.path("kept"), self.path("bad"))
        self.flip(self.path("bad", "checkpoint.json"), 40)
        self.fails(3, "checkpoint.json", "restore", "bad")
        self.assertEqual([job["state"] for job in self.jobs().values()], ["cancelled"])
        self.well("restore", "kept")
        self.steps("long", 11)
        self.well("cancel", "long")

    def test_other_data_than_it_was_trained_on(self):
        self.up()
        self.submit(harness.job("one", epochs=LONG))
        self.steps("one", 10)
        self.well("checkpoint", "one", "--to", "kept")
        self.well("cancel", "one")
        self.well("down")  # a worker that runs has the data in memory
        harness.write_idx(self.folder, 1500, seed=2)
        self.up()
        self.well("restore", "kept")
        job = self.ended("one")
        self.assertEqual(job["state"], "failed", job)
        self.assertIn("the data differs from what the checkpoint was trained on", job["reason"])

    def test_a_verb_that_is_killed_and_one_that_is_interrupted_leave_the_job_and_the_one_before(self):
        self.up()
        self.submit(harness.job("long", epochs=LONG))
        self.steps("long", 10)
        self.well("checkpoint", "long", "--to", "first")
        for number, end in enumerate((signal.SIGKILL, signal.SIGINT, signal.SIGKILL)):
            process = self.start("checkpoint", "long", "--to", "second")
            time.sleep(0.01 + 0.02 * number)
            process.send_signal(end)
            process.communicate(timeout=60 * harness.PATIENCE)
            if os.path.exists(self.path("second")):  # it was faster, or its end came between its last two acts
                self.well("restore", "second", "--as", f"whole-{number}")  # reads every byte: it has its name only when it is whole
                self.well("cancel", f"whole-{number}")
                shutil.rmtree(self.path("second"))
            else:
                self.assertNotEqual(process.returncode, 0, "it said that it saved, and nothing is there")
        step = self.jobs()["long"]["step"]
        self.assertGreater(self.steps("long", step + 1)["step"], step, "training stands still")
        self.well("checkpoint", "long", "--to", "third")
        self.well("cancel", "long")
        self.well("restore", "first")
        self.steps("long", 10)
        self.well("cancel", "long")

    def test_a_full_disk(self):
        small = self.path("small")
        os.mkdir(small)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", small], capture_output=True, check=False).returncode != 0:
            self.skipTest("no right to mount a small tmpfs here")
        try:
            self.up()
            self.submit(harness.job("long", epochs=LONG, model="mlp", params={"hidden": [256]}))
            self.steps("long", 10)
            self.fails(8, "No space left on device", "checkpoint", "long", "--to", "small/kept")
            self.assertEqual(os.listdir(small), [])
            step = self.jobs()["long"]["step"]
            self.assertGreater(self.steps("long", step + 1)["step"], step, "training stands still")
            self.well("checkpoint", "long", "--to", "kept")
            self.well("cancel", "long")
        finally:
            self.call("down")
            subprocess.run(["umount", small], check=False)

    def test_init_from_takes_another_jobs_values(self):
        self.assertEqual(self.call("run", self.run_file([harness.job("teacher", epochs=8)]), "--out", "o")[0], 0)
        taught = self.summary("o")["jobs"][0]
        self.up()
        self.submit(harness.job("long", epochs=LONG))
        self.steps("long", 300)
        self.well("checkpoint", "long", "--to", "kept")
        self.well("cancel", "long")
        froms = {"folder": "o/jobs/teacher", "file": "o/jobs/teacher/model.safetensors", "cut": "kept", "cut-job": "kept/long"}
        jobs = [harness.job(f"from-{name}", epochs=1, init_from=path, optimizer={"name": "adam", "lr": 0.0001}) for name, path in froms.items()]
        self.submit(*jobs)
        for name in froms:
            job = self.ended(f"from-{name}")
            self.assertEqual(job["state"], "done", job)
            self.assertEqual(job["examples"], 2000)
            self.assertLess(job["first_loss"], 0.7 * taught["first_loss"], "it did not begin where the other one was")
        for wrong, words in (("o/jobs/pupil", "o/jobs/pupil is not there"), ("images.gz", "is no .safetensors file"), ("r", "is neither a checkpoint nor a finished job's folder")):
            status, _, err = self.call("submit", self.run_file([harness.job("x", init_from=wrong)]))
            self.assertEqual(status, 2, err)
            self.assertIn("init_from", err)
            self.assertIn(words, err)
        self.submit(harness.job("other", model="mlp", params={"hidden": [8]}, init_from="o/jobs/teacher"))
        job = self.ended("other")
        self.assertEqual(job["state"], "failed", job)
        self.assertIn("teacher", job["reason"])

    def test_helps_and_flags(self):
        for verb in ("checkpoint", "restore"):
            self.assertIn("Example:", self.well(verb, "--help"))
        self.fails(2, "--to", "checkpoint", "x")


if __name__ == "__main__":
    harness.main()
