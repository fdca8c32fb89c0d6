import { deriveBoxKeys, open, openBox, seal } from '@millrace/crypto';
import { openedSetting } from '@millrace/mapping';
import { sql, type Transaction } from '@millrace/database';
import { lastWordsPlace } from '@millrace/profile-store';
import type { ExportKey } from './exports.js';
import { type FileOfSelected, sealedOfFile, type SealKnown } from './selected.js';

/** Seals, and opens, by what receivers know people and keys that may be gone when they are told of. */
export interface ReceiverSeals {
  /** With which erasures, wherever they happen, close what only this service opens. */
  readonly publicKey: Uint8Array;
  sealer(workspaceId: number, goalId: string): SealKnown;
  /** @throws InputError('seal-broken') */
  open(
    sealed: string,
    of: { readonly workspaceId: number; readonly goalId: string; readonly profileId: string },
  ): string;
}

/** @param sealingKey of this service; with another one, what was sealed before does not open */
export function receiverSeals(sealingKey: Uint8Array): ReceiverSeals {
  const { publicKey, privateKey } = deriveBoxKeys(sealingKey);
  const place = (workspaceId: number, goalId: string): Parameters<typeof seal>[2] => ({
    workspaceId,
    connectionId: goalId,
    field: 'delivered',
  });
  return {
    publicKey,
    sealer: (workspaceId, goalId) => (known) => seal(known, sealingKey, place(workspaceId, goalId)),
    open: (sealed, { workspaceId, goalId, profileId }) =>
      sealed.startsWith('v1.')
        ? open(sealed, sealingKey, place(workspaceId, goalId))
        : openBox(sealed, privateKey, lastWordsPlace(goalId, profileId)),
  };
}

/** Opens, for the statement that writes a file in this transaction and for nothing else, what was sealed about those in it who are gone. */
export async function openSealed(
  tx: Transaction,
  key: ExportKey,
  workspaceId: number,
  file: FileOfSelected,
  seals: ReceiverSeals,
): Promise<void> {
  const rows = await sealedOfFile(tx, key, file);
  if (rows.length === 0) return;
  const opened = rows.map(
    ({ number, profileId, sealed }) =>
      `"${number}":${seals.open(sealed, { workspaceId, goalId: key.goalId, profileId })}`,
  );
  await tx.query(sql`SELECT set_config(${openedSetting}, ${`{${opened.join(',')}}`}, true)`);
}
