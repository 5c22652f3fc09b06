// Does what was approved: exactly that, and once, from however many processes it is tried.

import canonicalize from 'canonicalize';
import Database from 'libsql';
import type { JWTVerifyGetKey } from 'jose';
import { createHash } from 'node:crypto';
import { verify } from './verify.mjs';

type Json = Record<string, unknown>;

/** It was not approved, or something else was. Nothing was done. */
export class NotApproved extends Error {}

/**
 * It was begun before and has no result: it is being done, or somebody has to look what became of it. If it
 * had no effect, delete its row to allow another try.
 */
export class Unfinished extends Error {}

/**
 * Calls `action` with the arguments, and returns its result: of the one time that this was done. Throws
 * NotApproved and Unfinished, and whatever `verify` throws for an outcome that is not genuine.
 */
export async function runOnce<A, R>(
  outcome: Json,
  keys: JWTVerifyGetKey,
  name: string,
  args: A,
  action: (args: A) => R | Promise<R>,
  database: string,
): Promise<R> {
  const claims = await verify(outcome, keys);
  const call = canonical(name, args);
  if (claims.status !== 'APPROVED' || claims.actionDigest !== sha256(call)) throw new NotApproved(name);
  const key = claims.executionKey;
  // As in node:sqlite, which Node.js has from 22.13 on.
  const runs = new Database(database, { timeout: 60_000 });
  try {
    runs.exec('CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, result TEXT)');
    // Taken before the effect: whoever dies in between leaves a row, and not a second effect.
    if (runs.prepare('INSERT OR IGNORE INTO runs (key) VALUES (?)').run(key).changes > 0) {
      // With what was hashed, whatever the object that was passed in is by now.
      const result = JSON.stringify((await action(JSON.parse(call).arguments)) ?? null);
      runs.prepare('UPDATE runs SET result = ? WHERE key = ?').run(result, key);
    }
    const { result } = runs.prepare('SELECT result FROM runs WHERE key = ?').get(key) as { result: string | null };
    if (result === null) throw new Unfinished(key);
    return JSON.parse(result) as R;
  } finally {
    runs.close();
  }
}

/** What is hashed. Throws for what is not the same in every program. */
export function canonical(name: string, args: unknown): string {
  const json = canonicalize({ name, arguments: args ?? undefined });
  if (json === undefined) throw new TypeError('not JSON');
  JSON.parse(json, (field, value: unknown) => {
    const isBroken = [field, value].some((text) => typeof text === 'string' && /\p{Surrogate}/u.test(text));
    const isTooLarge = typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER;
    if (isBroken || isTooLarge) throw new RangeError(`${field} is not the same in every program`);
    return value;
  });
  return json;
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
