#!/usr/bin/env python3
"""Plug-ins as a user has them: built outside of the tree against an installed Sluice, run in slot processes, and gone wrong in every way that was thought of.
Usage: plugin_test.py SLUICE REPOSITORY; the build folder is the binary's."""
import glob
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
EPOCHS = 3

# What a bad model does, and what its job's words must say.
BAD = {
    "throw": "the third batch is one too many",
    "throw-int": "no std::exception",
    "nan-loss": "not finite",
    "nan-gradient": "(?i)nan|not finite",
    "unwritten": "(?i)nan|not finite",
    "overrun": "wrote behind the end of an update's memory",
    "segfault": "killed by SIGSEGV; its last words: about to read what is not there",
    "abort": "killed by SIGABRT",
    "exit": "ended by itself with status 3",
    "loop": "did not answer within 1 s",
    "sleep": "did not answer within 1 s",
    "allocate": "out of memory; model 'bad' may have 512 MiB",
    "evaluate": "scored .* of .* rows",
    "no-tables": "declares 0 tables",
    "no-columns": "cols must be",
    "make": "made to fail",
    "make-loop": "did not answer within 1 s",
    "keys": "not sorted and distinct",
}

# What is wrong with a plug-in's table, and the words.
ODD = {
    "MAGIC": "its plug-in table is damaged",
    "VERSION": "built for version 99 of the plug-in ABI, and this sluice has version 1: build it again",
    "SIZES": "its structs have other sizes than this sluice's",
    "FUNCTION": "functions of its plug-in table are missing",
    "NAME": "its model's name is not 1 to 64 of a-z 0-9",
}


def command(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def setUpModule():
    """An installed Sluice, and the plug-ins, built once."""
    global PREFIX, BUILT
    BUILT = tempfile.mkdtemp(prefix="sluice-plugins-")
    PREFIX = os.path.join(BUILT, "installed")
    command("cmake", "--install", os.path.dirname(harness.SLUICE), "--prefix", PREFIX)
    include = "-I" + os.path.join(PREFIX, "include")
    source = os.path.join(HERE, "plugins")
    command("c++", "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", include, f"{source}/bad.cc", "-o", plugin("bad"))
    command("c++", "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", include, f"{source}/kmeans.cc", "-o", plugin("kmeans"))
    for odd in ODD:
        command("cc", "-Wall", "-Werror", "-fPIC", "-shared", include, f"-DODD={odd}", f"{source}/odd.c", "-o", plugin(odd))
    with open(os.path.join(BUILT, "empty.c"), "w", encoding="utf-8") as file:
        file.write("int nothing;\n")
    command("cc", "-fPIC", "-shared", os.path.join(BUILT, "empty.c"), "-o", plugin("empty"))
    with open(plugin("text"), "w", encoding="utf-8") as file:
        file.write("no shared object\n" * 100)


def tearDownModule():
    shutil.rmtree(BUILT, ignore_errors=True)


def plugin(name):
    return os.path.join(BUILT, f"lib{name}.so")


def slot_processes(folder_or_parent=None):
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                words = file.read().split(b"\0")
            if os.readlink(path.replace("cmdline", "exe")) != os.path.realpath(harness.SLUICE):
                continue
            with open(path.replace("cmdline", "stat"), encoding="utf-8") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if words[1:2] == [b"slot-process"] and fields[0] != "Z" and (folder_or_parent is None or int(fields[1]) == folder_or_parent):
            found.append(int(path.split("/")[2]))
    return found


class Plugins(harness.ProcessTest):
    def bad(self, what, **more):
        return harness.job(what, model=plugin("bad"), params={"what": what}, epochs=EPOCHS, limits={"call": "1s", "memory_mb": 512}, **more)

    def test_every_bad_model_fails_its_own_job_with_its_own_words(self):
        good = [harness.job("fine", epochs=EPOCHS), harness.job("also-fine", model=plugin("bad"), epochs=EPOCHS), self.bad("print"), self.bad("nothing")]
        file = self.run_file([self.bad(what) for what in BAD] + good)
        status, _, err = self.call("run", file, "--out", "o")
        self.assertEqual(status, 1, err)
        jobs = {job["job"]: job for job in self.summary("o")["jobs"]}
        for what, words in BAD.items():
            self.assertEqual(jobs[what]["state"], "failed", jobs[what])
            self.assertRegex(jobs[what]["reason"], words)
        for job in good:
            self.assertEqual(jobs[job["name"]]["state"], "done", jobs[job["name"]])
            self.assertEqual(jobs[job["name"]]["examples"], EPOCHS * 2000)
        self.assertEqual(slot_processes(), [], "slot processes were left behind")
        with open(os.path.join(self.folder, "o", "logs", "worker.log"), encoding="utf-8") as log:
            said = log.read()
        self.assertIn("says: line 0 on standard output", said)
        self.assertIn("says more, which is left out", said)

    def test_files_that_are_no_plug_ins_are_refused_before_anything_starts(self):
        words = {**ODD, "empty": "it has no 'sluice_plugin_v1'",
                 "text": "invalid ELF header|file too short", "nowhere": "No such file"}
        for name, expected in words.items():
            status, _, err = self.call("run", self.run_file([harness.job("one", model=plugin(name))]), "--out", "o")
            self.assertEqual(status, 2, err)
            self.assertRegex(err, expected)
            self.assertRegex(err, r"tiny.yaml:1:\d+: ")
            self.assertEqual(self.call("model", "check", plugin(name))[0], 2)
        status, _, err = self.call("run", self.run_file([harness.job("one", model=plugin("bad"), params={"whta": "throw"})]), "--dry-run")
        self.assertEqual(status, 2, err)
        self.assertIn("unknown parameter 'whta' of model 'bad'; known: what", err)
        status, _, err = self.call("run", self.run_file([harness.job("one", limits={"call": "1s"})]), "--dry-run")
        self.assertEqual(status, 2, err)
        self.assertIn("'limits' are a plug-in's", err)

    def test_a_plug_in_that_changes_under_its_job_is_refused(self):
        changing = os.path.join(self.folder, "libchanging.so")
        shutil.copy(plugin("bad"), changing)
        self.call("up", "--slots", "1")
        try:
            for after in (4, 12, 36):  # until it was changed in time, on a slow machine too
                jobs = [harness.job(f"first-{after}", epochs=1), harness.job(f"second-{after}", model="./libchanging.so", submit_after=f"{after}s")]
                submit = self.start("submit", self.run_file(jobs))
                self.assertTrue(self.wait_until(lambda: f'"first-{after}"' in self.call("ps", "--json")[1], 10))  # so the file was read
                with open(changing + ".new", "wb") as new, open(changing, "rb") as old:
                    new.write(old.read() + b"changed")
                os.rename(changing + ".new", changing)
                in_time = f'"second-{after}"' not in self.call("ps", "--json")[1]
                submit.communicate(timeout=60 * harness.PATIENCE)
                if in_time:
                    break
            told = lambda: "has changed since its job was submitted" in self.call("explain", f"second-{after}")[1] + self.call("ps", "--json")[1]
            self.assertTrue(self.wait_until(told, 10), self.call("ps", "--json")[1])
        finally:
            self.call("down")

    def test_an_optimizer_for_a_plug_in_that_gives_no_gradients_is_refused_with_its_place(self):
        for more, words in [({"optimizer": {"name": "adam"}}, "model 'k-means' gives no gradients: .* take 'optimizer' out"),
                            ({"consistency": {"local_steps": 4}}, "model 'k-means' gives no gradients, so a slot can take no local steps")]:
            job = {"name": "clusters", "model": plugin("kmeans"), "data": "tiny", **more}
            status, _, err = self.call("run", self.run_file([job]), "--dry-run")
            self.assertEqual(status, 2, err)
            self.assertRegex(err, r"tiny.yaml:1:\d+: " + words)

    def test_a_plug_in_with_phases_does_what_the_built_in_one_does(self):
        """Clusters that lie far apart: both find them, and end at the same centroids. Passes go over two worker slots and two servers."""
        plain = {"data": "tiny", "batch": 64, "epochs": 20}
        jobs = [{"name": "built-in", "model": "kmeans", "params": {"k": 4, "tol": 0}, **plain}]
        for mode in ({"mode": "asp"}, {"mode": "bsp"}, {"mode": "ssp", "staleness": 2}):
            jobs.append({"name": "plug-in-" + mode["mode"], "model": plugin("kmeans"), "params": {"k": 4}, "consistency": mode, **plain})
        status, _, err = self.call("run", self.run_file(jobs, cluster={"servers": 2, "slots": 2}), "--out", "o")
        self.assertEqual(status, 0, err)
        first, *others = self.summary("o")["jobs"]
        for job in others:
            self.assertEqual(job["state"], "done", job)
            self.assertRegex(job["reason"], "no centroid moved in pass [1-9]")
            self.assertAlmostEqual(job["validation_loss"], first["validation_loss"], delta=1e-4 * first["validation_loss"])
            passes = int(job["reason"].split()[-1]) + 1
            self.assertEqual(job["examples"], 2000 * passes)
            self.assertEqual(self.call("export", job["job"], "--out", "o", "--to", job["job"], "--format", "npy")[0], 0)
            with open(os.path.join(self.folder, job["job"], "inertias.npy"), "rb") as file:
                inertias = struct.unpack("<21f", file.read()[-4 * 21:])
            self.assertAlmostEqual(inertias[passes - 1] / 2000, job["validation_loss"], delta=1e-3 * job["validation_loss"])
            self.assertEqual([x for x in inertias[passes:] if x != 0], [], "the table has a row for each pass")
            status, out, err = self.call("predict", "o/jobs/" + job["job"], "images.gz", "labels")
            self.assertEqual((status, sorted(set(out.split()))), (0, ["0", "1", "2", "3"]), err)  # clusters, and no names of classes

    def test_no_slot_process_outlives_its_worker(self):
        file = self.run_file([self.bad("nothing") | {"epochs": 100000, "name": f"long-{i}"} for i in range(3)])
        run = self.start("run", file, "--out", "o")
        self.assertTrue(self.wait_until(lambda: self.role("worker") and len(slot_processes(self.role("worker"))) >= 2, 10))
        mine = slot_processes(self.role("worker"))
        for pid in mine:
            with open(f"/proc/{pid}/environ", "rb") as file_:
                self.assertNotIn(b"XDG_RUNTIME_DIR", file_.read())
            held = {os.readlink(link) for link in glob.glob(f"/proc/{pid}/fd/*")}
            self.assertEqual([name for name in held if name.startswith("socket:")], [], "a slot process holds a socket")
        run.kill()  # the whole family must go
        self.assertTrue(self.wait_until(lambda: not set(mine) & set(slot_processes()), 6))

    def test_a_long_call_does_not_hold_the_end_up(self):
        job = self.bad("sleep")
        job["limits"] = {"call": "600s"}
        run = self.start("run", self.run_file([job]), "--out", "o")
        self.assertTrue(self.wait_until(lambda: self.role("worker") and slot_processes(self.role("worker")), 10))
        time.sleep(2)
        began = time.monotonic()
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60 * harness.PATIENCE)
        self.assertEqual(run.returncode, 130)
        self.assert_within(time.monotonic() - began, 6, "the end of a run whose model sleeps")

    def test_the_example_is_built_outside_trained_and_used(self):
        example = os.path.join(self.folder, "example")
        command("cmake", "-S", os.path.join(harness.REPOSITORY, "examples", "custom_model"), "-B", example, f"-DCMAKE_PREFIX_PATH={PREFIX}")
        command("cmake", "--build", example)
        library = os.path.join(example, "libhuber.so")
        status, out, err = self.call("model", "check", library, "--json")
        self.assertEqual(status, 0, out + err)
        report = json.loads(out)
        self.assertTrue(report["ok"])
        self.assertEqual([case["data"] for case in report["cases"]], ["dense rows, targets", "sparse rows, targets"])
        with open(os.path.join(self.folder, "line.csv"), "w", encoding="utf-8") as file:
            file.write("a,b,y\n" + "".join(f"{a},{b},{2 * a - b + 0.5}\n" for i in range(400) for a, b in [(i % 21 / 10 - 1, i % 13 / 6 - 1)]))
        file = self.run_file([{"name": "line", "model": "example/libhuber.so", "data": "line", "validation": {"fraction": 0.25},
                               "optimizer": {"name": "adam", "lr": 0.05}, "batch": 16, "epochs": 40}],
                             data={"line": {"format": "csv", "train": "line.csv", "labels": "targets"}})
        status, _, err = self.call("run", file, "--out", "o")
        self.assertEqual(status, 0, err)
        self.assertLess(self.summary("o")["jobs"][0]["metrics"]["mse"], 0.01)
        with open(os.path.join(self.folder, "o", "jobs", "line", "job.yaml"), encoding="utf-8") as saved:
            self.assertIn(library, saved.read())
        status, out, err = self.call("eval", "o/jobs/line", "line.csv")
        self.assertEqual(status, 0, err)
        self.assertRegex(out, "400 rows: .*mse")
        status, out, err = self.call("predict", "o/jobs/line", "line.csv")
        self.assertEqual((status, len(out.splitlines())), (0, 400), err)
        self.assertNotIn("warning", err)
        moved = os.path.join(self.folder, "elsewhere.so")
        os.rename(library, moved)
        status, _, err = self.call("predict", "o/jobs/line", "line.csv")
        self.assertEqual(status, 2, err)
        self.assertIn("say where with --plugin", err)
        self.assertEqual(self.call("predict", "o/jobs/line", "line.csv", "--plugin", moved)[1], out)

    def test_the_page_on_plug_ins_says_what_works(self):
        """The commands of docs/howto/plug-in-a-model.md, as they stand there."""
        with open(os.path.join(harness.REPOSITORY, "docs", "howto", "plug-in-a-model.md"), encoding="utf-8") as file:
            page = file.read()
        blocks = re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S)
        self.assertGreaterEqual(len(blocks), 3)
        environment = {**self.environment, "PATH": os.path.join(PREFIX, "bin") + ":" + os.environ["PATH"], "PREFIX": PREFIX}
        for block in blocks:
            if "cmake --install" in block:
                continue  # done by setUpModule
            done = subprocess.run(["bash", "-euc", block], cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=240)
            self.assertEqual(done.returncode, 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        self.assertLess(self.summary("out")["jobs"][0]["metrics"]["mse"], 0.01)

    def test_a_check_says_what_is_wrong(self):
        for what, words in {"unwritten": "floats of table 'b' are not written", "outputs": "outputs\\(\\) gives", "evaluate": "scored 33 of 32", "segfault": "SIGSEGV",
                            "nan-gradient": "not finite|another update", "overrun": "wrote behind the end", "keys": "not sorted"}.items():
            status, out, err = self.call("model", "check", plugin("bad"), "--params", json.dumps({"what": what}))
            self.assertEqual(status, 1, out + err)
            self.assertRegex(out + err, words)
        self.assertEqual(self.call("model", "check", plugin("bad"))[0], 0)
        status, _, err = self.call("model", "new", "Not-A-Name")
        self.assertEqual(status, 2, err)
        self.assertEqual(self.call("model", "new", "mine")[0], 0)
        status, _, err = self.call("model", "new", "mine")
        self.assertEqual(status, 2, err)
        self.assertIn("is there already", err)


if __name__ == "__main__":
    harness.main()
