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


if __name__ == "__main__":
    harness.main()
