#!/usr/bin/env python3
"""What docs/howto says works: its steps are carried out on a copy of the repository, and the contract suites run over the new names. Usage: howto_test.py REPOSITORY BUILD_FOLDER."""
import glob
import os
import re
import shutil
import subprocess
import sys

REPOSITORY, BUILD = sys.argv[1:3]
COPY = os.path.join(BUILD, "howto")
SUITES = [("manager_test", "PolicyContract", "newest"), ("server_test", "OptimizerContract", "signsgd"), ("worker_test", "ModelContract", "class-squares"),
          ("worker_test", "PhaseContract", "class-means")]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def copy():
    """Files as they are now; those that did not change keep their time, so that a second run builds little."""
    listed = run("git", "-C", REPOSITORY, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for path in listed:
        source, target = os.path.join(REPOSITORY, path), os.path.join(COPY, "source", path)
        if os.path.isfile(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target)


def carry_out(page):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    steps = re.findall(r"^\d+\. (.*?)^```cpp\n(.*?)^```", text, re.M | re.S)
    for words, code in steps:
        if words.startswith("Create `"):
            path = re.match(r"Create `([^`]+)`", words).group(1)
            with open(os.path.join(COPY, "source", path), "w", encoding="utf-8") as file:
                file.write(code)
            continue
        path, anchor = re.match(r"In `([^`]+)`, after `([^`]+)`, add:", words).groups()
        with open(os.path.join(COPY, "source", path), encoding="utf-8") as file:
            lines = file.read().splitlines(keepends=True)
        at = [i for i, line in enumerate(lines) if line.strip() == anchor]
        if len(at) != 1:
            sys.exit(f"{page}: '{anchor}' is {len(at)} times in {path}, and must be there once")
        lines.insert(at[0] + 1, code)
        with open(os.path.join(COPY, "source", path), "w", encoding="utf-8") as file:
            file.writelines(lines)
    return len(steps)


copy()
# plug-in-a-model.md changes nothing in the tree: plugin_test.py carries it out.
pages = sorted(set(glob.glob(os.path.join(COPY, "source", "docs", "howto", "*.md"))) - {os.path.join(COPY, "source", "docs", "howto", "plug-in-a-model.md")})
count = sum(carry_out(page) for page in pages)
# As scripts/build makes it, and as deep below its source: to ccache, what did not change is the same then.
os.environ["CCACHE_BASEDIR"] = os.path.join(COPY, "source")
build = os.path.join(COPY, "source", "build", "release")
run("cmake", "-S", os.path.join(COPY, "source"), "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release")
run("cmake", "--build", build, "--target", *sorted({test for test, _, _ in SUITES}))
for test, suite, name in SUITES:
    out = run(os.path.join(build, test), f"--gtest_filter=*{suite}*")
    # The suite's output or its parameters, which only the list names where all hold, must show that it ran over the new name.
    out += run(os.path.join(build, test), f"--gtest_filter=*{suite}*", "--gtest_list_tests")
    if name not in out:
        sys.exit(f"{test}: {suite} did not run over '{name}':\n{out[-3000:]}")
print(f"{len(pages)} pages, {count} steps; the contract suites of {', '.join(test for test, _, _ in SUITES)} hold")
