#!/usr/bin/env python3
"""What the binary is linked with. Usage: linkage_test.py BINARY. GSL brings an unoptimised BLAS with OpenBLAS's symbols (cmake/dependencies.cmake): if it is loaded first, training is
many times slower and nothing else tells."""
import subprocess
import sys

found = subprocess.run(["readelf", "--dynamic", "--wide", sys.argv[1]], capture_output=True, text=True, check=True).stdout
needed = [line.split("[", 1)[1].split("]", 1)[0] for line in found.splitlines() if "(NEEDED)" in line]
if not needed:
    sys.exit(f"error: readelf names no library that {sys.argv[1]} needs")
if any(library.startswith("libgslcblas") for library in needed):
    sys.exit(f"error: the binary is linked with GSL's BLAS: {' '.join(needed)}")
if not any(library.startswith("libopenblas") for library in needed):
    sys.exit(f"error: the binary is not linked with OpenBLAS: {' '.join(needed)}")
