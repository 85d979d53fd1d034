"""An event channel of SQLSpec on asyncpg: prints what it receives, publishes what it is told.

Usage: peer.py DSN CHANNEL. Both ways are lines of JSON.
"""
import asyncio
import json
import logging
import sys

from sqlspec import SQLSpec
from sqlspec.adapters.asyncpg import AsyncpgConfig

logging.disable(logging.WARNING)


def tell(**line):
    print(json.dumps(line), flush=True)


async def received(message):
    tell(
        received=message.event_id,
        channel=message.channel,
        payload=message.payload,
        metadata=message.metadata,
    )


async def main(dsn, name):
    spec = SQLSpec()
    config = AsyncpgConfig(
        connection_config={"dsn": dsn, "min_size": 1, "max_size": 4},
        driver_features={"events_backend": "notify"},
    )
    spec.add_config(config)
    channel = spec.event_channel(config)
    assert channel.backend_name == "notify", channel.backend_name
    listener = channel.listen(name, received)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        event = json.loads(line)
        tell(published=await channel.publish(name, event["payload"], event["metadata"]))
    await channel.stop_listener(listener.id)
    await channel.shutdown()
    await config.close_pool()


asyncio.run(main(*sys.argv[1:]))
