export const BODY = "x".repeat(64);
export const now = () => Number(process.hrtime.bigint() / 1000n) / 1; // microseconds, CLOCK_MONOTONIC
export const payload = (i) => ({ i, t: now(), type: "bench", body: BODY });
export const pct = (v, p) => (v.length ? [...v].sort((a, b) => a - b)[Math.round((p / 100) * (v.length - 1))] : null);
export function check(ids, n) {
  const c = new Map();
  for (const i of ids) c.set(i, (c.get(i) ?? 0) + 1);
  let lost = 0, dup = 0;
  for (let i = 0; i < n; i++) if (!c.has(i)) lost++;
  for (const k of c.values()) dup += k - 1;
  return { lost, dup };
}
export function emit(peer, c, n, seconds, lat, extra = {}) {
  console.log(JSON.stringify({ peer, case: c, n, seconds, per_s: seconds ? +(n / seconds).toFixed(1) : null,
    p50_us: lat ? pct(lat, 50) : null, p99_us: lat ? pct(lat, 99) : null, ...extra }));
}
export const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
export async function paced(n, rate, f) {
  const t0 = now();
  for (let i = 0; i < n; i++) {
    const d = t0 + (i / rate) * 1e6 - now();
    if (d > 0) await sleep(d / 1000);
    await f(i);
  }
}
