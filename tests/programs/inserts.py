# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints SQL: many inserts with an index to keep, updates, a join, sums, and what the tables hold in the end."""
print("PRAGMA journal_mode=WAL;\nCREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c REAL);\nCREATE INDEX ta ON t(a);")
x = 1
for block in range(60):
    print("BEGIN;")
    for i in range(2000):
        x = (x * 1103515245 + 12345) & 0x7fffffff
        print(f"INSERT INTO t(a,b,c) VALUES({x % 10007},'text {x:x}',{x / 7:.3f});")
    print(f"UPDATE t SET c = c + 1 WHERE a = {x % 10007};\nCOMMIT;")
print("SELECT count(*), sum(a), total(c), max(b) FROM t;")
print("SELECT count(*) FROM t x JOIN t y ON x.a = y.a WHERE x.id < 4000;")
print("DELETE FROM t WHERE a % 3 = 0;\nSELECT a, count(*), sum(length(b)), max(b) FROM t GROUP BY a % 11 ORDER BY a LIMIT 9;")
print("PRAGMA integrity_check;")
