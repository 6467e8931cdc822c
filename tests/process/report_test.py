#!/usr/bin/env python3
"""A report's page in a real browser: no error in its script, nothing asked of the network, every plot has content. Needs Chromium; without it this is a skip (status 77).
   report_test.py SLUICE REPOSITORY [TEST…]"""
import html
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness

BROWSER = next((found for found in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if found), None)
REASONS_UP = ("largest_drop", "turn", "first_reports")


def decision_lines(draw, names, submitted, decisions, slots, seconds):
    """Rounds as the manager writes them: each gives one worker slot to another job."""
    owner = [None] * slots
    counts = dict.fromkeys(names, 0)
    for number in range(1, decisions + 1):
        time = seconds * number / decisions
        there = [name for name in names if submitted[name] <= time] or names[:1]
        slot = draw.randrange(slots)
        job, before = draw.choice(there), owner[slot]
        if job == before:
            continue
        changes = []
        for name, by in ((before, -1), (job, 1)):
            if name is None:
                continue
            changes.append({"job": name, "id": 1, "before": counts[name], "after": counts[name] + by, "loss": 1.5, "normalized_loss": 0.5, "drop_with": 0.02 if by > 0 else 0, "drop_without": 0.01,
                            "reason": draw.choice(REASONS_UP) if by > 0 else "smaller_drop", "sentence": f"predicted normalised drop {draw.random():.3g}/s, the largest on offer",
                            "refused": [{"job": draw.choice(there), "reason": "smaller_drop", "index": 0.01}]})
            counts[name] += by
        owner[slot] = job
        view = {"now_ns": 20_000_000, "jobs": {"1": {"waits_since_ns": 10_000_000}}} if number == 1 else {}
        yield {"version": 1, "kind": "round", "decision": number, "round": number, "time_ms": 30 + 1000 * time, "trigger": "timer", "policy": "slaq", "slots": slots, "changes": changes,
               "moves": [{"worker": "worker", "slot": slot, "from": before, "to": job}],
               "refused": [{"job": draw.choice(there), "reason": "smaller_drop", "index": 0.01, "sentence": "one slot more: predicted normalised drop 0.00697/s"}], "view": view}
        yield {"version": 1, "kind": "moved", "decision": number, "worker": "worker", "slot": slot, "from": before, "to": job, "total_ms": 2 * draw.random(), "stall_ms": 0.5, "batch_wait_ms": 0.2, "cold": False}
        predicted = 10 ** draw.uniform(-3, -0.5)
        yield {"version": 1, "kind": "outcome", "decision": number, "jobs": [{"job": job, "steps": 100, "predicted_drop": predicted, "actual_drop": predicted * draw.uniform(-0.5, 2)}]}


def make_run(folder, jobs=12, decisions=200, slots=2, seconds=60.0, points=60, policy="slaq", seed=1, failed=(), ended=True, groups=0):
    """An output folder as a run of that size leaves it."""
    draw = random.Random(seed)
    os.makedirs(folder)
    names = [f"job-{i + 1}" for i in range(jobs)]
    submitted = {name: 0.5 * seconds * i / max(1, jobs) for i, name in enumerate(names)}
    with open(os.path.join(folder, "run.json"), "w", encoding="utf-8") as file:
        json.dump({"version": 1, "policy": policy, "slots": slots, "servers": 1, "jobs": [{"name": name, "model": "softmax", "submit_after_s": submitted[name], "group": f"search-{i % groups}" if groups else ""} for i, name in enumerate(names)]}, file)
    entries = []
    with open(os.path.join(folder, "losses.csv"), "w", encoding="utf-8") as file:
        file.write("job,seconds,step,examples,loss,slots\n")
        for i, name in enumerate(names):
            last = points // 3 if name in failed else points
            for k in range(last):
                loss = 2.3 / (1 + k * draw.uniform(0.2, 0.4)) + 0.1
                file.write(f"{name},{0.5 * seconds * (k + 1) / points:.3f},{k + 1},{128 * (k + 1)},{loss:.6f},1\n")
            entries.append({"job": name, "id": i + 1, "state": "failed" if name in failed else "done", "reason": "the loss is not finite at step 12" if name in failed else "epochs reached", "steps": last,
                            "examples": 128 * last, "first_loss": 2.4, "final_loss": loss, "best_loss": loss, "validation_loss": loss, "metrics": {} if name in failed else {"accuracy": 0.8 + 0.1 * draw.random()},
                            "submitted_seconds": submitted[name], "seconds": 0.5 * seconds, "seconds_to_90": None if name in failed else draw.uniform(1, 9), "slot_seconds": draw.uniform(1, 9), "moves_in": 3,
                            "redone_batches": 0})
    with open(os.path.join(folder, "decisions.jsonl"), "w", encoding="utf-8") as file:
        for line in decision_lines(draw, names, submitted, decisions, slots, seconds):
            file.write(json.dumps(line) + "\n")
    if ended:
        with open(os.path.join(folder, "summary.json"), "w", encoding="utf-8") as file:
            json.dump({"version": 1, "policy": policy, "wall_seconds": seconds, "slots": slots, "servers": 1, "jobs": entries, "moves": {"count": decisions, "p50_ms": 2.1, "p99_ms": 9.7},
                       "rounds": {"count": decisions, "p99_ms": 0.4}, "aggregate": {"loss_seconds_per_job": 6.3, "seconds_to_90_mean": 4.0}, "problems": []}, file)


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="sluice-report-")

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def report(self, *folders, out="page.html"):
        done = subprocess.run([harness.SLUICE, "report", *map(self.path, folders), "--out", self.path(out), "--json"], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def browse(self, page="page.html", width=1280):
        """(the document after its script ran, what the browser's console said)"""
        done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--enable-logging=stderr", f"--user-data-dir={self.path('profile')}",
                               f"--window-size={width},1000", "--virtual-time-budget=3000", "--dump-dom", "file://" + self.path(page)], capture_output=True, text=True, timeout=240, check=False)
        said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, said

    def drawn(self, *folders, width=1280):
        """The document of these folders' report, which must have been drawn without a word of complaint."""
        self.report(*folders)
        document, said = self.browse(width=width)
        self.assertEqual(said, [])
        self.assertIn('data-drawn="yes"', document)
        self.assertRegex(document, r'<p id="trouble"[^>]*hidden')
        return document

    @staticmethod
    def section(document, name):
        return re.search(f'<section id="{name}".*?</section>', document, re.S).group(0)

    def test_every_plot_has_content(self):
        make_run(self.path("a"))
        document = self.drawn("a")
        losses = re.findall(r'<path class="job line[^"]*" data-job="\d+" d="M([^"]*)"', self.section(document, "losses"))
        self.assertEqual(len(losses), 12)
        for line in losses:
            self.assertGreater(line.count("L"), 20)
            self.assertNotIn("NaN", line)
        self.assertGreaterEqual(len(re.findall(r'<path class="job band', self.section(document, "slots"))), 11)
        self.assertGreater(len(re.findall(r'<path class="job mark', self.section(document, "decisions"))), 150)
        self.assertIn("predicted drop of the loss 0.02 with the change, 0.01 without", document)
        self.assertGreater(len(re.findall(r'<circle class="job dot', self.section(document, "outcomes"))), 100)
        self.assertEqual(self.section(document, "jobs").count("<tr"), 13)
        self.assertNotIn("NaN", document.split('<script type="application/json"')[0])
        self.assertNotIn("undefined", document.split('<script type="application/json"')[0])

    def test_curves_begin_where_their_jobs_were_submitted(self):
        make_run(self.path("a"), jobs=4)
        lines = re.findall(r'<path class="job line[^"]*" data-job="(\d+)" d="M([\d.]+)', self.section(self.drawn("a"), "losses"))
        begins = [float(x) for _, x in sorted(lines)]
        self.assertEqual(begins, sorted(begins))
        self.assertGreater(begins[3] - begins[0], 300, "the last of four jobs is submitted after 3/8 of the time")

    def test_names_and_sentences_are_shown_and_never_obeyed(self):
        evil = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>{{data}}"
        make_run(self.path("a"), jobs=2, decisions=3)
        for name in ("run.json", "summary.json", "losses.csv", "decisions.jsonl"):
            with open(self.path("a/" + name), encoding="utf-8") as file:
                text = file.read()
            text = text.replace("job-1", evil if name == "losses.csv" else json.dumps(evil)[1:-1]).replace("the largest on offer", json.dumps(evil)[1:-1])
            with open(self.path("a/" + name), "w", encoding="utf-8") as file:
                file.write(text)
        document = self.drawn("a")
        self.assertIn("<title>A run of Sluice: slaq, 2 jobs</title>", document)
        self.assertNotIn("<img", document.split('<script type="application/json"')[0])
        self.assertIn("&lt;img src=x onerror=alert(1)&gt;", document)

    def test_nothing_else_runs_in_the_page_and_the_test_would_see_an_error(self):
        make_run(self.path("a"), jobs=2, decisions=3)
        self.report("a")
        with open(self.path("page.html"), encoding="utf-8") as file:
            page = file.read()
        with open(self.path("other.html"), "w", encoding="utf-8") as file:
            file.write(page.replace("</body>", '<script>document.title = "owned"</script><img src="http://192.0.2.1/x.png"></body>'))
        document, said = self.browse("other.html")
        self.assertNotIn("owned</title>", document)
        self.assertIn("Content Security Policy", " ".join(said))
        with open(self.path("broken.html"), "w", encoding="utf-8") as file:
            file.write(page.replace('"bands":', '"bends":'))
        document, said = self.browse("broken.html")
        self.assertIn("TypeError", " ".join(said))
        self.assertNotIn('data-drawn="yes"', document)

    def test_pointing_and_clicking(self):
        make_run(self.path("a"), jobs=30, failed=("job-3",))
        self.report("a")
        acts = """
          const say = {}, one = selector => document.querySelector(selector), strong = () => one('#decisions .why strong').textContent;
          const point = (node, kind, selector) => {
            const mark = one(selector).getBoundingClientRect();
            node.dispatchEvent(new PointerEvent(kind, {clientX: mark.x + mark.width / 2, clientY: mark.y + mark.height / 2, bubbles: true}));
          };
          const tip = () => (one('#tip').hidden ? '' : one('#tip').textContent);
          one('#decisions').scrollIntoView();
          const marks = '#decisions .plot', mark = '#decisions .mark:not(.chosen)';
          point(one(marks), 'pointermove', mark), say.pointed = tip(), say.focused = document.body.className;
          say.before = strong(), point(one(marks), 'click', mark), say.clicked = strong(), say.chosen = document.querySelectorAll('.chosen').length;
          one('.why button:last-child').click(), say.later = strong();
          point(one(marks), 'pointerleave', marks), say.left = tip() + document.body.className;
          point(one('#slots .plot'), 'pointermove', '#slots .plot'), say.slots = tip();
          point(one('#losses .plot'), 'pointermove', '#losses .panels .mark'), say.losses = tip();
          point(one('#outcomes .plot'), 'pointermove', '#outcomes .dot'), say.outcomes = tip();
          const names = () => [...document.querySelectorAll('#jobs tbody .name')].map(cell => cell.textContent);
          one('#jobs th button').click(), one('#jobs th button').click(), say.sorted = names()[0];
          one('#filter').value = 'FAILED', one('#filter').dispatchEvent(new Event('input')), say.filtered = names();
          const y = one('#losses .panels .line').getAttribute('d');
          one('#log').click(), say.bent = one('#losses .panels .line').getAttribute('d') !== y;
          one('#legend button').click(), say.pinned = document.querySelectorAll('.on').length;
          document.title = JSON.stringify(say);
        """
        with open(self.path("page.html"), encoding="utf-8") as file:
            page = file.read()
        with open(self.path("acted.html"), "w", encoding="utf-8") as file:
            file.write(re.sub(r'<meta http-equiv[^>]*>', "", page).replace("</body>", f"<script>{{{acts}}}</script></body>"))
        document, said = self.browse("acted.html")
        self.assertEqual(said, [])
        say = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", document).group(1)))
        self.assertRegex(say["pointed"], r"s: job-\d+ \d+ → \d+ slots\n")
        self.assertIn("focusing", say["focused"])
        self.assertNotEqual(say["clicked"], say["before"])
        self.assertGreaterEqual(say["chosen"], 1)
        self.assertNotEqual(say["later"], say["clicked"])
        self.assertEqual(say["left"], "")
        self.assertRegex(say["slots"], r"^[\d.]+ s\n.*: \d")
        self.assertRegex(say["losses"], r"^job-\d+\n.* of its improvement left\nloss ")
        self.assertRegex(say["outcomes"], r"predicted [\d.]+, actual")
        self.assertEqual(say["sorted"][:6], "job-30")
        self.assertEqual(len(say["filtered"]), 1)
        self.assertTrue(say["bent"])
        self.assertGreater(say["pinned"], 3)

    def test_a_failed_job_and_one_alone(self):
        make_run(self.path("a"), jobs=1, failed=("job-1",))
        document = self.drawn("a")
        self.assertIn("1 failed", document)
        self.assertIn("job-1 failed: the loss is not finite at step 12", document)
        self.assertIn("job cross", document)

    def test_runs_side_by_side(self):
        make_run(self.path("a"), policy="fair")
        make_run(self.path("b"), seed=2)
        document = self.drawn("a", "b")
        self.assertEqual(self.section(document, "losses").count('class="job line'), 24)
        self.assertIn("mean time to 90 %", self.section(document, "comparison"))
        make_run(self.path("c"), jobs=3)
        self.report("a", "c")
        self.assertIn("not runs of the same jobs", self.browse()[0])

    def test_groups(self):
        make_run(self.path("a"), policy="fair", groups=2)
        make_run(self.path("b"), seed=2, groups=2)
        document = self.drawn("a")
        section = self.section(document, "groups")
        self.assertNotIn("hidden", section.split("<h2>")[0])
        self.assertGreater(section.count('class="job line'), 10)
        self.assertEqual(section.count("<tr"), 3)
        self.assertRegex(section, r'search-1</td><td>6</td><td class="words">job-\d+</td>')
        self.assertNotIn("NaN", section)
        self.assertIn("to 95 %", self.section(document, "jobs"))
        document = self.drawn("a", "b")
        self.assertEqual(self.section(document, "groups").count("<tr"), 6)
        self.assertIn("best of group search-0, to 95 %", self.section(document, "comparison"))
        make_run(self.path("c"))
        self.assertRegex(self.section(self.drawn("c"), "groups").split("<h2>")[0], "hidden")

    def test_an_unfinished_run_shows_what_is_there(self):
        make_run(self.path("a"), ended=False)
        with open(self.path("a/decisions.jsonl"), "a", encoding="utf-8") as file:
            file.write('{"kind":"rou')
        document = self.drawn("a")
        self.assertIn("12 unfinished", document)
        self.assertIn("did not come to an end", document)
        self.assertIn("1 line left out", document)
        self.assertEqual(self.section(document, "losses").count('class="job line'), 12)
        os.remove(self.path("a/losses.csv"))
        os.remove(self.path("a/decisions.jsonl"))
        document = self.drawn("a")
        for words in ("no loss was reported", "no worker slot was given", "nothing was decided", "no prediction was checked"):
            self.assertIn(words, document)

    def test_many_jobs_and_decisions_stay_usable(self):
        make_run(self.path("a"), jobs=1000, decisions=100_000, slots=64, seconds=3600.0, points=100)
        answer = self.report("a")
        self.assertLess(answer["bytes"], 5 << 20)
        document = self.drawn("a", width=800)
        self.assertIn("evenly chosen; decisions.jsonl has all", document)
        self.assertEqual(self.section(document, "losses").count('class="job line'), 1000)

    def test_a_simulations_page(self):
        for i, scale in enumerate((3, 30)):
            with open(self.path(f"c{i}.txt"), "w", encoding="utf-8") as file:
                file.writelines(f"{2 / (1 + k / scale) + 0.1}\n" for k in range(200))
        done = subprocess.run([harness.SLUICE, "simulate", "--curves", self.folder, "--jobs", "12", "--slots", "16", "--speedup", "concave:0.02", "--seeds", "1..2", "--policies", "fair,sluice,oracle-aged",
                               "--html", self.path("study.html"), "--csv", self.path("study.csv"), "--json"], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["results"]), 6)
        with open(self.path("study.csv"), encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 7)
        document, said = self.browse("study.html")
        self.assertEqual(said, [])
        self.assertIn('data-drawn="yes"', document)
        self.assertRegex(document, r'<p id="trouble"[^>]*hidden')
        for section in ("loss", "to-90", "tail", "moves"):
            self.assertEqual(self.section(document, section).count('class="job line'), 3, section)
        self.assertEqual(self.section(document, "loss-seconds").count("<circle"), 6)
        self.assertEqual(self.section(document, "groups").count('<path class="band'), 9)
        self.assertGreaterEqual(self.section(document, "errors").count('class="job line'), 2)
        self.assertGreaterEqual(self.section(document, "price").count('class="job line'), 1)
        self.assertIn("<td", self.section(document, "measures"))


if __name__ == "__main__":
    if BROWSER is None:
        print("skipped: no Chromium here (apt-get install chromium); the page's data is tested in cli_test")
        sys.exit(77)
    harness.main()
