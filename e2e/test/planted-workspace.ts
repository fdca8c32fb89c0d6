import { sql } from '@millrace/database';
import { FaultProxy, waitFor } from '@millrace/testing';
import type { Identified } from './api.js';
import { holdProfile, somebodyWaits } from './hold.js';
import type { Millrace } from './millrace.js';
import { People } from './people.js';
import { ownKeys, strangersKeys } from './pgp-keys.js';
import {
  alertSecret,
  email,
  fullName,
  identity,
  kinesisSecret,
  lookUp,
  misplaced,
  person,
  s3Secret,
  surname,
} from './planted.js';
import { encrypt } from './sample.js';

/** A workspace full of planted words, and everything that can go wrong in it while they are at hand. */
export class PlantedWorkspace {
  readonly millrace: Millrace;
  readonly people: People;
  /** Of a key that may only read. */
  readonly readerKey: string;
  /** What the API has answered beside problem documents, as text. */
  readonly answers: string[] = [];
  readonly #kinesis: FaultProxy;

  private constructor(millrace: Millrace, people: People, readerKey: string, kinesis: FaultProxy) {
    this.millrace = millrace;
    this.people = people;
    this.readerKey = readerKey;
    this.#kinesis = kinesis;
  }

  static async prepare(millrace: Millrace): Promise<PlantedWorkspace> {
    const { accessKeyId } = millrace.stack.credentials;
    const credentials = { kind: 'access-key', accessKeyId, secretAccessKey: s3Secret };
    const goal = { rejectLimit: { share: 0.99 }, badValue: 'reject-field' };
    const people = await People.prepare(millrace, 'people', { connection: { credentials }, goal });
    const key = { name: 'reader', scopes: ['config:read', 'profile:read'], workspace: people.workspace };
    const { key: readerKey } = await millrace.api.post<{ key: string }>('/api-keys', key);
    const kinesis = await FaultProxy.start(millrace.stack.urls.kinesis);
    return new PlantedWorkspace(millrace, people, readerKey, kinesis);
  }

  async stop(): Promise<void> {
    await this.#kinesis.stop();
  }

  /** Has everything that happens to the files told to a receiver. */
  async tellTo(url: string): Promise<void> {
    const alerts = `${this.people.path}/connections/${this.people.connectionId}/alerts`;
    const rule = { name: 'All', notify: 'every-run', webhooks: [{ url, secret: alertSecret }] };
    this.#keep(await this.millrace.api.post(alerts, rule));
  }

  /** A stream and an export of everyone, rows of every fate, updates over the API. */
  async exchange(): Promise<void> {
    await this.#addGoals();
    const row = (...fields: readonly string[]): string => `${fields.join(',')}\n`;
    await this.#put(
      row('e-mail', 'name', 'points') +
        row(email(person), fullName, '1') +
        row(email('short'), fullName) +
        row(email('long'), fullName, '1', fullName) +
        row(email('nul'), `${fullName}\0`, '1') +
        row('', fullName, '1') +
        row(email('field'), fullName, fullName) +
        row(email('number'), fullName, '9'.repeat(200_000)) +
        row(email('quote'), `"${fullName}`, '1'),
    );
    this.#keep(await this.people.run());
    await this.#ingest('good', [update('api', 'name', fullName)]);
    // Two profiles, and an update that names both.
    await this.#ingest('ambiguous', [
      { ...update('api', 'name', fullName), identities: [identity('api'), identity(person)] },
    ]);
  }

  /** Requests with secrets where they do not belong, and such that cannot be understood. */
  async misplaceSecrets(): Promise<void> {
    const { api } = this.millrace;
    const all = `${this.people.path}/connections`;
    const one = `${all}/${this.people.connectionId}`;
    const credentials = { kind: 'access-key', accessKeyId: 'x', secretAccessKey: s3Secret };
    const s3 = { kind: 's3', name: 'Other', credentials };
    const { privateKey } = ownKeys;
    await this.#refused(api.call('POST', all, `{"name":"x","secretAccessKey":"${misplaced}`));
    await this.#refused(api.call('POST', all, `"${misplaced}"`));
    await this.#refused(api.post(all, { ...s3, unknown: misplaced, region: { x: misplaced } }));
    await this.#refused(api.post(all, { ...s3, kind: misplaced }));
    await this.#refused(api.post(all, { ...s3, credentials: { ...credentials, kind: misplaced } }));
    await this.#refused(api.post(all, { ...s3, endpoint: `https://user:${misplaced}@` }));
    await this.#refused(api.patch(one, { pgp: { privateKey, passphrase: misplaced } }));
    await this.#refused(api.patch(one, { pgp: { privateKey: misplaced } }));
    await this.#refused(api.patch(one, { pgp: { privateKey: privateKey.slice(0, 500) } }));
    await this.#refused(api.as(misplaced).get(all));
    await this.#refused(api.as(this.readerKey).post(all, s3));
  }

  /** Requests with personal data that are refused, as a whole or item by item. */
  async sendBadUpdates(): Promise<void> {
    const { api } = this.millrace;
    const { path } = this.people;
    const batches = `${path}/ingestion/batches`;
    await this.#refused(api.get(`${path}/profiles?${lookUp('unknown')}`));
    await this.#refused(api.get(`${path}/profiles?namespace=unknown&value=${email('unknown')}`));
    await this.#refused(api.get(`${path}/profiles?namespace=email&value=${email('x')}%00`));
    await this.#refused(api.get(`${path}/profiles/${email(person)}`));
    await this.#refused(api.get(`${path}/${person}/${surname}`));
    await this.#refused(api.post(`${path}/segments`, { name: `${fullName}\0`, rule: { kind: 'all', rules: [] } }));
    await this.#refused(api.post(batches, { batchId: 'bad', updates: fullName }));
    await this.#refused(api.post(batches, { batchId: `${fullName}\ud800\0`, updates: [{}] }));
    await this.#refused(api.call('POST', batches, `{"batchId":"x","updates":[{"name":"${fullName}"]}`));
    await this.#ingest('items', [
      update('x', 'points', fullName),
      update('x', 'points', { x: fullName }),
      update('x', 'points', `1e${'9'.repeat(30)}`),
      update('x', 'name', `${fullName}\0`),
      update('x', 'name', `${fullName}\ud800`),
      update('x', 'name', { x: fullName }),
      update('x', 'unknown', fullName),
      update('\0', 'name', fullName),
      { identities: [{ namespace: 'unknown', value: email('x') }] },
      { identities: [identity('x')], events: [{ type: 'order', id: fullName, occurredAt: fullName }] },
      fullName,
    ]);
    const huge = JSON.stringify(update('x', 'points', 0)).replace('"value":0', `"value":${'9'.repeat(200_000)}`);
    this.#keep(await api.call('POST', batches, `{"batchId":"huge","updates":[${huge}]}`));
  }

  /** Files, keys and buckets that fail a run. */
  async failRuns(): Promise<void> {
    const { api, stack } = this.millrace;
    const goal = `${this.people.path}/goals/${this.people.goalId}`;
    const connection = `${this.people.path}/connections/${this.people.connectionId}`;
    const source = { bucket: this.people.bucket, directory: 'in', pattern: { kind: 'every' } };
    await this.#put(`${email(person)},${fullName},1\n`);
    await this.#runFails();
    await this.#put(`e-mail,name,points\n${email(person)},${fullName},1\n`, strangersKeys.publicKey);
    await this.#runFails();
    await api.patch(goal, { source: { ...source, bucket: 'no-such-bucket' } });
    await this.#runFails();
    const closed = await FaultProxy.start(stack.urls.s3);
    const body = '<Error><Code>SignatureDoesNotMatch</Code></Error>';
    closed.inject({ when: () => true, times: 1000, fault: { kind: 'status', status: 403, body } });
    await api.patch(connection, { endpoint: closed.url });
    await this.#runFails();
    this.#keep(await api.post(`${connection}/test`));
    await closed.stop();
    await api.patch(connection, { endpoint: stack.urls.s3 });
    await api.patch(goal, { source });
  }

  /** PostgreSQL ends every connection of the services in the middle of an import. */
  async interruptDatabase(): Promise<void> {
    const { database } = this.millrace;
    await this.#put(`e-mail,name,points\n${email(person)},${fullName},7\n`);
    const letGo = await holdProfile(database, this.people.workspace, identity(person));
    const run = this.people.run();
    await waitFor(async () => await somebodyWaits(database), 90_000, 'the import to be under way');
    await database.query(sql`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name <> 'e2e' AND pid <> pg_backend_pid()`);
    await letGo();
    expect(await run).toMatchObject({ state: 'succeeded', goals: [{ counts: { rowsRead: 1, updated: 1 } }, {}] });
  }

  /** The stream refuses a record, and repeats in its refusal what it was sent. */
  async refuseRecord(): Promise<void> {
    const message = `Value '${email(person)}' (${fullName}) is not allowed`;
    const body = JSON.stringify({ __type: 'ValidationException', message });
    const headers = { 'content-type': 'application/x-amz-json-1.1' };
    this.#kinesis.inject({
      when: (request) => String(request.headers['x-amz-target']).endsWith('.PutRecords'),
      times: 3,
      fault: { kind: 'status', status: 400, body, headers },
    });
    await this.#ingest('refused', [update(person, 'name', fullName)]);
    await waitFor(
      async () => {
        const { rows } = await this.millrace.database.query<{ failed: number }>(
          sql`SELECT count(*)::int AS failed FROM publisher.delivery WHERE state = 'failed'`,
        );
        return rows[0]?.failed === 1;
      },
      90_000,
      'the record to be given up',
    );
  }

  async #addGoals(): Promise<void> {
    const { api, stack, stream } = this.millrace;
    const { path, bucket, connectionId } = this.people;
    const everyone = { name: 'everyone', rule: { kind: 'all', rules: [] } };
    const { id: segmentId } = await api.post<Identified>(`${path}/segments`, everyone);
    await stream.ensureStream('people-stream');
    const { accessKeyId } = stack.credentials;
    const { id } = await api.post<Identified>(`${path}/connections`, {
      kind: 'kinesis',
      name: 'Stream',
      endpoint: this.#kinesis.url,
      credentials: { kind: 'access-key', accessKeyId, secretAccessKey: kinesisSecret },
    });
    await api.post(`${path}/connections/${id}/goals`, {
      kind: 'stream',
      name: 'Changes',
      streamName: 'people-stream',
      segmentIds: [segmentId],
      properties: ['name'],
      partitionKey: { kind: 'identity', namespace: 'email' },
    });
    await api.post(`${path}/connections/${connectionId}/goals`, {
      kind: 'export-profiles',
      name: 'Export everyone',
      segmentId,
      target: { bucket, directory: 'out' },
      columns: [{ header: 'Name', source: { kind: 'property', property: 'name' } }],
      pgp: { encrypt: true, sign: true },
    });
  }

  async #put(text: string, recipient?: string): Promise<void> {
    await this.people.put('people.csv.pgp', await encrypt(Buffer.from(text), recipient));
  }

  /** Refused, but not by accident. */
  async #refused(call: Promise<unknown>): Promise<void> {
    const { status } = await this.millrace.api.refusal(call);
    expect(status).toBeLessThan(500);
  }

  async #runFails(): Promise<void> {
    const run = await this.people.run();
    expect(run).toMatchObject({ state: 'failed' });
    this.#keep(run);
    this.#keep(await this.people.rejects(run));
  }

  async #ingest(batchId: string, updates: readonly unknown[]): Promise<void> {
    this.#keep(await this.millrace.api.post(`${this.people.path}/ingestion/batches`, { batchId, updates }));
  }

  #keep(answer: unknown): void {
    this.answers.push(JSON.stringify(answer));
  }
}

function update(who: string, property: string, value: unknown): object {
  return { identities: [identity(who)], properties: [{ property, value }] };
}
