#!/usr/bin/env python3
"""A run from beginning to end, and a newcomer's first mistakes."""
import csv
import json
import os
import signal
import subprocess

import harness


EPOCHS = 150  # several loss reports a job, and several drawings of the table, also on a quick machine


class Quick(harness.ProcessTest):
    def test_a_run_ends_well_and_leaves_only_its_output(self):
        file = self.run_file([harness.job("one", seed=[1, 2], epochs=EPOCHS), harness.job("two", model="mlp", params={"hidden": [16]}, epochs=EPOCHS)])
        status, out, err = self.call("run", file, "--out", "o")
        self.assertEqual(status, 0, err)
        self.assertIn("one-2", out)
        self.assertIn("HELD-OUT accuracy", out)
        summary = self.summary("o")
        self.assertEqual([(job["job"], job["state"]) for job in summary["jobs"]], [("one-1", "done"), ("one-2", "done"), ("two", "done")])
        for job in summary["jobs"]:
            self.assertEqual(job["examples"], EPOCHS * 2000)
            self.assertLess(job["final_loss"], job["first_loss"])
            self.assertGreater(job["metrics"]["accuracy"], 0.9)
        self.assertEqual(self.socket_folders(), [])
        self.assertEqual(self.processes(), [])
        # Every change of a slot has its entry, and explain reads it offline.
        status, out, err = self.call("explain", "two", "--out", "o")
        self.assertEqual(status, 0, err)
        self.assertIn("0 → ", out)
        self.assertEqual(self.call("explain", "tow", "--out", "o")[0], 2)
        # The models are there, whole; nothing of the servers' parts is left.
        self.assertEqual(sorted(os.listdir(os.path.join(self.folder, "o", "jobs", "two"))), ["job.yaml", "model.safetensors"])
        status, out, err = self.call("export", "two", "--out", "o", "--to", "two", "--format", "npy", "--json")
        self.assertEqual(status, 0, err)
        tables = json.loads(out)["tables"]
        self.assertEqual(len(tables), 4)  # two layers: weights and biases
        for table in tables:
            with open(os.path.join(self.folder, "two", table["table"] + ".npy"), "rb") as npy:
                content = npy.read()
            self.assertEqual(content[:8], b"\x93NUMPY\x01\x00")
            header = 10 + int.from_bytes(content[8:10], "little")
            self.assertIn(f"'shape': ({table['rows']}, {table['cols']}, )".encode(), content[:header])
            self.assertEqual(len(content) - header, table["rows"] * table["cols"] * 4)
        status, out, err = self.call("eval", "o/jobs/two", "--json")
        self.assertEqual(status, 0, err)
        said = next(job for job in summary["jobs"] if job["job"] == "two")
        self.assertAlmostEqual(json.loads(out)["metrics"]["accuracy"], said["metrics"]["accuracy"], delta=0.01)
        self.assertAlmostEqual(json.loads(out)["loss"], said["validation_loss"], delta=0.01)
        status, _, err = self.call("eval", "o/jobs/tow")
        self.assertIn("o/jobs/tow", err)
        self.assertEqual(status, 2)
        status, _, err = self.call("export", "tow", "--out", "o", "--to", "x")
        self.assertIn("two", err)
        self.assertEqual(status, 2)
        # The page about it is there, and holds the jobs' scores.
        with open(os.path.join(self.folder, "o", "report.html"), encoding="utf-8") as page:
            text = page.read()
        self.assertIn('"jobs":["one-1","one-2","two"]', text)
        self.assertIn('"score_name":"accuracy"', text)
        # A second run into the same folder is refused, and says what to do.
        status, _, err = self.call("run", file, "--out", "o")
        self.assertEqual(status, 4)
        self.assertIn("choose another folder with --out", err)
        # The same jobs again, compared.
        status, out, err = self.call("run", file, "--out", "p", "--policy", "fair", "--json")
        self.assertEqual(status, 0, err)
        self.assertEqual(json.loads(out)["policy"], "fair")
        status, out, err = self.call("compare", "o", "p", "--json")
        self.assertEqual(status, 0, err)
        self.assertEqual(len(json.loads(out)["jobs"]), 3)
        status, out, err = self.call("report", "o", "p", "--json")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(json.loads(out)["report"], "o/comparison.html")
        self.assertTrue(os.path.exists(os.path.join(self.folder, "o", "comparison.html")))
        other = self.run_file([harness.job("one")], name="other.yaml")
        self.assertEqual(self.call("run", other, "--out", "q")[0], 0)
        status, _, err = self.call("compare", "o", "q")
        self.assertEqual(status, 2)
        self.assertIn("not runs of the same jobs", err)

    def test_an_interrupted_run_has_a_report_too(self):
        file = self.run_file([harness.job("long", epochs=100000)])
        run = self.start("run", file, "--out", "o")
        self.assertTrue(self.wait_until(lambda: self.training("o", "long"), 20))
        status, out, err = self.call("report", "o", "--out", "now.html")  # while it goes on
        self.assertEqual((status, out), (0, "now.html\n"))
        self.assertIn("the run did not come to an end, or goes on", err)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=30 * harness.PATIENCE)
        self.assertEqual(run.returncode, 130)
        with open(os.path.join(self.folder, "o", "report.html"), encoding="utf-8") as page:
            self.assertIn('"ended":true', page.read())  # the manager still wrote its summary

    def test_a_report_of_nothing_and_into_something(self):
        status, _, err = self.call("report", "nowhere")
        self.assertEqual(status, 2)
        self.assertIn("is it the output folder of a run?", err)
        os.mkdir(os.path.join(self.folder, "o"))
        with open(os.path.join(self.folder, "o", "run.json"), "w", encoding="utf-8") as file:
            file.write("{}")
        status, _, err = self.call("report", "o", "--out", "images.gz")
        self.assertEqual(status, 2)
        self.assertIn("images.gz: is there already, and is no report; choose another file with --out", err)
        self.assertEqual(self.call("report")[0], 2)

    def test_a_job_is_submitted_at_its_time(self):
        for after in (2, 6, 18):  # so that the early one is over before, on a slow machine too
            file = self.run_file([harness.job("late", epochs=1, submit_after=f"{after}s"), harness.job("early", epochs=1)])
            out = f"o{after}"
            status, _, err = self.call("run", file, "--out", out)
            self.assertEqual(status, 0, err)
            jobs = {job["job"]: job for job in self.summary(out)["jobs"]}
            if jobs["early"]["seconds"] < after - 0.5:
                break
        self.assertLess(jobs["early"]["seconds"], after, "the run goes on though all that it has is done")
        self.assertEqual(jobs["early"]["submitted_seconds"], 0)
        self.assertGreaterEqual(jobs["late"]["submitted_seconds"], after - 0.1)
        # Its seconds are from its own submission on: else they would go beyond the run's end.
        self.assertLess(jobs["late"]["submitted_seconds"] + jobs["late"]["seconds"], self.summary(out)["wall_seconds"] + 0.1)

    def test_a_misspelt_key_starts_nothing(self):
        file = self.run_file([harness.job("one", epocs=3)])
        status, out, err = self.call_within(5, "run", file, "--out", "o")
        self.assertEqual(status, 2)
        self.assertIn("unknown key 'epocs' under job 'one'; did you mean 'epochs'?", err)
        self.assertRegex(err, r"^error: .*tiny\.yaml:\d+:\d+: ")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "o")))
        self.assertEqual(out, "")

    def test_a_wrong_data_path(self):
        file = self.run_file([harness.job("one")], data={"tiny": {"format": "idx", "root": "/nowhere/datasets/fashion-mnist", "train": ["a", "b"]}})
        status, _, err = self.call("run", file)
        self.assertEqual(status, 3)
        self.assertIn("there is no file /nowhere/datasets/fashion-mnist/a", err)
        self.assertIn("apt-get install dataset-fashion-mnist", err)

    def test_unknown_names_answer_with_the_known_ones(self):
        file = self.run_file([harness.job("one", model="sotfmax"), harness.job("two", optimizer={"name": "adm"})], policy={"name": "slack"})
        status, _, err = self.call("run", file)
        self.assertEqual(status, 2)
        for words in ("unknown model 'sotfmax'; did you mean 'softmax'?", "unknown optimizer 'adm'", "unknown policy 'slack'", "fair"):
            self.assertIn(words, err)

    def test_a_simulation_says_what_became_of_each_job(self):
        names = ['lr=.1, "sgd"', "c1"]  # a name is what a user's file has
        for name, scale in zip(names, (3, 30)):
            with open(os.path.join(self.folder, f"{name}.txt"), "w") as file:
                file.writelines(f"{2 / (1 + k / scale) + 0.1}\n" for k in range(200))
        flags = ["--curves", *(f"{name}.txt" for name in names), "--jobs", "5", "--slots", "4", "--seeds", "1..2", "--policies", "fair,sluice", "--json"]
        status, out, err = self.call("simulate", *flags, "--jobs-csv", "jobs.csv")
        self.assertEqual(status, 0, err)
        with open(os.path.join(self.folder, "jobs.csv")) as file:
            jobs = list(csv.DictReader(file))
        self.assertEqual(len(jobs), 2 * 2 * 5)
        self.assertEqual({job["family"] for job in jobs}, set(names))
        for result in json.loads(out)["results"]:
            mine = [float(job["loss_seconds"]) for job in jobs if (job["policy"], job["seed"]) == (result["policy"], str(result["seed"]))]
            self.assertAlmostEqual(sum(mine) / 5, result["loss_seconds_per_job"], places=6)
        self.assertLessEqual(float(jobs[0]["seconds_to_90"]), float(jobs[0]["seconds"]))
        status, _, err = self.call("simulate", *flags, "--jobs-csv", "none/jobs.csv")
        self.assertNotEqual(status, 0)
        self.assertIn("cannot write none/jobs.csv", err)

    def test_data_is_looked_at_and_its_cache_is_the_runs(self):
        with open(os.path.join(self.folder, "cars.csv"), "w") as file:
            file.write("id,size,colour,price\n" + "".join(f"{i},{i % 10},{'red' if i % 3 else 'blue'},{i % 10 * 3 + (1 if i % 3 else 0)}\n" for i in range(500)))
        flags = ("--label", "price", "--labels", "targets", "--skip", "id")
        status, out, err = self.call("data", "info", "cars.csv", *flags, "--json")
        self.assertEqual(status, 0, err)
        info = json.loads(out)
        self.assertEqual((info["rows"], info["features"], info["sparse"]), (500, 3, False))
        self.assertEqual([column["type"] for column in info["columns"]], ["skipped", "number", "text", "label"])
        status, out, err = self.call("data", "head", "cars.csv", *flags)
        self.assertEqual(status, 0, err)
        self.assertIn("size:1  colour=red", out)
        status, out, err = self.call("data", "convert", "cars.csv", *flags)
        self.assertEqual(status, 0, err)
        self.assertIn("it was there already", err)
        self.assertTrue(os.path.isfile(out.strip()), out)
        before = set(os.listdir(os.path.dirname(out.strip())))
        data = {"cars": {"format": "csv", "train": "cars.csv", "label": "price", "labels": "targets", "skip": ["id"], "max_bad_rows": 2**64 - 1}}
        file = self.run_file([harness.job("one", model="linear", data="cars", optimizer={"name": "sgd", "lr": 0.01}, epochs=20)], data=data)
        status, _, err = self.call("run", file, "--out", "o")
        self.assertEqual(status, 0, err)
        self.assertEqual(set(os.listdir(os.path.dirname(out.strip()))), before)
        # What is wrong is said where it is.
        status, _, err = self.call("data", "info", "cars.csv", "--label", "prise")
        self.assertEqual(status, 2)
        self.assertIn("unknown column 'prise'; did you mean 'price'?", err)
        self.assertEqual(self.call("data", "infos", "cars.csv")[0], 2)
        for action in ("info", "head", "convert"):
            status, _, err = self.call("data", action, "none.csv")
            self.assertEqual(status, 3)
        self.assertIn("none.csv: No such file", err)

    def test_a_run_file_from_another_version(self):
        file = self.run_file([harness.job("one")], version=2)
        status, _, err = self.call("run", file)
        self.assertEqual(status, 2)
        self.assertIn("this run file is of version 2; this sluice reads version 1", err)

    def test_a_job_that_fails_fails_alone_and_says_why(self):
        file = self.run_file([harness.job("hot", optimizer={"name": "sgd", "lr": 900000, "weight_decay": 0.5}, epochs=EPOCHS), harness.job("fine", epochs=EPOCHS)])
        status, out, err = self.call("run", file, "--out", "o")
        self.assertEqual(status, 1, err)
        states = {job["job"]: job["state"] for job in self.summary("o")["jobs"]}
        self.assertEqual(states, {"hot": "failed", "fine": "done"})
        self.assertRegex(out, r"hot failed: .*(nan|inf|finite)")

    def terminal_run(self, **environment):
        """What `run` writes to a terminal."""
        file = self.run_file([harness.job("one", epochs=EPOCHS)])
        ours, theirs = os.openpty()
        self.environment.update(environment)
        process = subprocess.Popen([harness.SLUICE, "run", file, "--out", "o-" + str(len(environment))], cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=theirs)
        self.started.append(process)
        os.close(theirs)
        written = b""
        try:
            while more := os.read(ours, 65536):
                written += more
        except OSError:
            pass  # the other side is closed
        os.close(ours)
        self.assertEqual(process.wait(30 * harness.PATIENCE), 0, written)
        return written

    def test_a_terminal_sees_a_table_that_redraws(self):
        written = self.terminal_run()
        self.assertIn(b"REMAINING", written)
        self.assertRegex(written, rb"\x1b\[\d+A", "it never went up to draw again")
        self.assertIn(b"\x1b[1m", written)

    def test_no_color_is_respected(self):
        written = self.terminal_run(NO_COLOR="1")
        self.assertIn(b"REMAINING", written)
        self.assertNotRegex(written, rb"\x1b\[[\d;]*m")

    def test_progress_lines_hold_no_escapes(self):
        status, _, err = self.call("run", self.run_file([harness.job("one", epochs=EPOCHS)]), "--out", "o")
        self.assertEqual(status, 0, err)
        self.assertIn("1 jobs:", err)
        self.assertNotIn("\x1b", err)

    def test_a_job_that_can_never_be_placed(self):
        status, _, err = self.call("run", self.run_file([harness.job("wide", slots={"min": 3})]))
        self.assertEqual(status, 6)
        self.assertIn("job 'wide' needs 3 worker slots", err)

    def test_a_dry_run_starts_nothing(self):
        file = self.run_file([harness.job("one", seed=[1, 2, 3])])
        status, out, err = self.call("run", file, "--dry-run", "--out", "o")
        self.assertEqual(status, 0, err)
        self.assertIn("one-3", out)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "o")))

    def test_flags_and_verbs_misspelt(self):
        status, _, err = self.call("rnu", "x.yaml")
        self.assertEqual(status, 2)
        self.assertIn("did you mean 'run'?", err)
        status, _, err = self.call("run", "x.yaml", "--polcy", "fair")
        self.assertEqual(status, 2)
        self.assertIn("sluice run --help", err)

    def test_every_verb_has_help_with_an_example(self):
        verbs = "run manager server worker submit ps explain cancel pause resume set logs up down compare report export predict eval data"
        for verb in verbs.split():
            status, out, _ = self.call(verb, "--help")
            self.assertEqual(status, 0)
            self.assertIn(f"Example:\n  sluice {verb}", out)
            self.assertIn("--json", out)

    def test_nobody_listens_over_tcp_without_saying_so(self):
        for arguments in (["manager", "--listen", "tcp://127.0.0.1:*", "--state", "s"], ["worker", "--name", "w", "--manager", "tcp://127.0.0.1:1"], ["ps", "--manager", "tcp://127.0.0.1:1"]):
            status, _, err = self.call(*arguments)
            self.assertEqual(status, 5, err)
            self.assertIn("--insecure-tcp", err)


if __name__ == "__main__":
    harness.main()
