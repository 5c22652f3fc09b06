// Encrypts payloads as Countersign does, and decrypts what it has encrypted.
//
// The form is that of Temporal's own samples: AES-256-GCM, the nonce before the ciphertext, the key's ID in the
// metadata. COUNTERSIGN_PAYLOAD_KEYS_FILE names the file with the keys, or COUNTERSIGN_PAYLOAD_KEYS has them: ID:KEY on
// each line, where the first one encrypts and all decrypt; `none` in place of the first one encrypts nothing yet.

import type { DataConverter, Payload, PayloadCodec } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

const ENCRYPTED = 'binary/encrypted';
const NONCE = 12;
const TAG = 16;

export class EncryptionCodec implements PayloadCodec {
  private readonly encrypts: boolean;
  private readonly keys: Map<string, Buffer>;

  constructor(keys: string) {
    const lines = keys.split(/[,\n]/).map((line) => line.trim());
    const given = lines.filter((line) => line !== '');
    this.encrypts = given[0] !== 'none';
    this.keys = new Map(
      given
        .filter((line) => line !== 'none')
        .map((line) => {
          const colon = line.indexOf(':');
          return [line.slice(0, colon).trim(), Buffer.from(line.slice(colon + 1), 'base64')];
        }),
    );
  }

  async encode(payloads: Payload[]): Promise<Payload[]> {
    return payloads.map((payload) => (this.encrypts ? this.encrypt(payload) : payload));
  }

  async decode(payloads: Payload[]): Promise<Payload[]> {
    return payloads.map((payload) => this.decrypt(payload));
  }

  private encrypt(payload: Payload): Payload {
    const [[id, key]] = this.keys;
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    const plain = temporal.api.common.v1.Payload.encode(payload).finish();
    return {
      metadata: { encoding: Buffer.from(ENCRYPTED), 'encryption-key-id': Buffer.from(id) },
      data: Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]),
    };
  }

  private decrypt(payload: Payload): Payload {
    const named = (name: string) => Buffer.from(payload.metadata?.[name] ?? []).toString();
    if (named('encoding') !== ENCRYPTED) {
      return payload;
    }
    const id = named('encryption-key-id');
    const key = this.keys.get(id);
    if (key === undefined) {
      throw new Error(`encrypted with the key ${id}, which is not here`);
    }
    const data = Buffer.from(payload.data ?? []);
    const decipher = createDecipheriv('aes-256-gcm', key, data.subarray(0, NONCE));
    decipher.setAuthTag(data.subarray(-TAG));
    const plain = Buffer.concat([decipher.update(data.subarray(NONCE, -TAG)), decipher.final()]);
    return temporal.api.common.v1.Payload.decode(plain);
  }
}

/** For clients and workers: with the keys of the environment, or without encryption if it has none. */
export function dataConverter(): DataConverter {
  const path = process.env.COUNTERSIGN_PAYLOAD_KEYS_FILE;
  const keys = path ? readFileSync(path, 'utf8') : process.env.COUNTERSIGN_PAYLOAD_KEYS;
  return keys ? { payloadCodecs: [new EncryptionCodec(keys)] } : {};
}
