# SPDX-License-Identifier: GPL-2.0-or-later
"""Records what programs do to the files of a folder (strace), and makes the folder as a power cut at some instant would leave it.

What is on the disk after a cut.  Of a file: all that was written before an fsync or fdatasync of it that had ended, and of what
came later for each sector on its own any one state that it went through.  Its time of last change: that of the last fsync
that had ended, or any later one; fdatasync need not write it.  Of a folder: all names before an fsync of it that had ended,
and of the changes of names since, of which each (a rename, too) is there as a whole or not at all,
  KILL    all of them, with all data: as when the processes were killed and the host went on;
  ORDER   all up to some moment, as file systems with one journal do it;
  ANY     any of them, which is all that POSIX promises.

Made from the whole record, the folder must be what it really is in the end: a recording that does not know some call fails
there."""
import os
import re
import shutil
import subprocess
import tempfile
import time

SECTOR = 512
KILL, ORDER, ANY = "kill", "order", "any"
WAYS = [KILL, ORDER, ANY]
CALLS = ("openat,creat,write,pwrite64,writev,pwritev,pwritev2,lseek,rename,renameat,renameat2,link,linkat,unlink,unlinkat,symlink,"
         "symlinkat,fsync,fdatasync,sync_file_range,syncfs,ftruncate,truncate,fallocate,mkdir,mkdirat,rmdir,copy_file_range,sendfile,"
         "splice,utimensat,ioctl,fstat,newfstatat,statx,io_uring_enter")
NOTHING = {"sync_file_range", "ioctl"}  # they change nothing; FICLONE is refused below
LINE = re.compile(r"([\d.]+) (\w+)\((.*)\) = (-?\d+|0x[0-9a-f]+)(<[^>]*>(?:\(deleted\))?)?(?: [A-Z(].*?)? <([\d.]+)>$", re.S)
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
PATH = re.compile(r"(?:^|, )(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")


class Unknown(Exception):
    """A call that this does not know."""


def plain(text):
    return bytes.fromhex(text.replace("\\x", ""))


class Event:
    def __init__(self, start, end, kind, who, *what):
        self.start, self.end, self.kind, self.who, self.what = start, end, kind, who, what


class Node:
    """A file or a folder as it was when the recording began (None: it was not there)."""

    def __init__(self, folder=False, data=b"", mtime=0, names=None):
        self.folder, self.data, self.mtime, self.names = folder, data, mtime, names or {}


class Recording:
    def __init__(self, root):
        """root: a folder, by its real path."""
        self.root, self.nodes, self.events, self.inodes = root, [], [], {}
        self.top = self.scan(root)
        self.now = {i: dict(n.names) for i, n in enumerate(self.nodes) if n.folder}  # the names while we read
        self.at, self.gone, self.size = {}, {}, {i: len(n.data) for i, n in enumerate(self.nodes)}

    def scan(self, path):
        st = os.lstat(path)
        if st.st_ino in self.inodes:
            return self.inodes[st.st_ino]
        number = self.inodes[st.st_ino] = len(self.nodes)
        node = Node(os.path.isdir(path), mtime=st.st_mtime_ns)
        self.nodes.append(node)
        if node.folder:
            node.names = {n: self.scan(os.path.join(path, n)) for n in sorted(os.listdir(path))}
        else:
            with open(path, "rb") as f:
                node.data = f.read()
        return number

    # ---- recording ----
    def run(self, argv, env, pid=None, after=None, timeout=120):
        """Runs argv, and follows it and what it starts, and a running process, to their ends; after(): called when argv has
        ended, ends what else there is.  Its exit code, and what it said."""
        folder = tempfile.mkdtemp(prefix="strace-")
        try:
            with open(os.path.join(folder, "said"), "w+", encoding="utf-8") as said:
                p = subprocess.Popen(["strace", "-ff", "-v", "-y", "-xx", "-s", "16000000", "--absolute-timestamps=format:unix,precision:ns",
                                      "--syscall-times=ns", "-o", os.path.join(folder, "t"), "-e", "trace=" + CALLS,
                                      *(["-p", str(pid)] if pid else []), "sh", "-c", '"$@"; echo "$?" >"$0"',
                                      os.path.join(folder, "code"), *argv], env=env, stdout=said, stderr=subprocess.STDOUT)
                code, end = os.path.join(folder, "code"), time.monotonic() + timeout
                while p.poll() is None and not (os.path.exists(code) and os.path.getsize(code)):
                    assert time.monotonic() < end, f"{argv} does not end"
                    time.sleep(0.005)
                if after:
                    after()
                p.wait(timeout=timeout)
                said.seek(0)
                text = said.read()
            with open(code, encoding="ascii") as f:
                result = int(f.read())
            self.read(folder)
            return result, text
        finally:
            shutil.rmtree(folder)

    def read(self, folder):
        lines = []
        for name in os.listdir(folder):
            if name.startswith("t."):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as f:
                    lines += [m for m in map(LINE.match, f.read().split("\n")) if m]
        for m in sorted(lines, key=lambda m: float(m[1])):
            if not m[4].startswith("-"):
                start = float(m[1])
                self.call(start, start + float(m[6]), m[2], m[3], int(m[4], 0), m[5] or "")

    def find(self, path, deleted=False):
        """A node's number by its path as bytes; None: it is not in the folder."""
        path = path.decode("utf-8", "surrogateescape")
        if not path.startswith(self.root + "/") and path != self.root:
            return None
        if deleted or os.path.basename(path).startswith("#"):
            return self.gone.get(path.removesuffix(" (deleted)"))
        number = self.top
        for name in path[len(self.root):].split("/"):
            if name not in ("", "."):
                number = self.now.get(number, {}).get(name)
        return number

    def place(self, path):
        """The folder's number and the name in it; None: it is not in the folder."""
        path = os.path.normpath(path)
        folder = self.find(os.path.dirname(path))
        return None if folder is None else (folder, os.path.basename(path).decode("utf-8", "surrogateescape"))

    def new(self, folder=False):
        self.nodes.append(Node(folder))
        number = len(self.nodes) - 1
        if folder:
            self.now[number] = {}
        self.size[number] = 0
        return number

    def note(self, start, end, kind, who, *what):
        self.events.append(Event(start, end, kind, who, *what))

    def paths(self, args):
        """The paths that a call was given: each joined with the folder of the descriptor before it."""
        found, base = [], b""
        for m in re.finditer(r'(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>|"((?:\\x[0-9a-f]{2})*)"', args):
            if m[1] is not None:
                base = plain(m[1])
            else:
                found.append(os.path.join(base, plain(m[2])))
        return found

    def descriptor(self, args, which=0):
        found = list(PATH.finditer(args))
        return self.find(plain(found[which][1]), bool(found[which][2])) if len(found) > which else None

    def names(self, start, end, *changes):
        """changes: (folder, name, node or None), which come together."""
        for folder, name, node in changes:
            old = self.now[folder].get(name)
            if old is not None and node is None:
                self.gone[os.path.join(self.path(folder), name)] = old
            if node is None:
                self.now[folder].pop(name, None)
            else:
                self.now[folder][name] = node
        self.note(start, end, "names", None, changes)

    def path(self, folder):
        if folder == self.top:
            return self.root
        return next(os.path.join(self.path(f), n) for f, names in self.now.items() for n, i in names.items() if i == folder)

    def call(self, start, end, name, args, result, text):
        what = getattr(self, "call_" + name, None)
        if what:
            what(start, end, args, result, text)
        elif name == "ioctl" and "FICLONE" in args or name not in NOTHING and self.descriptor(args) is not None:
            raise Unknown(f"{name}({args[:200]})")

    # ---- calls: data ----
    def written(self, start, end, who, offset, data):
        if who is not None and data:
            self.size[who] = max(self.size[who], offset + len(data))
            self.note(start, end, "data", who, offset, data)

    def call_write(self, start, end, args, result, _):
        who = self.descriptor(args)
        if who is not None:
            m = TEXT.search(args)
            assert m and not m[2], "strace cut a write short"
            offset = self.at.get(who, 0)
            self.written(start, end, who, offset, plain(m[1])[:result])
            self.at[who] = offset + result

    def call_pwrite64(self, start, end, args, result, _):
        self.written(start, end, self.descriptor(args), int(args.rsplit(", ", 1)[1]), plain(TEXT.search(args)[1])[:result])

    def call_pwritev(self, start, end, args, result, _):
        who = self.descriptor(args)
        if who is not None:
            data = b"".join(plain(m) for m in re.findall(r'iov_base="((?:\\x[0-9a-f]{2})*)"', args))
            assert len(data) >= result, "strace cut a write short"
            self.written(start, end, who, int(re.search(r"\], \d+, (\d+)", args)[1]), data[:result])

    call_pwritev2 = call_pwritev

    def call_writev(self, start, end, args, result, _):
        who = self.descriptor(args)
        if who is not None:
            offset = self.at.get(who, 0)
            data = b"".join(plain(m) for m in re.findall(r'iov_base="((?:\\x[0-9a-f]{2})*)"', args))
            self.written(start, end, who, offset, data[:result])
            self.at[who] = offset + result

    def call_lseek(self, start, end, args, result, _):
        who = self.descriptor(args)
        if who is not None and not re.search(r"SEEK_(DATA|HOLE)", args):
            self.at[who] = result

    def call_ftruncate(self, start, end, args, result, _):
        who = self.descriptor(args)
        if who is not None:
            self.size[who] = int(args.rsplit(", ", 1)[1])
            self.note(start, end, "size", who, self.size[who])

    def call_fallocate(self, start, end, args, result, _):
        who = self.descriptor(args)
        if who is None:
            return
        mode, offset, length = re.search(r", ([^,]+), (\d+), (\d+)$", args).groups()
        if "PUNCH_HOLE" in mode or "ZERO_RANGE" in mode:
            length = min(int(length), max(0, self.size[who] - int(offset))) if "KEEP_SIZE" in mode else int(length)
            self.written(start, end, who, int(offset), bytes(length))
        elif mode == "0":
            if int(offset) + int(length) > self.size[who]:
                self.size[who] = int(offset) + int(length)
                self.note(start, end, "size", who, self.size[who])
        elif mode != "FALLOC_FL_KEEP_SIZE":
            raise Unknown(f"fallocate {mode}")

    def call_copy_file_range(self, start, end, args, result, _):
        source, target = self.descriptor(args), self.descriptor(args, 1)
        if target is None or not result:
            return
        if source is None:
            raise Unknown(f"copy_file_range({args[:200]})")
        m = re.search(r">(?:\(deleted\))?, (NULL|\[\d+\]), .*>(?:\(deleted\))?, (NULL|\[\d+\]), ", args)
        places = []
        for who, where in zip((source, target), m.groups()):
            places.append(self.at.get(who, 0) if where == "NULL" else int(where[1:-1]))
            if where == "NULL":
                self.at[who] = places[-1] + result
        self.written(start, end, target, places[1], self.content(source)[places[0]:places[0] + result])

    # ---- calls: names ----
    def call_openat(self, start, end, args, result, text):
        if "O_CREAT" not in args and "O_TRUNC" not in args and "O_TMPFILE" not in args:
            who = self.find(plain(text[1:-1])) if text.startswith("<") and not text.endswith(")") else None
            if who is not None:
                self.at[who] = 0
            return
        path = plain(re.match(r"<(.*)>", text)[1])
        if "O_TMPFILE" in args:
            if path.decode("utf-8", "replace").startswith(self.root + "/"):
                self.gone[path.decode("utf-8", "surrogateescape").removesuffix(" (deleted)")] = self.new()
            return
        place = self.place(path)
        if not place:
            return
        who = self.find(path)
        if who is None:
            who = self.new()
            self.names(start, end, (*place, who))
        elif "O_TRUNC" in args and self.size[who]:
            self.size[who] = 0
            self.note(start, end, "size", who, 0)
        self.at[who] = self.size[who] if "O_APPEND" in args else 0

    def call_mkdir(self, start, end, args, result, _):
        place = self.place(self.paths(args)[0])
        if place:
            self.names(start, end, (*place, self.new(folder=True)))

    call_mkdirat = call_mkdir

    def call_rename(self, start, end, args, result, _):
        if "RENAME_EXCHANGE" in args:
            raise Unknown("RENAME_EXCHANGE")
        source, target = self.paths(args)
        who, a, b = self.find(source), self.place(source), self.place(target)
        if a and b:
            self.names(start, end, (*a, None), (*b, who))
        elif a or b:
            raise Unknown(f"rename {source} {target}")

    call_renameat = call_renameat2 = call_rename

    def call_link(self, start, end, args, result, _):
        source, target = self.paths(args)
        place = self.place(target)
        if place:
            if source.startswith(b"/proc/self/fd/"):  # the one file without a name that was written last
                who = list(self.gone.values())[-1]
            else:
                who = self.find(source)
            self.names(start, end, (*place, who))

    call_linkat = call_link

    def call_unlink(self, start, end, args, result, _):
        place = self.place(self.paths(args)[0])
        if place:
            self.names(start, end, (*place, None))

    call_unlinkat = call_rmdir = call_unlink

    # ---- calls: times, and to the disk ----
    def call_fsync(self, start, end, args, result, _):
        who = self.descriptor(args)
        if who is not None:
            self.note(start, end, "sync", who)

    def call_fdatasync(self, start, end, args, result, _):
        who = self.descriptor(args)
        if who is not None:
            self.note(start, end, "datasync", who)

    def call_syncfs(self, start, end, args, result, _):
        for who in range(len(self.nodes)):
            self.note(start, end, "sync", who)

    def call_utimensat(self, start, end, args, result, _):
        who = self.descriptor(args) if not TEXT.search(args) else self.find(self.paths(args)[0])
        if who is not None:
            m = re.findall(r"\{tv_sec=(\d+)[^}]*tv_nsec=(\d+)|UTIME_(OMIT|NOW)", args)
            if m[1][2] == "NOW" or not m[1][2]:
                mtime = int(m[1][0]) * 10**9 + int(m[1][1]) if not m[1][2] else int(start * 1e9)
                self.note(start, end, "time", who, mtime)

    def call_fstat(self, start, end, args, result, _):
        who = self.descriptor(args)
        if '""' not in args and TEXT.search(args):
            who = self.find(self.paths(args)[0])
        m = re.search(r"st_mtime=(\d+).*st_mtime_nsec=(\d+)", args)
        if who is not None and m:
            self.note(start, end, "seen", who, int(m[1]) * 10**9 + int(m[2]))

    call_newfstatat = call_fstat

    # ---- the folder after a cut ----
    def content(self, who):
        data = bytearray(self.nodes[who].data)
        for e in self.events:
            if e.who == who:
                change(data, e)
        return bytes(data)

    def finish(self):
        """Checks the record by what there is; and what the file system says of times."""
        self.by_node = {}
        for e in self.events:
            if e.who is not None:
                self.by_node.setdefault(e.who, []).append(e)
        self.times = {w: times(self.nodes[w].mtime, events) for w, events in self.by_node.items()}
        self.compare(self.top, self.root)

    def compare(self, folder, path):
        there = sorted(os.listdir(path))
        assert there == sorted(self.now[folder]), f"recorded in {path}: {sorted(self.now[folder])}, there are {there}"
        for name, who in self.now[folder].items():
            p = os.path.join(path, name)
            if self.nodes[who].folder:
                self.compare(who, p)
                continue
            with open(p, "rb") as f:
                data = f.read()
            assert data == self.content(who) or "/logs/" in p, f"{p} is not what was recorded"
            if who in self.times:  # the last write's time is known by now
                self.times[who] = [(e, m) for e, m in self.times[who]]
                if self.times[who] and not any(e.kind == "time" for e, _ in self.times[who][-1:]):
                    self.times[who][-1] = (self.times[who][-1][0], os.stat(p).st_mtime_ns)

    def instants(self):
        """How many there are: cuts are between 0 and this."""
        return len(self.events)

    def cut(self, rng, at, way, target):
        """Makes the folder as a cut before event number at may leave it."""
        moment = self.events[at].start if at < len(self.events) else float("inf")
        events = [e for e in self.events if e.start < moment]
        names = {i: dict(n.names) for i, n in enumerate(self.nodes) if n.folder}
        for e in self.chosen_names(rng, [e for e in events if e.kind == "names"], events, moment, way):
            for folder, name, node in e.what[0]:
                if node is None:
                    names[folder].pop(name, None)
                else:
                    names[folder][name] = node
        done = {}
        self.build(rng, self.top, names, moment, way, target, done)

    def chosen_names(self, rng, changes, events, moment, way):
        if way == KILL:
            return changes
        synced = {}
        for e in events:
            if e.kind == "sync" and e.end <= moment:
                synced[e.who] = max(synced.get(e.who, 0), e.start)
        safe = [any(e.end <= synced.get(folder, 0) for folder, _, _ in e.what[0]) for e in changes]
        if way == ORDER:
            least = max((i + 1 for i, s in enumerate(safe) if s), default=0)
            return changes[:rng.randint(least, len(changes))]
        return [e for e, s in zip(changes, safe) if s or rng.random() < 0.5]

    def build(self, rng, folder, names, moment, way, path, done):
        os.mkdir(path, 0o700)
        for name, who in sorted(names[folder].items()):
            p = os.path.join(path, name)
            if who in done:
                os.link(done[who], p)
            elif self.nodes[who].folder:
                self.build(rng, who, names, moment, way, p, done)
            else:
                data, mtime = self.state(rng, who, moment, way)
                with open(os.open(p, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                    f.write(data)
                os.utime(p, ns=(mtime, mtime))
                done[who] = p

    def state(self, rng, who, moment, way):
        events = [e for e in self.by_node.get(who, []) if e.start < moment]
        times_ = [(e, m) for e, m in self.times.get(who, []) if e.start < moment]
        if way == KILL:
            safe, after = float("inf"), float("inf")
        else:
            full = max((e.start for e in events if e.kind == "sync" and e.end <= moment), default=0)
            safe = max((e.start for e in events if e.kind in ("sync", "datasync") and e.end <= moment), default=0)
            after = full
        data, loose = bytearray(self.nodes[who].data), []
        for e in events:
            if e.kind in ("data", "size"):
                if e.end <= safe:
                    change(data, e)
                else:
                    loose.append(e)
        mtimes = [self.nodes[who].mtime] + [m for e, m in times_ if e.end <= after]
        mtimes = mtimes[-1:] + [m for e, m in times_ if e.end > after]
        return torn(rng, data, loose), rng.choice([mtimes[0], mtimes[-1], rng.choice(mtimes)])


def change(data, e):
    if e.kind == "size":
        if e.what[0] < len(data):
            del data[e.what[0]:]
        else:
            data.extend(bytes(e.what[0] - len(data)))
    elif e.kind == "data":
        offset, new = e.what
        if len(data) < offset + len(new):
            data.extend(bytes(offset + len(new) - len(data)))
        data[offset:offset + len(new)] = new


def torn(rng, data, loose):
    """With some of what was on its way: each sector as it was after some part of that, and the length, too."""
    if not loose:
        return bytes(data)
    mode = rng.randrange(4)
    if mode < 2:
        for e in loose[:len(loose) if mode else 0]:
            change(data, e)
        return bytes(data)
    whole = bytearray(data)
    lengths = [len(whole)]
    for e in loose:
        change(whole, e)
        lengths.append(len(whole))
    length, until = rng.choice(lengths), {}
    result = bytearray(data[:length]) + bytes(max(0, length - len(data)))
    for i, e in enumerate(loose):
        if e.kind == "size":
            continue
        offset, new = e.what
        for sector in range(offset // SECTOR, (offset + len(new) - 1) // SECTOR + 1):
            n = until.setdefault(sector, rng.randint(0, len(loose)) if mode == 3 else rng.choice([0, len(loose)]))
            low, high = max(offset, sector * SECTOR), min(offset + len(new), (sector + 1) * SECTOR, length)
            if i < n and low < high:
                result[low:high] = new[low - offset:high - offset]
    return bytes(result)


def times(first, events):
    """(event, the file's time of last change from then on): a write's is what was seen next, if nothing was written between."""
    result = []
    for i, e in enumerate(events):
        if e.kind == "time":
            result.append((e, e.what[0]))
        elif e.kind in ("data", "size"):
            seen = next((x for x in events[i + 1:] if x.kind in ("data", "size", "time", "seen")), None)
            result.append((e, seen.what[0] if seen and seen.kind == "seen" else int(e.start * 1e9)))
    return result
