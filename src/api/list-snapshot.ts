/**
 * Whether `text` is a Postgres snapshot, `xmin:xmax:xip,…`, as `pg_current_snapshot()` writes it.
 * Checked here because a client may send any cursor, and Postgres fails on a snapshot that it can't
 * read.
 */
export function isSnapshot(text: string): boolean {
  const parts = /^(\d{1,18}):(\d{1,18}):((?:\d{1,18}(?:,\d{1,18})*)?)$/.exec(text);
  if (!parts) return false;
  const [xmin, xmax] = [BigInt(parts[1] ?? ''), BigInt(parts[2] ?? '')];
  const running = parts[3] ? parts[3].split(',').map(BigInt) : [];
  const ascending = running.every((xid, index) => index === 0 || xid > (running[index - 1] ?? xid));
  return (
    xmin > 0n && xmin <= xmax && ascending && running.every((xid) => xid >= xmin && xid < xmax)
  );
}
