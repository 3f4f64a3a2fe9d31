#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the benchmark program compute what it should, the same twice and at both widths, and does `run` report what it said?
No times are judged.  Prints TAP."""
import collections
import hashlib
import json
import os
import subprocess
import sys
import tempfile

import guest
import measure
import table

ROWS = """int_sieve int_sha256 int_lz int_muldiv br_interp br_qsort br_virtcall br_fib br_bigcode fp_matmul fp_nbody fp_x87
simd_sse2_int simd_sse_fp simd_avx2_int simd_fma_fp mem_copy_rep mem_copy_loop mem_chase_4k mem_chase_1m mem_chase_64m mem_tlb_2m
mem_tlb_64m mem_atomic smc_patch smc_jitcold sys_null sys_clock sys_pipe_pp sys_fork sys_exec sys_mmap_touch sys_signal sys_segv
sys_tmpfs sys_read64k sys_timer50us io_inb""".split()
Column = collections.namedtuple("Column", "target engine width label results")


class Skip(Exception):
    pass


def expect(good, what):
    if not good:
        raise AssertionError(what)


def program(width, folder):
    """Built once, with warnings as errors."""
    where = os.path.join(folder, str(width))
    if not os.path.exists(os.path.join(where, "nothing")):
        if why := guest.lacks(width):
            raise Skip(why)
        guest.compile_program(width, where, "-Werror")
    return os.path.join(where, "init")


def said(width, folder, seconds):
    return measure.alone([program(width, folder), f"bench.seconds={seconds}", "bench.ask=1"], os.path.join(folder, "log"), 120)


def all_run(width, folder):
    r = said(width, folder, 0.001)
    expect(r.done and not r.trouble, r.trouble)
    expect(sorted(r.rows) == sorted(ROWS), f"not the rows that there should be: {sorted(set(r.rows) ^ set(ROWS))}")
    for n, row in r.rows.items():
        expect("skipped" in row or (row["work"] > 0 and row["seconds"] > 0), f"{n}: {row}")
    expect(set(r.rows["io_inb"]) == {"skipped"}, "io_inb ran outside of a guest")
    print("# skipped:", ", ".join(f"{n} ({row['skipped']})" for n, row in r.rows.items() if "skipped" in row))


def same_twice(width, folder):
    a, b = said(width, folder, 0).sums, said(width, folder, 0).sums
    expect(a and a == b, f"different: {[n for n in a if a[n] != b.get(n)]}")


def same_at_both_widths(folder):
    a, b = said(64, folder, 0).sums, said(32, folder, 0).sums
    expect(a.keys() == b.keys(), f"not the same rows: {sorted(a.keys() ^ b.keys())}")
    for n, (value, where) in a.items():
        expect(b[n][1] == where, f"{n}: {where} and {b[n][1]}")
        expect(where == "width" or b[n][0] == value, f"{n}: {value} and {b[n][0]}")
    expect([n for n, v in a.items() if v[1] == "width"] == ["int_muldiv", "fp_nbody"], "other rows depend on the width")


def known_results(folder):
    """What Python computes too: the workloads do what their names say."""
    sums = collections.defaultdict(int, {n: int(v, 16) for n, (v, _) in said(64, folder, 0).sums.items()})
    message = bytes(i * i >> 3 & 255 for i in range(65536 - 64))
    expect(f"{sums['int_sha256']:016x}" == hashlib.sha256(message).hexdigest()[:16], "SHA-256")
    limit = 2 * 256 * 1024
    sieve = bytearray([0, 0]) + bytearray([1]) * (limit - 2)
    for p in range(2, int(limit ** 0.5) + 1):
        if sieve[p]:
            sieve[p * p::p] = bytes(len(range(p * p, limit, p)))
    expect(sums["int_sieve"] == 2 * (sum(i for i, s in enumerate(sieve) if s) - 2), "odd primes")
    expect(sums["br_fib"] == 5 * 6765, "fib(20)")
    expect(sums["br_interp"] == 5 * sum(map(steps, range(1, 201))), "3n+1")
    expect(sums["sys_signal"] == sums["sys_segv"] == 200, "signals")


def steps(n):
    """Of the sequence to 1, as the interpreted program counts: one for each halving, one for each other step."""
    count = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        count += 1
    return count


def column(target, seconds, value="0" * 16):
    """As measured: a row int_a of one unit of work in that time, with this checksum."""
    r = measure.Result()
    r.begin("[    1.0] x BENCH-RUN int_a", 3, 1.5)
    for now, line in ((1, "BENCH-START"), (2, f"BENCH-SUM int_a {value} same"), (3 + seconds, f"BENCH-END int_a 1 {seconds} M/s"),
                      (9, "BENCH-DONE")):
        r.line(line, now, now / 2)
    return Column(target, target[:-2], int(target[-2:]), target, [r])


def the_table():
    native, slow, wrong = column("native64", 1), column("soft64", 3), column("soft64", 3.3, "1" * 16)
    columns = [native, slow, wrong]
    expect(table.slower(columns, slow, "int_a", False) == 3, "times slower")
    expect(table.slower(columns, slow, "int_a", True) == 3, "times slower by CPU time")
    expect(abs(table.group_means(columns, wrong, False)["all"] - 3.3) < 1e-9, "mean")
    expect(table.wrong_sums(columns, slow) == (1, []), "a right checksum")
    expect(table.wrong_sums(columns, wrong) == (1, ["int_a"]), "a wrong checksum")
    expect(not table.clock_off(slow), "clock")
    expect([(a is slow, b is wrong) for a, b in table.compared(columns)] == [(True, True)], "builds to compare")
    expect(abs(table.changes(slow, wrong, False, ["int_a"])["int_a"] - 1.1) < 1e-9, "change")
    text = table.text(columns, False)
    expect(" 3.30 |" in text and " 1.100 |" in text, text)


def the_runner(folder):
    program(64, folder)  # or skip
    out = os.path.join(folder, "out.json")
    command = [sys.executable, os.path.join(guest.HERE, "run"), "--targets", "native64", "--seconds", "0.01", "--reps", "1",
               "--rows", "^(int_muldiv|sys_null)$", "--log", folder, "-o", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, done.stderr + done.stdout)
    with open(out, encoding="utf-8") as f:
        rows = json.load(f)["columns"][0]["rows"]
    expect(list(rows) == ["int_muldiv", "sys_null"] and all(r["rate"] > 0 for r in rows.values()), rows)
    for wrong in (["--targets", "fast64"], ["--rows", "a b"], ["--reps", "0"]):
        done = subprocess.run([*command, *wrong], capture_output=True, text=True, check=False)
        expect(done.returncode == 2, f"{wrong}: {done.returncode}")


def main():
    with tempfile.TemporaryDirectory(prefix="bench-test-") as folder:
        tests = [("all workloads run, 64 bit", lambda: all_run(64, folder)),
                 ("all workloads run, 32 bit", lambda: all_run(32, folder)),
                 ("checksums are the same twice, 64 bit", lambda: same_twice(64, folder)),
                 ("checksums are the same twice, 32 bit", lambda: same_twice(32, folder)),
                 ("checksums are the same at both widths", lambda: same_at_both_widths(folder)),
                 ("results that are known", lambda: known_results(folder)),
                 ("the table", the_table), ("run", lambda: the_runner(folder))]
        print(f"1..{len(tests)}")
        failed = 0
        for i, (name, test) in enumerate(tests, 1):
            try:
                test()
                print(f"ok {i} {name}")
            except Skip as e:
                print(f"ok {i} {name} # SKIP {' '.join(str(e).split())}")
            except (AssertionError, guest.CannotBuild) as e:
                failed += 1
                print(f"not ok {i} {name}")
                print("#", str(e).replace("\n", "\n# "))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
