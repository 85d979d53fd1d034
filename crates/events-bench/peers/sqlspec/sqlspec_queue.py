"""SQLSpec's queue on asyncpg (poll_queue), with its options for speed; events-bench runs it.

Usage: sqlspec_queue.py URL EVENTS single|batch|drain
"""
import asyncio
import json
import logging
import sys
import time

from peerlib import check

logging.disable(logging.WARNING)
CH = "bench"


def payload(i):
    """About 200 bytes, as the other rivals on PostgreSQL carry."""
    return {"i": i, "t": 0, "type": "bench", "body": "x" * 144}


def make(url):
    from sqlspec import SQLSpec
    from sqlspec.adapters.asyncpg import AsyncpgConfig
    from sqlspec.adapters.asyncpg.events import AsyncpgEventQueueStore
    # Acknowledged rows are deleted at once; a queue that was empty is looked at again soon.
    events = {"queue_table": "sqlspec_events", "retention_seconds": 0, "poll_interval": 0.005, "fillfactor": 50}
    cfg = AsyncpgConfig(connection_config={"dsn": url, "min_size": 2, "max_size": 10},
                        driver_features={"events_backend": "poll_queue"}, extension_config={"events": events})
    spec = SQLSpec()
    spec.add_config(cfg)
    ch = spec.event_channel(cfg)
    assert ch.backend_name == "poll_queue", ch.backend_name
    return cfg, ch, AsyncpgEventQueueStore(cfg)


async def batches(ch, n):
    for first in range(0, n, 100):
        await ch.publish_many([(CH, payload(i), None) for i in range(first, min(first + 100, n))])


async def drain(ch, n):
    ids = []
    async for m in ch.iter_events(CH, poll_interval=0.005):
        await ch.ack(m.event_id)
        ids.append(m.payload["i"])
        if len(ids) >= n:
            return ids


async def run(url, n, case):
    cfg, ch, store = make(url)
    async with cfg.provide_session() as session:
        for statement in store.create_statements():
            await session.execute_script(statement)
        await session.commit()
    lost = dup = 0
    if case == "drain":
        await batches(ch, n)
    begun = time.perf_counter()
    if case == "single":
        for i in range(n):
            await ch.publish(CH, payload(i))
    elif case == "batch":
        await batches(ch, n)
    else:
        lost, dup = check(await drain(ch, n), n)
    seconds = time.perf_counter() - begun
    print(json.dumps({"n": n, "seconds": seconds, "lost": lost, "dup": dup}), flush=True)
    await ch.shutdown()
    await cfg.close_pool()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
