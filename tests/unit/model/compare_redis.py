#!/usr/bin/env python3
"""Compare a node's replies with those of a real redis-server, byte for byte.

  compare_redis.py REDIS_PORT NODE_PORT [N_RANDOM [SEED]]

Both on loopback and EMPTIED first, their clocks that of one machine. Sends the
lines of conformance_table.h, then those of transaction_table.h by two clients
(a and b), then random commands over a few keys and random transactions of two
clients, in RESP2 and in RESP3. Replies whose order is nobody's (KEYS,
RANDOMKEY) are compared as sets or not at all. Prints how many commands of each
name agree; exits 1 after printing what differs."""
import ast
import collections
import os
import random
import re
import socket
import sys

FLOATS = ["0", "1", "-1", "1.5", "0.1", "-0.3", "3e3", "1e17", "1e-17", "inf",
          "nan", "abc", "0x1p-3", "1e300", "-1e300", "123456789.987654321"]
INTS = ["0", "1", "-1", "7", "9223372036854775807", "-9223372036854775808",
        "9223372036854775808", "1.0", "01", "x", "\"\""]
KEYS = ["a", "b", "c", "\"\"", "\"k\\x00\\xff\"", "num", "flt"]
VALUES = ["v", "\"\"", "12", "-5", "3.25", "\"\\x00\\r\\n\\xff\"", "hello world"]


class Client:
    def __init__(self, port, version):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")
        if version == 3:
            self.command("HELLO 3")

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise SystemExit("connection lost")
        kind = line[:1]
        if kind in b"$=" and int(line[1:]) >= 0:
            return line + self.file.read(int(line[1:]) + 2)
        if kind in b"*~%":
            n = max(int(line[1:]), 0) * (2 if kind == b"%" else 1)
            return [line] + [self.reply() for _ in range(n)]
        return line

    def command(self, line):
        self.socket.sendall(line.encode("latin1") + b"\r\n")
        return self.reply()


def table():
    name = os.path.join(os.path.dirname(__file__), "conformance_table.h")
    text = open(name, encoding="latin1").read()
    for m in re.finditer(r'^    \{((?:"(?:[^"\\]|\\.)*"\s*)+),', text, re.M):
        parts = re.findall(r'"(?:[^"\\]|\\.)*"', m.group(1))
        yield "".join(ast.literal_eval(part) for part in parts)


def transaction_table():
    name = os.path.join(os.path.dirname(__file__), "..", "service",
                        "transaction_table.h")
    text = open(name, encoding="latin1").read()
    for m in re.finditer(r"^    \{'([ab])',\s*((?:\"(?:[^\"\\]|\\.)*\"\s*)+),",
                         text, re.M):
        parts = re.findall(r'"(?:[^"\\]|\\.)*"', m.group(2))
        yield m.group(1), "".join(ast.literal_eval(part) for part in parts)


def random_transactions(r, n):
    """Lines of clients a and b: both watch, change, queue and run."""
    yield "a", "FLUSHALL"
    # KEYS is refused in a transaction here, see README.
    line = lambda: next(l for l in iter(lambda: random_line(r), None)
                        if l.split()[0] not in ("KEYS", "RANDOMKEY"))
    for _ in range(n // 8):
        client, other = r.choice(["ab", "ba"])
        if r.random() < 0.6:
            yield client, "WATCH %s" % " ".join(
                r.choice(KEYS) for _ in range(r.randint(1, 3)))
        for _ in range(r.randint(0, 2)):
            yield r.choice("ab"), line()
        yield client, "MULTI"
        for _ in range(r.randint(0, 4)):
            if r.random() < 0.15:
                yield other, line()
            yield client, line()
        yield client, r.choice(["EXEC"] * 8 + ["DISCARD", "EXEC x"])
        if r.random() < 0.1:
            yield client, "UNWATCH"


def random_line(r):
    key = lambda: r.choice(KEYS)
    value = lambda: "\"%s\"" % r.choice(VALUES).strip("\"")
    number = lambda: r.choice(INTS)
    index = lambda: r.choice(INTS[:4] + ["-2", "3", "5", "-7", "100"])
    # Absolute times only: for others the two would differ by some milliseconds.
    # None in the past for SET: Redis counts the key until it happens on it.
    moment = lambda: r.choice(["EXAT 4102444800", "EXAT 4102444801",
                               "PXAT 4102444800123", "PXAT 4102444801600",
                               "EX 0", "PX -1", "EX x",
                               "PX 9223372036854775807", "EX"])
    forms = [
        lambda: "SET %s %s %s %s" % (key(), value(), moment(), r.choice(
            ["", "NX", "XX", "GET", "KEEPTTL", "XX GET", "PERSIST", "foo"])),
        lambda: "GETEX %s %s" % (key(), r.choice(
            ["", "PERSIST", moment(), "PXAT 1", "EXAT 1",
             moment() + " PERSIST", "KEEPTTL"])),
        lambda: "%s %s %s %s" % (r.choice(["EXPIREAT", "PEXPIREAT"]), key(),
                                 r.choice(["4102444800", "4102444801000",
                                           "4102444801", "1", "-1", "x"]),
                                 r.choice(["", "NX", "XX", "GT", "LT", "XX GT",
                                           "NX GT", "GT LT", "foo"])),
        lambda: "%s %s %s" % (r.choice(["EXPIRE", "PEXPIRE"]), key(),
                              r.choice(["0", "-1", "x", "9223372036854775807",
                                        "-9223372036854775808"])),
        lambda: "%s %s 0 v" % (r.choice(["SETEX", "PSETEX"]), key()),
        lambda: "%s %s" % (r.choice(["EXPIRETIME", "PEXPIRETIME", "PERSIST"]),
                           key()),
        lambda: "SET %s %s" % (key(), value()),
        lambda: "SET %s %s %s" % (key(), value(), " ".join(
            r.sample(["NX", "XX", "GET", "KEEPTTL", "foo"], r.randint(1, 3)))),
        lambda: "SET %s %s" % (r.choice(["num", "flt"]),
                               r.choice(FLOATS + INTS)),
        lambda: "SETNX %s %s" % (key(), value()),
        lambda: "GETSET %s %s" % (key(), value()),
        lambda: "%s %s" % (r.choice(["GET", "GETDEL", "STRLEN", "TYPE", "INCR",
                                     "DECR", "DEL", "UNLINK", "EXISTS",
                                     "TOUCH", "MGET"]), key()),
        lambda: "%s %s %s" % (r.choice(["EXISTS", "TOUCH", "MGET", "DEL",
                                        "UNLINK", "RENAME", "RENAMENX"]),
                              key(), key()),
        lambda: "%s %s %s %s %s" % (r.choice(["MSETNX", "MSET"]), key(),
                                    value(), key(), value()),
        lambda: "APPEND %s %s" % (key(), value()),
        lambda: "%s %s %s %s" % (r.choice(["GETRANGE", "SUBSTR"]), key(),
                                 index(), r.choice([index(), number()])),
        lambda: "SETRANGE %s %s %s" % (key(), index(), value()),
        lambda: "%s %s %s" % (r.choice(["INCRBY", "DECRBY"]), key(), number()),
        lambda: "INCRBYFLOAT %s %s" % (r.choice(["flt", "num", key()]),
                                       r.choice(FLOATS)),
        lambda: "INCRBYFLOAT flt %.*g" % (r.randint(1, 20),
                                          r.uniform(-1e6, 1e6)),
        lambda: "COPY %s %s%s" % (key(), key(), r.choice(
            ["", " REPLACE", " DB 0", " DB x", " DB 0 REPLACE"])),
        lambda: "KEYS %s" % r.choice(["*", "?", "[a-c]", "n*", "[^a]*", "x"]),
        lambda: "DBSIZE",
        lambda: r.choice(["FLUSHDB", "PING", "SELECT 0", "RANDOMKEY x"])
        if r.random() < 0.1 else "DBSIZE",
        lambda: "%s %s" % (r.choice(["SETRANGE", "RENAME", "INCRBYFLOAT",
                                     "GETDEL"]), " ".join(
            key() for _ in range(r.randint(0, 4)))),
    ]
    return r.choice(forms)()


def compare(redis, node, lines, agreed):
    wrong = 0
    n = 0
    for client, line in lines:
        want, got = redis[client].command(line), node[client].command(line)
        if line.startswith("KEYS") and isinstance(want, list):
            want, got = sorted(want), sorted(got)
        n += 1
        if want == got:
            agreed[line.split()[0].upper()] += 1
        else:
            wrong += 1
            if wrong <= 20:
                print("%s: %s\n  redis %r\n  node  %r" %
                      (client, line, want, got))
    return n, wrong


def main():
    ports = [int(arg) for arg in sys.argv[1:3]]
    n_random = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    wrong = 0
    agreed = collections.Counter()
    for version in 2, 3:
        redis, node = ({name: Client(port, version) for name in "ab"}
                       for port in ports)
        r = random.Random(seed * 10 + version)
        for name, lines in (
                ("table", [("a", line) for line in table()
                           if line.split()[0] not in
                           ("HELLO", "RESET", "CLIENT")]),
                ("transactions", transaction_table()),
                ("random", [("a", "FLUSHALL")] + [
                    ("a", random_line(r)) for _ in range(n_random)]),
                ("random transactions", random_transactions(r, n_random))):
            n, bad = compare(redis, node, lines, agreed)
            print("RESP%d %s: %d commands, %d differ" % (version, name, n, bad))
            wrong += bad
    print("agree: " + ", ".join("%s %d" % item
                                for item in sorted(agreed.items())))
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
