"""SQLSpec's native channels on asyncpg (notify).

Usage: PEER_PG_DSN=postgresql://… sqlspec_native.py [--cases a,b,...] [--n N]
"""
import argparse
import asyncio
import logging
import os
import time

from peerlib import RATE, SECS, emit, payload

logging.disable(logging.WARNING)
PEER = "sqlspec-asyncpg-notify"
CH = "bench"


def make():
    from sqlspec import SQLSpec
    from sqlspec.adapters.asyncpg import AsyncpgConfig
    cfg = AsyncpgConfig(connection_config={"dsn": os.environ["PEER_PG_DSN"], "min_size": 2, "max_size": 10},
                        driver_features={"events_backend": "notify"})
    spec = SQLSpec()
    spec.add_config(cfg)
    ch = spec.event_channel(cfg)
    assert ch.backend_name == "notify", ch.backend_name
    return cfg, ch


async def close(cfg, ch):
    try:
        await ch.shutdown()
    finally:
        await cfg.close_pool()


async def until_all(ids, n, seconds=30):
    end = time.monotonic() + seconds
    while len(ids) < n and time.monotonic() < end:
        await asyncio.sleep(0.005)


async def single(n):
    cfg, ch = make()
    lat = []
    t0 = time.perf_counter()
    for i in range(n):
        x = time.perf_counter_ns()
        await ch.publish(CH, payload(i))
        lat.append(time.perf_counter_ns() - x)
    emit(PEER, "publish_single", n, time.perf_counter() - t0, lat)
    await close(cfg, ch)


async def batch(n):
    cfg, ch = make()
    t0 = time.perf_counter()
    for first in range(0, n, 100):
        await ch.publish_many([(CH, payload(first + j), None) for j in range(100)])
    emit(PEER, "publish_batch100", n, time.perf_counter() - t0)
    await close(cfg, ch)


async def receive(n):
    """One transaction sends everything; from its commit to the last handler."""
    import asyncpg
    from sqlspec.extensions.events import encode_notify_payload
    cfg, ch = make()
    ids, last = [], [0.0]

    async def handler(m):
        ids.append(m.payload["i"])
        last[0] = time.perf_counter()
    lst = ch.listen(CH, handler)
    await asyncio.sleep(0.5)
    conn = await asyncpg.connect(os.environ["PEER_PG_DSN"])
    texts = [encode_notify_payload(f"{i:032x}", payload(i), None) for i in range(n)]
    tx = conn.transaction()
    await tx.start()
    for first in range(0, n, 1000):
        await conn.execute("SELECT count(pg_notify($1, p)) FROM unnest($2::text[]) AS p", CH, texts[first:first + 1000])
    t0 = time.perf_counter()
    await tx.commit()
    await until_all(ids, n, 60)
    emit(PEER, "receive", len(ids) or 1, last[0] - t0, ids=ids, expect=n)
    await conn.close()
    await ch.stop_listener(lst.id)
    await close(cfg, ch)


async def latency():
    cfg, ch = make()
    lat, ids = [], []

    async def handler(m):
        lat.append(time.monotonic_ns() - m.payload["t"])
        ids.append(m.payload["i"])
    lst = ch.listen(CH, handler)
    await asyncio.sleep(0.5)
    n = int(RATE * SECS)
    t0 = time.monotonic()
    for i in range(n):
        d = t0 + i / RATE - time.monotonic()
        if d > 0:
            await asyncio.sleep(d)
        await ch.publish(CH, payload(i))
    await until_all(ids, n, 8)
    emit(PEER, "latency_50ps", n, None, lat, ids=ids)
    await ch.stop_listener(lst.id)
    await close(cfg, ch)


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--cases", default="single,batch,receive,latency")
    p.add_argument("--n", type=int, default=2000)
    a = p.parse_args()
    run = {"single": lambda: single(a.n), "batch": lambda: batch(a.n - a.n % 100),
           "receive": lambda: receive(a.n - a.n % 1000), "latency": latency}
    for case in a.cases.split(","):
        asyncio.run(run[case]())
