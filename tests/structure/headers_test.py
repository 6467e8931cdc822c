#!/usr/bin/env python3
"""Every header compiles alone. Usage: headers_test.py REPOSITORY COMPILE_COMMANDS: the flags of a room's headers are those of its sources."""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys

root, commands_path = sys.argv[1:3]


def room_of(source):
    """worker/slot.cc and build/release/CMakeFiles/worker_test.dir/Unity/unity_0_cxx.cxx are worker's; what tests/ makes is tests'."""
    target = re.search(r"CMakeFiles/(?:sluice_)?(\w+?)(?:_test)?\.dir/Unity/", source)
    folder = re.sub(r"^build/[^/]+/", "", source).split("/")[0]
    return target[1] if target and folder == "CMakeFiles" else folder


flags_of_room = {}
with open(commands_path, encoding="utf-8") as file:
    for command in json.load(file):
        source = os.path.relpath(command["file"], root)
        words = shlex.split(command["command"])
        words = words[1:] if os.path.basename(words[0]) == "ccache" else words
        keep = [words[0]]
        for i, word in enumerate(words):
            if word in ("-isystem", "-I"):
                keep += [word, words[i + 1]]
            elif word.startswith(("-I", "-D", "-std=", "-W", "-m", "-isystem")) and word not in ("-isystem", "-Wno-subobject-linkage"):
                keep.append(word)
        # A test's flags include its room's; the longest list has all that a header can need.
        room = room_of(source)
        if len(keep) > len(flags_of_room.get(room, [])):
            flags_of_room[room] = keep


# What plug-ins are built against must stand with nothing but a C++20 compiler.
flags_of_room["sluice"] = ["c++", "-std=c++20", "-I.", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]


def check(header):
    flags = flags_of_room.get(header.split("/")[0])
    if flags is None:
        return f"{header}: no source of its room is compiled, so its flags are unknown"
    # Included, not compiled as the main file: #pragma once in a main file is a warning.
    made = subprocess.run([*flags, "-fsyntax-only", "-x", "c++", "-"], cwd=root, input=f'#include "{header}"\n', capture_output=True, text=True)
    return None if made.returncode == 0 else f"{header}: does not compile alone:\n{made.stderr[:2000]}"


listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.h"], capture_output=True, text=True, check=True).stdout
# cmake/ has what the build forces into every source, not a room's headers.
headers = [path for path in listed.splitlines() if os.path.isfile(os.path.join(root, path)) and not path.startswith("cmake/")]
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    wrong = [words for words in pool.map(check, headers) if words]
for words in wrong:
    print(words)
print(f"{len(headers)} headers, {len(wrong)} that don't stand alone")
sys.exit(1 if wrong or not headers else 0)
