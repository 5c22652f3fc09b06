// Checks an outcome: node lib/verify.mjs OUTCOME.json JWKS_URL
//
// OUTCOME.json is a workflow's result. The URL is that of the signaler, such as
// https://approve.example.com/.well-known/jwks.json, or a file with what
// `countersign-worker public-key` has printed.

import canonicalize from 'canonicalize';
import { compactVerify, createLocalJWKSet, createRemoteJWKSet, type JWTVerifyGetKey } from 'jose';
import { createHash } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Claims {
  workflowId: string;
  firstRunId: string;
  submissionId: string;
  status: 'APPROVED' | 'REJECTED' | 'EXPIRED' | 'WITHDRAWN';
  basis: 'people' | 'rule' | 'deadline' | 'withdrawal';
  operator: boolean;
  digest: string;
  /** Of the name and the arguments of an action, if there is one. */
  actionDigest?: string;
  executionKey: string;
  decidedAt: string;
}

type Json = Record<string, unknown>;

const DECIDED = ['submissionId', 'submissionType', 'submitter', 'document', 'fields', 'version'];

/** What was signed: act on this. Throws if the outcome is not genuine. */
export async function verify(outcome: Json, keys: JWTVerifyGetKey): Promise<Claims> {
  const { payload } = await compactVerify(String(outcome.jws), keys, { algorithms: ['EdDSA'] });
  const claims = JSON.parse(new TextDecoder().decode(payload)) as Claims;
  if (digest(outcome) !== claims.digest) throw new Error('something else was decided');
  return claims;
}

/** The digest of what is decided; of an outcome, too. */
export function digest(submission: Json): string {
  const decided = DECIDED.filter((name) => name in submission).map((name) => [name, submission[name]]);
  const json = canonicalize(Object.fromEntries(decided));
  return `v1:${createHash('sha256').update(`countersign submission v1\n${json}`).digest('hex')}`;
}

export function publicKeys(url: string): JWTVerifyGetKey {
  return /^https?:/.test(url)
    ? createRemoteJWKSet(new URL(url))
    : createLocalJWKSet(JSON.parse(readFileSync(url, 'utf8')));
}

const [, program, file, url] = process.argv;
if (program && file && url && realpathSync(program) === fileURLToPath(import.meta.url)) {
  try {
    const outcome = JSON.parse(readFileSync(file, 'utf8')) as Json;
    console.log(JSON.stringify(await verify(outcome, publicKeys(url))));
  } catch (error) {
    console.error(`Do not act on ${file}: ${error}`);
    process.exitCode = 1;
  }
}
