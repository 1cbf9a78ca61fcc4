#!/usr/bin/env python3
"""The commands beside those of a real redis-server: docs/COMMANDS.md.

  conformance.py list                        print docs/COMMANDS.md
  conformance.py compare REDIS_PORT LEADER_PORT FOLLOWER_PORT [N_RANDOM]

The cases are the lines of conformance_table.h and transaction_table.h, recorded
from redis-server 7.0.15; the unit tests hold the node's code to them byte for
byte. compare asks both servers again, which must be empty and on loopback, in
RESP2 and RESP3, then the lines of differences.txt, then random commands, and
prints a line for each command; then the same of the follower, but for the
transactions of two clients (what differences.txt says of WATCH). It ends with 1
if a case differs that differences.txt does not name, or if one that it names
does not differ as it says. Where the redis-server is of another version and
answers otherwise than what was recorded, that is said and no failure."""
import ast
import os
import random
import re
import sys
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "unit", "model"))
sys.dont_write_bytecode = True
import compare_redis  # noqa: E402

RECORDED_VERSION = "7.0.15"
HEAD = """\
# Commands

Semantics, replies and error texts are those of Redis, whose documentation
describes each command. *Cases* are command lines whose replies of a node are the
same, byte for byte, as those of redis-server 7.0.15, in RESP2 and in RESP3:
`make conformance` asks both again and gives the figures for each command;
`scripts/check` does so too. Beside them it compares 2,000 random commands in each
version of the protocol. Written by `make conformance`, do not edit.
"""
STRINGS = r'(?:"(?:[^"\\]|\\.)*"\s*)+'
CASE = re.compile(
    r"^    \{(?:'(?P<client>[ab])',\s*)?(?P<line>" + STRINGS + r"),\s*"
    r"T\((?P<resp2>" + STRINGS + r")\),\s*"
    r"(?:NULL,\s*0|T\((?P<resp3>" + STRINGS + r")\))\},", re.M)
COMMAND = re.compile(
    r"X\((\d+), (\w+), (-?\d+),.*?\"([\w-]+)\",\s*\"([\d.]+)\",\s*(" +
    STRINGS + r")\)", re.S)


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="latin1") as f:
        return f.read()


def text_of(strings):
    """The bytes of C strings that stand side by side."""
    parts = re.findall(r'"(?:[^"\\]|\\.)*"', strings)
    return b"".join(ast.literal_eval("b" + part) for part in parts)


class Case:
    def __init__(self, match):
        self.client = match["client"] or "a"
        self.line = text_of(match["line"]).decode("latin1")
        self.recorded = {2: text_of(match["resp2"])}
        self.recorded[3] = text_of(match["resp3"]) if match["resp3"] \
            else self.recorded[2]

    def command(self):
        return self.line.split()[0].upper()


def cases():
    """A list of cases for each table; connections are made for each anew."""
    tables = []
    for path in (("tests", "unit", "model", "conformance_table.h"),
                 ("tests", "unit", "service", "transaction_table.h")):
        text = read(*path)
        tables.append([Case(m) for m in CASE.finditer(text)])
        # A line that this cannot read must not go unnoticed.
        if len(tables[-1]) != len(re.findall(r"^    \{['\"]", text, re.M)):
            raise SystemExit("%s has lines of another form" % path[-1])
    return tables


def commands():
    """name: (group, since, summary) of the node's table of commands."""
    found = {}
    text = read("node", "command_list.h").replace("\\\n", "\n")
    for m in COMMAND.finditer(text):
        found[m[2]] = (m[4], m[5], text_of(m[6]).decode())
    if len(found) < 40:
        raise SystemExit("command_list.h cannot be read")
    return found


def stanzas():
    """Those of differences.txt as dictionaries."""
    for block in re.split(r"\n\s*\n", read("tests", "clients",
                                           "differences.txt")):
        fields = {}
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] == " ":
                fields[name] += " " + line.strip()
            else:
                name, value = line.split(":", 1)
                fields[name] = value.strip()
        if fields:
            yield fields


# ---- docs/COMMANDS.md

def cell(text):
    return text.replace("|", "\\|")


def listing():
    known = commands()
    counts = Counter(c.command() for table in cases() for c in table)
    differences = [s for s in stanzas() if "line" in s]
    own = {s["own"]: s for s in stanzas() if "own" in s}
    out = HEAD.split("\n")
    out += ["| command | cases | since | what it does |", "|---|--:|---|---|"]
    for name in sorted(known):
        group, since, summary = known[name]
        n = counts.pop(name, 0)
        if n == 0 and name not in own:
            raise SystemExit("%s has no case of conformance, and is not among "
                             "the node's own of differences.txt" % name)
        out.append("| %s | %s | %s | %s |" % (
            name, n if n else "own", since, cell(summary)))
    n_other = sum(counts.values())
    out += ["", "%d cases in all, each in RESP2 and in RESP3%s." % (
        sum(len(table) for table in cases()),
        ", %d of them of commands that do not exist" % n_other if n_other
        else "")]
    out += ["", "## What differs on purpose", "",
            "| command | Redis %s | here | why |" % RECORDED_VERSION,
            "|---|---|---|---|"]
    for s in differences:
        line = (s["setup"] + "; " if "setup" in s else "") + s["line"]
        out.append("| `%s` | `%s` | `%s` | %s |" % tuple(
            cell(x) for x in (line, s["redis"], s["node"], s["why"])))
    out += ["", "## What is the node's own", "",
            "Replies of these are about the node itself, or nobody's, and not "
            "compared byte for", "byte (but their errors are).", "",
            "| command | what it answers | tested by |", "|---|---|---|"]
    for name in sorted(own):
        out.append("| %s | %s | `%s` |" % (name, cell(own[name]["why"]),
                                           own[name]["tested"]))
        if not os.path.exists(os.path.join(ROOT, own[name]["tested"])):
            raise SystemExit("there is no %s" % own[name]["tested"])
        if name not in known:
            raise SystemExit("differences.txt: no command %s" % name)
    return "\n".join(out) + "\n"


# ---- against the servers

def flat(reply, is_set):
    if isinstance(reply, list):
        items = [flat(item, is_set) for item in reply]
        return items[0] + b"".join(sorted(items[1:]) if is_set else items[1:])
    return reply


def agree(line, redis, node):
    """Equal, but for a time to live on a machine that stood still meanwhile."""
    if line.startswith("TTL") and redis[:1] == node[:1] == b":":
        return abs(int(redis[1:]) - int(node[1:])) <= 2
    return redis == node


class Servers:
    """Connections to both servers, as many as a case has clients."""

    def __init__(self, ports, version):
        self.ports, self.version = ports, version
        self.connections = {}

    def ask(self, line, client="a"):
        """The replies of both."""
        replies = []
        for port in self.ports:
            if (client, port) not in self.connections:
                self.connections[client, port] = compare_redis.Client(
                    port, self.version)
            reply = self.connections[client, port].command(line)
            replies.append(flat(reply, line.startswith("KEYS")))
        return replies


class Comparison:
    def __init__(self, ports):
        self.ports = ports
        self.same, self.other, self.changed = Counter(), Counter(), Counter()
        self.n_wrong = 0
        info = compare_redis.Client(ports[0], 2).command("INFO server")
        self.redis = re.search(rb"redis_version:([\d.]+)", info)[1].decode()
        self.is_recorded = self.redis.startswith(
            RECORDED_VERSION.rsplit(".", 1)[0])

    def wrong(self, line, *replies):
        self.n_wrong += 1
        if self.n_wrong <= 20:
            print("%s\n  %s" % (line, "\n  ".join(
                "%-9s %r" % pair for pair in zip(
                    ("redis", "node", "recorded"), replies))))

    def case(self, servers, c):
        redis, node = servers.ask(c.line, c.client)
        recorded = c.recorded[servers.version]
        if agree(c.line, redis, node):
            self.same[c.command()] += 1
        elif not self.is_recorded and redis != recorded and node == recorded:
            self.changed[c.command()] += 1
            if servers.version == 2:
                print("%s: recorded %r, now %r" % (c.line, recorded, redis))
        else:
            self.wrong(c.line, redis, node, recorded)

    def difference(self, servers, s):
        """One that is on purpose: node and redis-server answer as it says."""
        for line in ["FLUSHALL"] + s.get("setup", "").split("; "):
            if line:
                servers.ask(line)
        replies = servers.ask(s["line"])
        first = [r.split(b"\r\n")[0].decode("latin1").strip() for r in replies]
        if first[1] != s["node"] or (self.is_recorded and
                                     first[0] != s["redis"]):
            self.wrong(s["line"], *replies)
        else:
            self.other[s["line"].split()[0]] += 1

    def random(self, servers, n):
        r = random.Random(servers.version)
        for _ in range(n):
            line = compare_redis.random_line(r)
            redis, node = servers.ask(line)
            if not agree(line, redis, node):
                # Another version has other words; 7.0 alone decides.
                if self.is_recorded:
                    self.wrong(line, redis, node)
                else:
                    self.changed["(random)"] += 1
            else:
                self.same["(random)"] += 1

    def run(self, tables, n_random):
        for version in 2, 3:
            for table in tables:
                servers = Servers(self.ports, version)
                servers.ask("FLUSHALL")
                for c in table:
                    self.case(servers, c)
            for s in stanzas():
                if "line" in s:
                    self.difference(Servers(self.ports, version), s)
            servers = Servers(self.ports, version)
            servers.ask("FLUSHALL")
            self.random(servers, n_random)
        names = sorted(set(self.same) | set(self.other) | set(self.changed))
        print("%-14s %6s %10s %8s   beside redis-server %s" % (
            "command", "agree", "on purpose", "changed", self.redis))
        for name in names:
            print("%-14s %6d %10s %8s" % (name, self.same[name],
                                          self.other[name] or "",
                                          self.changed[name] or ""))
        print("%d replies agree, %d differ on purpose, %d have changed since "
              "redis-server %s, %d are wrong" % (
                  sum(self.same.values()), sum(self.other.values()),
                  sum(self.changed.values()), RECORDED_VERSION, self.n_wrong))
        return self.n_wrong != 0 or sum(self.same.values()) < 2000


def main():
    if sys.argv[1:] == ["list"]:
        sys.stdout.write(listing())
        return 0
    if len(sys.argv) < 5 or sys.argv[1] != "compare":
        raise SystemExit(__doc__)
    redis, leader, follower = (int(arg) for arg in sys.argv[2:5])
    n_random = int(sys.argv[5]) if len(sys.argv) > 5 else 2000
    tables = cases()
    wrong = Comparison((redis, leader)).run(tables, n_random)
    print("\na follower:")
    return Comparison((redis, follower)).run(tables[:1], n_random) or wrong


if __name__ == "__main__":
    sys.exit(main())
