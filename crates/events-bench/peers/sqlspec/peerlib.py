"""Shared helpers of the Python peer harnesses: payloads, percentiles, verification, JSON lines."""
import json
import os
import sys
import tempfile
import time

RATE = float(os.environ.get("PEER_RATE", "50"))      # messages per second in the latency cases
SECS = float(os.environ.get("PEER_LAT_SECS", "5"))   # length of a latency case
BODY = "x" * 64


def payload(i):
    """The ~110-byte JSON payload every peer carries."""
    return {"i": i, "t": time.monotonic_ns(), "type": "bench", "body": BODY}


def tmpdb(name="q.db"):
    d = tempfile.mkdtemp(prefix="peer-", dir=os.environ.get("PEER_TMP"))
    return os.path.join(d, name)


def pct(values, p):
    if not values:
        return None
    s = sorted(values)
    return s[min(len(s) - 1, int(round(p / 100 * (len(s) - 1))))]


def check(ids, n):
    """Return (lost, duplicated) for the ids a case delivered out of range(n)."""
    seen = {}
    for i in ids:
        seen[i] = seen.get(i, 0) + 1
    lost = sum(1 for i in range(n) if i not in seen)
    dup = sum(c - 1 for c in seen.values())
    return lost, dup


def emit(peer, case, n, seconds=None, lat_ns=None, ids=None, expect=None, **extra):
    row = {"peer": peer, "case": case, "n": n,
           "seconds": round(seconds, 6) if seconds is not None else None,
           "per_s": round(n / seconds, 1) if seconds else None,
           "p50_us": round(pct(lat_ns, 50) / 1000, 1) if lat_ns else None,
           "p99_us": round(pct(lat_ns, 99) / 1000, 1) if lat_ns else None}
    if ids is not None:
        row["lost"], row["dup"] = check(ids, expect if expect is not None else n)
    row.update(extra)
    print(json.dumps(row), flush=True)


def timed_each(fn, n):
    """Call fn(i) n times; return (total seconds, per-call ns list)."""
    lat = []
    t0 = time.perf_counter()
    for i in range(n):
        a = time.perf_counter_ns()
        fn(i)
        lat.append(time.perf_counter_ns() - a)
    return time.perf_counter() - t0, lat


def paced(n, rate, fn):
    t0 = time.monotonic()
    for i in range(n):
        target = t0 + i / rate
        d = target - time.monotonic()
        if d > 0:
            time.sleep(d)
        fn(i)


def drain_processes(worker, k, n, args, idle_limit=20.0):
    """Run `worker(args, stop, done)` in k processes over one pre-filled queue.

    The worker calls done(i) after each ack and returns when stop() is true.
    Returns (seconds from the common start to the last ack, all ids).
    """
    import multiprocessing as mp
    ctx = mp.get_context("spawn")
    counter = ctx.Value("q", 0)
    start = ctx.Barrier(k + 1)
    q = ctx.Queue()
    ps = [ctx.Process(target=_drain_entry, args=(worker, args, n, counter, start, q, idle_limit)) for _ in range(k)]
    for p in ps:
        p.start()
    start.wait()
    t0 = time.monotonic()
    ids, last, errs = [], t0, []
    for _ in ps:
        got, t, err = q.get()
        ids += got
        if got:
            last = max(last, t)
        if err:
            errs.append(err)
    for p in ps:
        p.join()
    return last - t0, ids, errs


def _drain_entry(worker, args, n, counter, start, q, idle_limit):
    ids = []
    state = {"last": time.monotonic()}

    def done(i):
        ids.append(i)
        state["last"] = time.monotonic()
        with counter.get_lock():
            counter.value += 1

    def stop():
        return counter.value >= n or time.monotonic() - state["last"] > idle_limit

    err = None
    try:
        worker(args, stop, done, start.wait)
    except Exception as e:  # recorded, not hidden
        err = f"{type(e).__name__}: {e}"[:200]
        print(err, file=sys.stderr)
    q.put((ids, state["last"], err))
