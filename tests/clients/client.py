#!/usr/bin/env python3
"""The clients' tour and load (README.md) with redis-py, 4.3 (Debian 12) or
later; RESP3 from 5.0 on."""
import argparse
import logging
import os
import sys
import threading
import time
from collections import Counter

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

# Its client for clusters prints each error that it cures itself.
logging.getLogger("redis").setLevel(logging.CRITICAL + 1)

N_PIPELINE = 1000
N_WORKERS = 4
POLL_S_MAX = 30
LOAD_S_MAX = 180
# Errors after which a program may try again, by the word they begin with.
RETRIABLE = ("CLUSTERDOWN", "TRYAGAIN", "LOADING", "UNKNOWN")

# What became of a write.
ACKED, REFUSED, UNKNOWN, CONFLICT = "acked", "refused", "unknown", "conflict"


def speaks_resp3():
    return int(redis.__version__.split(".")[0]) >= 5


def connect(address, resp):
    host, port = address.rsplit(":", 1)
    version = {"protocol": resp} if speaks_resp3() else {}
    # No repetition inside the library: INCR is counted.
    return redis.Redis(host=host, port=int(port), socket_timeout=20,
                       socket_connect_timeout=5, retry=Retry(NoBackoff(), 0),
                       **version)


def connect_cluster(addresses, resp):
    nodes = [ClusterNode(host, int(port)) for host, port in
             (address.rsplit(":", 1) for address in addresses)]
    version = {"protocol": resp} if speaks_resp3() else {}
    return RedisCluster(startup_nodes=nodes, socket_timeout=20, **version)


def plain_pipeline(client):
    """Without MULTI, which a cluster's client does not take anyway."""
    if isinstance(client, redis.Redis):
        return client.pipeline(transaction=False)
    return client.pipeline()


# ---- tour

class Tour:
    def __init__(self, client, other, resp):
        self.client, self.other = client, other
        self.prefix = "python%d:" % resp
        self.n_checks = 0

    def check(self, got, want, what):
        self.n_checks += 1
        if got != want:
            raise SystemExit("%s: %r, not %r" % (what, got, want))

    def key(self, name):
        return self.prefix + str(name)

    def raises(self, error, words, what, function):
        try:
            got = function()
        except error as e:
            self.check(words in str(e), True, "%s: %s" % (what, e))
        else:
            raise SystemExit("%s: %r, no error" % (what, got))

    def strings(self):
        c, key = self.client, self.key("string")
        value = bytes(range(256)) + b"\r\n"
        self.check(c.get(key), None, "GET of nothing")
        self.check(c.set(key, value), True, "SET")
        self.check(c.get(key), value, "GET")
        self.check(c.set(key, "x", nx=True), None, "SET NX")
        self.check(c.set(key, "y", xx=True, get=True), value, "SET XX GET")
        self.check(c.append(key, "z"), 2, "APPEND")
        self.check(c.getrange(key, 0, -1), b"yz", "GETRANGE")
        self.check(c.exists(key), 1, "EXISTS")
        self.check(c.incrby(self.key("n"), 5), 5, "INCRBY")
        self.check(c.decr(self.key("n")), 4, "DECR")
        self.check(float(c.incrbyfloat(self.key("f"), 1.5)), 1.5,
                   "INCRBYFLOAT")
        self.raises(redis.ResponseError, "not an integer", "INCR of a text",
                    lambda: c.incr(key))
        self.check(c.delete(key, self.key("n"), self.key("f")), 3, "DEL")

    def expiry(self):
        c, key = self.client, self.key("expiry")
        self.check(c.set(key, "v", px=60000), True, "SET PX")
        self.check(0 < c.pttl(key) <= 60000, True, "PTTL")
        self.check(c.persist(key), 1, "PERSIST")
        self.check(c.ttl(key), -1, "TTL without expiry")
        self.check(c.expire(key, 100), 1, "EXPIRE")
        self.check(0 < c.ttl(key) <= 100, True, "TTL")
        self.check(c.getex(key, px=20), b"v", "GETEX PX")
        end = time.monotonic() + POLL_S_MAX
        while c.get(key) is not None:
            if time.monotonic() > end:
                raise SystemExit("a key of 20 ms does not expire")
            time.sleep(0.01)
        self.check(c.ttl(key), -2, "TTL of nothing")

    def transaction(self):
        c, key = self.client, self.key("tx")
        c.set(key, 1)
        with c.pipeline() as p:
            p.watch(key)
            n = int(p.get(key))
            p.multi()
            p.set(key, n + 1)
            p.incr(key)
            self.check(p.execute(), [True, 3], "EXEC")
        with c.pipeline() as p:
            p.watch(key)
            # Another client, through another node where there is one.
            self.other.set(key, 10)
            p.multi()
            p.set(key, 4)
            self.raises(redis.WatchError, "changed", "EXEC after a change",
                        p.execute)
        self.check(c.get(key), b"10", "GET after EXEC that failed")
        with c.pipeline() as p:
            p.set(key, "text")
            p.incr(key)
            p.get(key)
            got = p.execute(raise_on_error=False)
        self.check([type(got[1]).__name__, got[2]], ["ResponseError", b"text"],
                   "an error inside EXEC")
        c.delete(key)

    def pipeline(self):
        c = self.client
        p = plain_pipeline(c)
        for i in range(N_PIPELINE):
            p.set(self.key("p%d" % i), "value %d" % i)
        self.check(p.execute(), [True] * N_PIPELINE, "1,000 SETs")
        for i in range(N_PIPELINE):
            p.get(self.key("p%d" % i))
        self.check(p.execute(),
                   [b"value %d" % i for i in range(N_PIPELINE)], "1,000 GETs")

    def scan(self):
        c = self.client
        want = {self.key("p%d" % i).encode() for i in range(N_PIPELINE)}
        self.check(set(c.scan_iter(match=self.key("p*"), count=97)), want,
                   "SCAN MATCH COUNT")
        self.check(set(c.scan_iter(match=self.key("none*"))), set(),
                   "SCAN of nothing")
        keys = sorted(want)
        self.check(c.delete(*keys), N_PIPELINE, "DEL of 1,000")

    def session(self):
        c = self.client
        self.check(c.ping(), True, "PING")
        self.check(c.echo("x"), b"x", "ECHO")
        self.check(c.client_setname("tour"), True, "CLIENT SETNAME")
        self.check(c.dbsize() >= 0, True, "DBSIZE")
        self.check("redis_version" in c.info("server"), True, "INFO server")
        self.check(c.command_count() > 40, True, "COMMAND COUNT")
        self.check(len(c.time()), 2, "TIME")
        self.raises(redis.ResponseError, "unknown command", "NOSUCH",
                    lambda: c.execute_command("NOSUCH"))


PARTS = ("session", "strings", "pipeline", "scan", "expiry", "transaction")


def tour(args):
    if args.cluster:
        client = other = connect_cluster(args.addresses, args.resp)
    else:
        client = connect(args.addresses[0], args.resp)
        other = connect(args.addresses[-1], args.resp)
    t = Tour(client, other, args.resp)
    for part in args.parts.split(","):
        getattr(t, part)()
    print("tour: %d checks" % t.n_checks)


# ---- load

def is_retriable(error):
    """A name for the error if a program may try again after it, else None."""
    if isinstance(error, redis.TimeoutError):
        return "timeout"
    if isinstance(error, (redis.ConnectionError, RedisClusterException)):
        return "connection"
    name = type(error).__name__
    if name in ("ClusterDownError", "TryAgainError"):
        return name
    # In a pipeline redis-py puts words of its own in front.
    word = str(error).rsplit("caused error: ", 1)[-1].split(" ")[0]
    return word if word in RETRIABLE else None


class Worker(threading.Thread):
    """One client. Of each key it knows what was acknowledged."""

    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load, self.number = load, number
        self.node = number
        self.client = None
        self.acked = {}
        self.own, self.shared = Counter(), Counter()
        self.failure = None

    def key(self, name):
        return "%s%d:%s" % (self.load.prefix, self.number, name)

    def attempt(self, function):
        """Carry it out once: (fate, result). Any other error ends the load."""
        addresses = self.load.addresses
        try:
            if self.client is None and self.load.cluster:
                self.client = connect_cluster(addresses, self.load.resp)
            elif self.client is None:
                self.node = (self.node + 1) % len(addresses)
                self.client = connect(addresses[self.node], self.load.resp)
            return ACKED, function(self.client)
        except redis.WatchError as e:
            if str(e).startswith("Watched variable"):
                return CONFLICT, None
            # redis-py says so too when the connection was lost on the way.
            self.load.note("watch")
        except (redis.RedisError, RedisClusterException) as e:
            name = is_retriable(e)
            if name is None:
                raise
            self.load.note(name)
            if name in ("CLUSTERDOWN", "ClusterDownError"):
                return REFUSED, None  # certainly not done
        self.disconnect()
        return UNKNOWN, None

    def disconnect(self):
        """Go on at the next address. A cluster's client should find its way by
        itself, but a pipeline of redis-py 4.3 goes to a dead node for ever."""
        if self.client is not None:
            self.client.close()
            self.client = None

    def until_acked(self, function):
        """For what may be done twice."""
        while True:
            fate, result = self.attempt(function)
            if fate == ACKED:
                return result
            if self.load.is_late():
                raise SystemExit("no acknowledgement for too long")
            time.sleep(0.005)

    def set_and_get(self, i):
        key, value = self.key(i), "value %d of %d" % (i, self.number)
        px = 3600000 if self.load.has("expiry") and i % 2 == 0 else None
        self.until_acked(lambda c: c.set(key, value, px=px))
        self.acked[key] = value
        if i % 8 == 0 and not self.load.cluster:
            # The next node must show it as well.
            self.disconnect()
            got = self.until_acked(lambda c: c.get(key))
            if got != value.encode():
                raise SystemExit("GET %s: %r, not %r" % (key, got, value))

    def count_own(self):
        key = self.key("counter")
        fate, result = self.attempt(lambda c: c.incr(key))
        self.own[fate] += 1
        if fate == ACKED and not (
                self.own[ACKED] <= result <= self.own[ACKED] +
                self.own[UNKNOWN]):
            raise SystemExit("INCR %s: %d after %s" % (key, result, self.own))

    def count_shared(self):
        key = self.load.shared_key

        def add(c):
            with c.pipeline() as p:
                p.watch(key)
                n = int(p.get(key) or 0)
                p.multi()
                p.set(key, n + 1)
                p.execute()

        self.shared[self.attempt(add)[0]] += 1

    def pipeline(self, i):
        pairs = {self.key("%d-%d" % (i, j)): "v%d" % j
                 for j in range(N_PIPELINE)}

        def send(c):
            p = plain_pipeline(c)
            for key, value in pairs.items():
                p.set(key, value)
            return p.execute()

        self.until_acked(send)
        self.acked.update(pairs)

    def run(self):
        try:
            i = 0
            while not self.load.stopped():
                self.set_and_get(i)
                # A cluster's client repeats by itself: no counting then.
                if not self.load.cluster:
                    self.count_own()
                if not self.load.cluster and self.load.has("transaction"):
                    self.count_shared()
                if i % 200 == 100:
                    self.pipeline(i)
                i += 1
                self.load.progress()
        except BaseException as e:
            self.failure = e
            self.load.failed = True


class Load:
    def __init__(self, args):
        self.addresses, self.resp = args.addresses, args.resp
        self.cluster = args.cluster
        self.parts = args.parts.split(",")
        self.stop_file = args.stop
        self.prefix = "python%d-load:" % args.resp
        self.shared_key = self.prefix + "shared"
        self.end = time.monotonic() + LOAD_S_MAX
        self.lock = threading.Lock()
        self.errors = Counter()
        self.n_rounds = 0
        self.failed = False

    def has(self, part):
        return part in self.parts

    def is_late(self):
        return self.failed or time.monotonic() > self.end

    def stopped(self):
        return self.is_late() or os.path.exists(self.stop_file)

    def note(self, name):
        with self.lock:
            self.errors[name] += 1

    def progress(self):
        with self.lock:
            self.n_rounds += 1
            if self.n_rounds % 100 == 0:
                print("rounds %d" % self.n_rounds, flush=True)

    def verify_on(self, c, address, workers):
        for w in workers:
            keys = sorted(w.acked)
            for first in range(0, len(keys), 500):
                some = keys[first:first + 500]
                p = plain_pipeline(c)
                for key in some:
                    p.get(key)
                for key, got in zip(some, p.execute()):
                    if got != w.acked[key].encode():
                        raise SystemExit("%s: acknowledged %s is %r" %
                                         (address, key, got))
            if self.has("expiry") and c.pttl(w.key(0)) <= 0:
                raise SystemExit("%s lost its expiry" % w.key(0))
            self.within(c, w.key("counter"), w.own)
        if self.has("transaction"):
            self.within(c, self.shared_key,
                        sum((w.shared for w in workers), Counter()))
        found = set(c.scan_iter(match=self.prefix + "*", count=1000))
        for w in workers:
            for key in w.acked:
                if key.encode() not in found:
                    raise SystemExit("%s: SCAN misses %s" % (address, key))

    @staticmethod
    def within(c, key, counts):
        n = int(c.get(key) or 0)
        if not counts[ACKED] <= n <= counts[ACKED] + counts[UNKNOWN]:
            raise SystemExit("%s is %d after %s" % (key, n, dict(counts)))

    def run(self):
        workers = [Worker(self, i) for i in range(N_WORKERS)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        for w in workers:
            if w.failure is not None:
                raise SystemExit("worker %d: %s: %s" % (
                    w.number, type(w.failure).__name__, w.failure))
        if not os.path.exists(self.stop_file):
            raise SystemExit("nobody stopped the load")
        if self.cluster:
            self.verify_on(connect_cluster(self.addresses, self.resp),
                           "the cluster", workers)
        else:
            for address in self.addresses:
                self.verify_on(connect(address, self.resp), address, workers)
        own = sum((w.own for w in workers), Counter())
        shared = sum((w.shared for w in workers), Counter())
        print("load: %d keys, %s INCRs, %s transactions acknowledged and "
              "found on %d addresses; errors: %s" % (
                  sum(len(w.acked) for w in workers), own[ACKED],
                  shared[ACKED], len(self.addresses),
                  dict(self.errors) or "none"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=("version", "tour", "load"))
    p.add_argument("--resp", type=int, choices=(2, 3), default=2)
    p.add_argument("--cluster", action="store_true")
    p.add_argument("--parts", default=",".join(PARTS))
    p.add_argument("--stop", metavar="FILE")
    p.add_argument("addresses", nargs="*", metavar="HOST:PORT")
    args = p.parse_intermixed_args()
    if args.what == "version":
        print("redis-py %s" % redis.__version__)
        return 0
    if args.resp == 3 and not speaks_resp3():
        print("redis-py %s speaks RESP2 only" % redis.__version__)
        return 3
    if args.what == "tour":
        tour(args)
    else:
        Load(args).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
