#!/usr/bin/env python3
"""Jobs that end before their epochs, and the run decided again."""
import json
import os

import harness

LONG = 100_000  # epochs that no test waits for


class Ends(harness.ProcessTest):
    def setUp(self):
        super().setUp()
        jobs = [harness.job("low", epochs=LONG, target={"loss": 0.3, "by": "1h"}), harness.job("level", epochs=LONG, stop={"converged": True}),
                harness.job("search", seed=[1, 2], epochs=20, objective="best")]
        status, self.out, self.err = self.call("run", self.run_file(jobs), "--out", "o", "--policy", "sluice")
        self.assertEqual(status, 0, self.err)

    def test_reasons_and_a_replay(self):
        jobs = {job["job"]: job for job in self.summary("o")["jobs"]}
        self.assertRegex(jobs["low"]["reason"], r"^target reached: loss <= 0\.3: 0\.\d+ after \d+ steps$")
        self.assertEqual((jobs["low"]["target"]["reached"], jobs["low"]["target"]["probability"]), (True, 1))
        self.assertRegex(jobs["level"]["reason"], r"^converged: over the last 40 % of its \d+ steps the loss fell by ")
        self.assertEqual(jobs["search-2"]["reason"], "epochs reached")
        self.assertEqual(jobs["search-1"]["group"], "search")
        for job in jobs.values():
            self.assertGreater(job["metrics"]["accuracy"], 0.9)  # the end is scored
        self.assertTrue(os.path.exists(os.path.join(self.folder, "o", "jobs", "level", "model.safetensors")))

        status, out, err = self.call("replay", "o")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("byte by byte as recorded", out)
        status, out, err = self.call("replay", "o/decisions.jsonl", "--policy", "fair", "--json")
        self.assertEqual(status, 0, err)
        said = json.loads(out)
        self.assertEqual((said["policy"], said["identical"]), ("fair", None))
        self.assertEqual(len(said["jobs"]), 4)
        self.assertIn("decided again by fair", self.call("replay", "o", "--policy", "fair")[1])
        self.assertEqual(self.call("replay", "o", "--policy", "fare")[0], 2)
        self.assertEqual(self.call("replay", "nowhere")[0], 2)

        with open(os.path.join(self.folder, "o", "decisions.jsonl"), encoding="utf-8") as file:
            lines = file.readlines()
        at = next(i for i, line in enumerate(lines) if json.loads(line)["kind"] == "round" and json.loads(line)["changes"][0]["after"] > 0)
        with open(os.path.join(self.folder, "cut.jsonl"), "w", encoding="utf-8") as file:
            file.write("".join(lines[:at]) + lines[at][:100])
        status, _, err = self.call("replay", "cut.jsonl")
        self.assertEqual(status, 3)
        self.assertIn(f"cut.jsonl:{at + 1}: the line is cut", err)
        altered = json.loads(lines[at])
        altered["changes"][0]["share"] += 1
        with open(os.path.join(self.folder, "altered.jsonl"), "w", encoding="utf-8") as file:
            file.write("".join(lines[:at]) + json.dumps(altered, separators=(",", ":"), sort_keys=True) + "\n" + "".join(lines[at + 1:]))
        status, _, err = self.call("replay", "altered.jsonl")
        self.assertEqual(status, 1)
        self.assertIn(f"altered.jsonl:{at + 1}: decision {altered['decision']} comes out otherwise, first at /changes/0/share", err)


class WrongLengths(harness.ProcessTest):
    """Who declares ten times what it takes, or a tenth of what it could use, harms nobody."""

    def run_under(self, policy, again=""):
        honest = [harness.job(f"honest-{i}", epochs=20, seed=i) for i in (1, 2, 3)]
        jobs = [harness.job("many", epochs=200, seed=4, target={"loss": 0.25}), *honest[:2], harness.job("few", epochs=2, seed=5), honest[2]]
        status, _, err = self.call("run", self.run_file(jobs), "--out", policy + again, "--policy", policy)
        self.assertEqual(status, 0, err)
        return {job["job"]: job for job in self.summary(policy + again)["jobs"]}

    def slowest(self, policy, again=""):
        return max(job["seconds"] for name, job in self.run_under(policy, again).items() if name != "many")

    def test_declared_steps_that_are_wrong_by_ten_times(self):
        fair = self.run_under("fair")
        for policy in ("sluice", "srtf", "optimus", "progress"):
            with self.subTest(policy):
                jobs = self.run_under(policy)
                self.assertRegex(jobs["many"]["reason"], r"^target reached: loss <= 0\.25")
                self.assertEqual(jobs["many"]["steps_declared"], 200 * 2000 / 32)
                self.assertLess(jobs["many"]["steps"], jobs["many"]["steps_declared"] / 5)
                for name, epochs in (("few", 2), ("honest-1", 20), ("honest-2", 20), ("honest-3", 20)):
                    self.assertEqual((jobs[name]["state"], jobs[name]["reason"]), ("done", "epochs reached"))
                    self.assertEqual(jobs[name]["examples"], epochs * 2000)
                    self.assertGreater(jobs[name]["metrics"]["accuracy"], 0.9)
                # Nobody waits for steps that do not come. Twice as long: on a loaded machine one run may go at half of another's pace, and runs of seconds
                # may stand still for as long as they last, so that whoever was slow is asked again, beside `fair`.
                longest = max(job["seconds"] for job in fair.values())
                took = max(job["seconds"] for name, job in jobs.items() if name != "many")
                for again in ("-2", "-3"):
                    if took < 2 * longest:
                        break
                    longest = max(job["seconds"] for job in self.run_under("fair", again + policy).values())
                    took = self.slowest(policy, again)
                self.assertLess(took, 2 * longest, f"under {policy}, beside fair's {longest}, three times over")
                status, out, err = self.call("replay", policy)
                self.assertEqual((status, err), (0, ""))
                self.assertIn("byte by byte as recorded", out)
                with open(os.path.join(self.folder, policy, "report.html"), encoding="utf-8") as file:
                    page = file.read()
                self.assertIn("target reached: loss", page)
                self.assertIn('"declared":12500', page)


if __name__ == "__main__":
    harness.main()
