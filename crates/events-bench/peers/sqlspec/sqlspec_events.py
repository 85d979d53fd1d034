"""SQLSpec's events extension on SQLite.

Usage: sqlspec_events.py [--profile default|best] [--cases a,b,...] [--n N] [--drain-n N]
"""
import argparse
import logging
import time
import uuid

from peerlib import RATE, SECS, drain_processes, emit, paced, payload, timed_each, tmpdb

logging.disable(logging.WARNING)
CH = "bench"


def make(profile, where, table):
    """Build (config, channel, store). `best` = what the documented options allow."""
    from sqlspec import SQLSpec
    from sqlspec.adapters.sqlite import SqliteConfig
    from sqlspec.adapters.sqlite.events import SqliteEventQueueStore
    ev = {"queue_table": table}
    if profile == "best":
        # acked rows deleted at once instead of UPDATE + cleanup DELETE; short poll
        ev.update(retention_seconds=0, poll_interval=0.005)
    cfg = SqliteConfig(connection_config={"database": where}, extension_config={"events": ev})
    spec = SQLSpec()
    spec.add_config(cfg)
    return cfg, spec.event_channel(cfg), SqliteEventQueueStore(cfg)


def sync_setup(a):
    where, table = tmpdb(), "ev_" + uuid.uuid4().hex[:8]
    cfg, ch, store = make(a.profile, where, table)
    with cfg.provide_session() as d:
        for s in store.create_statements():
            d.execute_script(s)
        d.commit()
    return where, table, cfg, ch


def sync_worker(args, stop, done, start):
    profile, where, table = args
    cfg, ch, _ = make(profile, where, table)
    start()
    while not stop():
        try:
            m = ch._backend.dequeue(CH, 0.002)   # what iter_events() calls, with a stop condition
        except Exception as e:
            if "locked" in str(e):
                continue
            raise
        if m is not None:
            ch.ack(m.event_id)
            done(m.payload["i"])


def run_sync(a):
    peer = f"sqlspec-sqlite[{a.profile}]"
    if "single" in a.cases:
        where, table, cfg, ch = sync_setup(a)
        sec, lat = timed_each(lambda i: ch.publish(CH, payload(i)), a.n)
        emit(peer, "publish_single", a.n, sec, lat)
    if "batch" in a.cases:
        where, table, cfg, ch = sync_setup(a)
        b = max(1, a.n // 100)
        sec, lat = timed_each(lambda k: ch.publish_many([(CH, payload(k * 100 + j), None) for j in range(100)]), b)
        emit(peer, "publish_batch100", b * 100, sec)
    for k in (1, 4):
        if f"drain{k}" in a.cases:
            where, table, cfg, ch = sync_setup(a)
            for j in range(0, a.drain_n, 100):
                ch.publish_many([(CH, payload(j + x), None) for x in range(min(100, a.drain_n - j))])
            sec, ids, errs = drain_processes(sync_worker, k, a.drain_n, (a.profile, where, table))
            emit(peer, f"drain_{k}consumer", len(ids) or 1, sec, ids=ids, expect=a.drain_n, backlog=a.drain_n, errors=errs)
    if "latency" in a.cases:
        where, table, cfg, ch = sync_setup(a)
        lat, ids = [], []

        def handler(m):
            lat.append(time.monotonic_ns() - m.payload["t"])
            ids.append(m.payload["i"])
        lst = ch.listen(CH, handler)
        n = int(RATE * SECS)
        time.sleep(0.3)
        errs = []

        def pub(i):
            try:
                ch.publish(CH, payload(i))
            except Exception as e:
                errs.append(type(e).__name__)
        paced(n, RATE, pub)
        end = time.monotonic() + 8
        while len(ids) < n and time.monotonic() < end:
            time.sleep(0.01)
        ch.stop_listener(lst.id)
        emit(peer, "latency_50ps", n, None, lat, ids=ids, poll_interval_s=lst.poll_interval, publish_errors=len(errs))


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--profile", default="default", choices=["default", "best"])
    p.add_argument("--cases", default="single,batch,drain1,drain4,latency")
    p.add_argument("--n", type=int, default=2000)
    p.add_argument("--drain-n", type=int, default=1000)
    a = p.parse_args()
    a.cases = a.cases.split(",")
    run_sync(a)
