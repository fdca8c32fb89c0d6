import type { EventStream, PutResult, StreamRecord } from '@millrace/event-stream';

export interface SentRecord {
  readonly stream: string;
  readonly partitionKey: string;
  readonly text: string;
  readonly json: Record<string, unknown>;
  /** From the envelope. */
  readonly profileId: string;
  readonly version: number;
}

export interface PutAttempt {
  readonly stream: string;
  readonly records: readonly SentRecord[];
}

/** What becomes of one record; undefined: accepted. */
export type Verdict = { readonly code: string; readonly message: string } | undefined;

/** A stream that remembers what it accepted, in order, and refuses or delays on request. */
export class FakeStream implements EventStream {
  readonly accepted: SentRecord[] = [];
  readonly attempts: PutAttempt[] = [];
  /** Decides about each record of a request. */
  judge: (record: SentRecord, attempt: number) => Verdict = () => undefined;
  /** Runs before a request is carried out; what it throws fails the request as a whole. */
  before: (attempt: PutAttempt) => Promise<void> | void = () => undefined;
  /** Runs after a request was carried out; what it throws is all the caller hears of it. */
  after: (attempt: PutAttempt) => Promise<void> | void = () => undefined;
  /** Profiles with a record on its way now; a second one at once is an error of the publisher. */
  readonly #underWay = new Map<string, number>();
  #sequence = 0;

  check(): never {
    throw new Error('the publisher does not check');
  }

  readAll(): never {
    throw new Error('see `accepted`');
  }

  close(): void {
    // Nothing is open.
  }

  describe(): Promise<{ shards: number }> {
    return Promise.resolve({ shards: 1 });
  }

  async put(stream: string, records: readonly StreamRecord[]): Promise<readonly PutResult[]> {
    const attempt = { stream, records: records.map((record) => toSent(stream, record)) };
    this.attempts.push(attempt);
    const number = this.attempts.length;
    for (const { profileId } of attempt.records) {
      const key = `${stream} ${profileId}`;
      if (profileId !== '' && this.#underWay.has(key)) throw new Error(`two records of ${profileId} under way at once`);
      this.#underWay.set(key, number);
    }
    try {
      await this.before(attempt);
      const results = attempt.records.map((record): PutResult => {
        const verdict = this.judge(record, number);
        if (verdict !== undefined) return { ok: false, ...verdict };
        this.accepted.push(record);
        this.#sequence += 1;
        return { ok: true, sequenceNumber: String(this.#sequence), shardId: 'shard-0' };
      });
      await this.after(attempt);
      return results;
    } finally {
      for (const { profileId } of attempt.records) this.#underWay.delete(`${stream} ${profileId}`);
    }
  }

  of(profileId: string): readonly SentRecord[] {
    return this.accepted.filter((record) => record.profileId === profileId);
  }
}

function toSent(stream: string, record: StreamRecord): SentRecord {
  const text = record.data.toString();
  const json = JSON.parse(text) as Record<string, unknown>;
  const envelope = json['millrace'] as { profileId: string; version: number } | undefined;
  return {
    stream,
    partitionKey: record.partitionKey,
    text,
    json,
    profileId: envelope?.profileId ?? '',
    version: envelope?.version ?? 0,
  };
}
