# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes one table of what was measured: a row's rate on the host, and how many times slower each guest is."""
import math
import statistics

GROUPS = [("integer", ("int",)), ("branches, calls", ("br",)), ("floating point", ("fp",)), ("SSE2, AVX2, FMA", ("simd",)),
          ("memory, atomics", ("mem",)), ("code that changes", ("smc",)),
          ("system calls, processes, faults", ("sys", "io"))]
UNSTEADY = 0.05  # a spread between the repetitions that is shown
CLOCK_OFF = 0.1  # of a row, and of a second, that a busy host may keep a line waiting


def mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def rates(column, row, by_cpu):
    """One for each repetition.  A row that waits has no rate over CPU time."""
    key = "cpu" if by_cpu and row != "sys_timer50us" else "seconds"
    rows = [r.rows[row] for r in column.results if "work" in r.rows.get(row, {})]
    return [r["work"] / r[key] for r in rows if r[key] > 0]


def rate(column, row, by_cpu):
    all_rates = rates(column, row, by_cpu)
    return statistics.median(all_rates) if all_rates else None


def spread(column, row, by_cpu):
    all_rates = rates(column, row, by_cpu)
    return (max(all_rates) - min(all_rates)) / statistics.median(all_rates) if len(all_rates) > 1 else 0.0


def native_of(columns, width):
    return next((c for c in columns if c.engine == "native" and c.width == width), None)


def slower(columns, column, row, by_cpu):
    """How many times slower than the host's program of the same width; None where either did not run."""
    native = native_of(columns, column.width)
    ours = rate(column, row, by_cpu)
    host = rate(native, row, by_cpu) if native else None
    return host / ours if host and ours else None


def names(columns):
    """Of all rows, by groups."""
    found = list(dict.fromkeys(n for c in columns for r in c.results for n in r.rows))
    return [n for _, prefixes in GROUPS for n in found if n.split("_")[0] in prefixes]


def number(x):
    return f"{x:.2f}" if x < 10 else f"{x:.1f}" if x < 100 else f"{x:.0f}"


def cell(columns, column, row, by_cpu):
    skipped = next((r.rows[row]["skipped"] for r in column.results if "skipped" in r.rows.get(row, {})), None)
    value = rate(column, row, by_cpu)
    if value is None:
        return "skipped" if skipped else "none"
    times = slower(columns, column, row, by_cpu)
    text = number(times) if times and column.engine != "native" else f"{value:.4g}/s" if times is None else f"{value:.4g}"
    width = spread(column, row, by_cpu)
    return text + (f" ±{50 * width:.0f}%" if width > UNSTEADY else "")


def unit(columns, row):
    return next((r.rows[row]["unit"] for c in columns for r in c.results if "unit" in r.rows.get(row, {})), "")


def group_means(columns, column, by_cpu):
    """Title -> geometric mean of its rows, and "all"."""
    rows = {n: slower(columns, column, n, by_cpu) for n in names(columns)}
    rows = {n: v for n, v in rows.items() if v}
    means = {title: mean(v for n, v in rows.items() if n.split("_")[0] in prefixes) for title, prefixes in GROUPS}
    return {**means, "all": mean(rows.values())}


def boot(column, by_cpu):
    times = [r.boot_cpu if by_cpu else r.boot for r in column.results if r.boot is not None]
    return statistics.median(times) if times else None


def compared(columns):
    """Pairs of columns that differ in the build or the kernel's command line: the first such one, and each later one."""
    for i, c in enumerate(columns):
        before = next((b for b in columns[:i] if b.target == c.target), None)
        if before:
            yield before, c


def changes(before, after, by_cpu, rows):
    """Row -> time of the second over that of the first, for the same work, each in its best repetition: what else the host does
    makes a row slower, never faster."""
    pairs = {n: (rates(before, n, by_cpu), rates(after, n, by_cpu)) for n in rows}
    return {n: max(a) / max(b) for n, (a, b) in pairs.items() if a and b}


def wrong_sums(columns, column):
    """The rows that were compared with the host's or, where there is none at this width, with another's; those that differ."""
    wrong, count = set(), 0
    same_width = native_of(columns, column.width)
    reference = same_width or next((c for c in columns if c.engine == "native"), columns[0])
    for result in column.results:
        for row, (value, where) in result.sums.items():
            want = next((r.sums[row] for r in reference.results if row in r.sums), None)
            if want and (where == "same" or reference.width == column.width):
                count += 1
                if value != want[0]:
                    wrong.add(row)
    return count, sorted(wrong)


def clock_off(column):
    """Rows in which a guest's clock and the host's disagree."""
    if column.engine == "native":
        return []
    return sorted({n for r in column.results for n, v in r.rows.items()
                   if "work" in v and abs(v["guest_seconds"] - v["seconds"]) > CLOCK_OFF * (v["seconds"] + 1)})


def lines_of(columns, by_cpu):
    """The table's cells, with its heading."""
    rows = names(columns)
    pairs = list(compared(columns))
    heads = [f"{c.label} rate" if c.engine == "native" else f"{c.label} x" for c in columns]
    yield ["row", "unit", *heads, *(f"{b.label} / {a.label} time" for a, b in pairs)]
    ratios = [changes(a, b, by_cpu, rows) for a, b in pairs]
    for n in rows:
        yield [n, unit(columns, n), *(cell(columns, c, n, by_cpu) for c in columns),
               *(f"{r[n]:.3f}" if n in r else "" for r in ratios)]
    means = [group_means(columns, c, by_cpu) for c in columns]
    for title in [t for t in means[0] if any(m[t] for m in means)]:
        prefixes = dict(GROUPS).get(title)
        of = [mean(v for n, v in r.items() if not prefixes or n.split("_")[0] in prefixes) for r in ratios]
        yield [f"**{title}**", "", *("" if c.engine == "native" or not m[title] else f"**{number(m[title])}**"
                                     for c, m in zip(columns, means)), *(f"{v:.3f}" if v else "" for v in of)]
    times = [boot(c, by_cpu) for c in columns]
    yield ["start to userspace", "CPU s" if by_cpu else "s",
           *("" if c.engine == "native" or not t else f"{t:.2f}" for c, t in zip(columns, times)), *("" for _ in pairs)]


def text(columns, by_cpu):
    cells = list(lines_of(columns, by_cpu))
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    out = ["| " + " | ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))) + " |"
           for line in cells]
    out.insert(1, "|" + "|".join("-" * (w + 1) + ("-" if i < 2 else ":") for i, w in enumerate(widths)) + "|")
    return "\n".join(out)
