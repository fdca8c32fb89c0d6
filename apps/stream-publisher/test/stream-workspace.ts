import { randomUUID } from 'node:crypto';
import { Database, migrate, sql, type Executor } from '@millrace/database';
import { goalSnapshot, streamGoal, type CommandBody, type GoalSnapshot, type StreamGoal } from '@millrace/domain';
import { saveGoalSnapshot, sendCommand, workMigrations } from '@millrace/job-queue';
import { createProperty, createWorkspace, eraseProfiles, profileMigrations } from '@millrace/profile-store';
import { createTestDatabase } from '@millrace/testing';
import { publisherMigrations } from '../src/migrations/publisher-migrations.js';

export interface OutboxRow {
  readonly written?: readonly string[];
  readonly changed?: readonly string[];
  readonly segments?: readonly string[];
  readonly identities?: boolean;
  readonly consent?: boolean;
}

export interface ProfileChange extends OutboxRow {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly identity?: readonly [namespace: string, value: string];
  readonly membership?: Readonly<Record<string, 'realized' | 'exited'>>;
}

/** A database with one workspace: properties `name`, `points`, `secret`, and segments made on request. */
export class StreamWorkspace {
  readonly database: Database;
  readonly url: string;
  readonly workspaceId: number;
  readonly propertyIds: ReadonlyMap<string, number>;
  readonly #drop: () => Promise<void>;

  private constructor(
    fields: Pick<StreamWorkspace, 'database' | 'url' | 'workspaceId' | 'propertyIds'>,
    drop: () => Promise<void>,
  ) {
    this.database = fields.database;
    this.url = fields.url;
    this.workspaceId = fields.workspaceId;
    this.propertyIds = fields.propertyIds;
    this.#drop = drop;
  }

  static async create(name: string): Promise<StreamWorkspace> {
    const test = await createTestDatabase(name, {
      migrate,
      sets: [profileMigrations, workMigrations, publisherMigrations],
    });
    const database = new Database({ url: test.url, applicationName: 'stream-publisher-test', maxConnections: 10 });
    const { id: workspaceId } = await createWorkspace(database, { name: 'test', title: '' });
    const propertyIds = new Map<string, number>();
    for (const property of ['person.name', 'points', 'secret']) {
      const { id } = await database.transaction((tx) =>
        createProperty(tx, workspaceId, {
          name: property,
          type: property === 'points' ? 'decimal' : 'string',
          list: false,
          unique: false,
          labels: [],
        }),
      );
      propertyIds.set(property, id);
    }
    return new StreamWorkspace({ database, url: test.url, workspaceId, propertyIds }, async () => {
      await database.end();
      await test.drop();
    });
  }

  async drop(): Promise<void> {
    await this.#drop();
  }

  async segment(name: string): Promise<string> {
    const { rows } = await this.database.query<{ id: string }>(sql`
      INSERT INTO profile.segment (workspace_id, name, current_version) VALUES (${this.workspaceId}, ${name}, 1) RETURNING id`);
    const id = rows[0]?.id ?? '';
    await this.database.query(sql`
      INSERT INTO profile.segment_version (segment_id, version, rule, state) VALUES (${id}, 1, '{"kind":"all","rules":[]}', 'current')`);
    return id;
  }

  snapshot(
    goal: Partial<StreamGoal> & Pick<StreamGoal, 'segmentIds'>,
    goalId: string = randomUUID(),
    consentObjectives: readonly string[] = [],
  ): GoalSnapshot {
    return goalSnapshot.parse({
      version: 1,
      workspaceId: this.workspaceId,
      connectionId: '019a0000-0000-7000-8000-0000000000c1',
      goalId,
      goal: streamGoal.parse({
        kind: 'stream',
        name: 'test',
        streamName: 'stream',
        properties: ['person.name', 'points'],
        envelope: true,
        ...goal,
      }),
      endpoint: { region: 'us-east-1', credentials: { kind: 'default-chain' } },
      consentObjectives,
    });
  }

  /** Commands the activation; a publisher carries it out. Returns the goal's id. */
  async activate(snapshot: GoalSnapshot): Promise<string> {
    await this.database.transaction(async (tx) => {
      const { snapshotId } = await saveGoalSnapshot(tx, snapshot);
      await sendCommand(tx, { kind: 'activate-stream', goalId: snapshot.goalId, snapshotId });
    });
    return snapshot.goalId;
  }

  async deactivate(goalId: string): Promise<void> {
    await this.command({ kind: 'deactivate-stream', goalId });
  }

  async command(body: CommandBody): Promise<void> {
    await sendCommand(this.database, body);
  }

  /** No command waits to be carried out. */
  async obeyed(): Promise<boolean> {
    const { rows } = await this.database.query<{ open: number }>(
      sql`SELECT count(*)::int AS open FROM work.command WHERE handled_at IS NULL`,
    );
    return rows[0]?.open === 0;
  }

  /** As a writer does: the person says yes or no to an objective, and the outbox says that consent changed. */
  async consent(profileId: string, objective: string, granted: boolean): Promise<void> {
    await this.database.transaction(async (tx) => {
      await tx.query(sql`
        INSERT INTO profile.consent (profile_id, objective, granted) VALUES (${profileId}, ${objective}, ${granted})
        ON CONFLICT (profile_id, objective) DO UPDATE SET granted = excluded.granted`);
      await this.change(profileId, { consent: true }, tx);
    });
  }

  /** Whether there was such a profile. */
  async erase(profileId: string): Promise<boolean> {
    const erased = await this.database.transaction((tx) =>
      eraseProfiles(tx, this.workspaceId, sql`SELECT ${profileId}::uuid`),
    );
    return erased === 1;
  }

  /** So many new profiles in a segment. Returns their ids. */
  async members(segment: string, count: number): Promise<readonly string[]> {
    const ids: string[] = [];
    for (let index = 0; index < count; index += 1)
      ids.push(await this.profile({ membership: { [segment]: 'realized' } }));
    return ids;
  }

  /** A profile in a segment, without anything in the outbox. */
  async profile(change: ProfileChange = {}, executor: Executor = this.database): Promise<string> {
    const id = randomUUID();
    await executor.query(sql`
      INSERT INTO profile.profile (id, workspace_id, domain_group_id, properties, version)
      VALUES (${id}, ${this.workspaceId}, 1, ${JSON.stringify(change.properties ?? {})}, 1)`);
    await this.#writeRelated(executor, id, change);
    return id;
  }

  /** What a writer's transaction does: the profile's next version, and the outbox row that says what changed. */
  async change(profileId: string, change: ProfileChange, executor: Executor = this.database): Promise<void> {
    const { rows } = await executor.query<{ version: string }>(sql`
      UPDATE profile.profile SET properties = properties || ${JSON.stringify(change.properties ?? {})}::jsonb, version = version + 1, updated_at = now()
      WHERE id = ${profileId} RETURNING version`);
    await this.#writeRelated(executor, profileId, change);
    await executor.query(sql`
      INSERT INTO profile.outbox (lane, workspace_id, profile_id, version, written, changed, segments, identities, consent)
      VALUES (profile.lane(${profileId}::uuid), ${this.workspaceId}, ${profileId}, ${rows[0]?.version ?? '0'}, ${this.#ids(change.written)}::int[],
        ${this.#ids(change.changed)}::int[], ${change.segments ?? []}::uuid[], ${change.identities ?? false}, ${change.consent ?? false})`);
  }

  /** Version and points of profiles, as they are now. */
  async states(profileIds: readonly string[]): Promise<ReadonlyMap<string, { version: number; points: unknown }>> {
    const { rows } = await this.database.query<{ id: string; version: string; points: string | null }>(
      sql`SELECT id, version, properties -> 'points' AS points FROM profile.profile WHERE id = ANY(${profileIds}::uuid[])`,
    );
    return new Map(
      rows.map((row) => [
        row.id,
        { version: Number(row.version), points: row.points === null ? undefined : (JSON.parse(row.points) as unknown) },
      ]),
    );
  }

  async deliveries(): Promise<
    readonly { goal_id: string; profile_id: string; state: string; attempts: number; error_code: string | null }[]
  > {
    const { rows } = await this.database.query<{
      goal_id: string;
      profile_id: string;
      state: string;
      attempts: number;
      error_code: string | null;
    }>(
      sql`SELECT goal_id, profile_id, state, attempts, error_code FROM publisher.delivery ORDER BY goal_id, profile_id`,
    );
    return rows;
  }

  /** Nothing is waiting to be sent, and no change is in the outbox. */
  async quiet(): Promise<boolean> {
    const { rows } = await this.database.query<{ open: number }>(sql`
      SELECT ((SELECT count(*) FROM profile.outbox) + (SELECT count(*) FROM publisher.delivery WHERE state = 'pending')
        + (SELECT count(*) FROM publisher.backfill WHERE state = 'running') + (SELECT count(*) FROM work.command WHERE handled_at IS NULL))::int AS open`);
    return rows[0]?.open === 0;
  }

  #ids(names: readonly string[] = []): readonly (number | undefined)[] {
    return names.map((name) => this.propertyIds.get(name));
  }

  async #writeRelated(executor: Executor, profileId: string, change: ProfileChange): Promise<void> {
    if (change.identity !== undefined) {
      await executor.query(sql`
        INSERT INTO profile.identity (domain_group_id, namespace_id, value, profile_id)
        SELECT p.domain_group_id, n.id, ${change.identity[1]}, p.id FROM profile.identity_namespace n, profile.profile p
        WHERE p.id = ${profileId} AND n.workspace_id = ${this.workspaceId} AND n.code = ${change.identity[0]}`);
    }
    for (const [segmentId, status] of Object.entries(change.membership ?? {})) {
      await executor.query(sql`
        INSERT INTO profile.membership (profile_id, segment_id, status) VALUES (${profileId}, ${segmentId}, ${status})
        ON CONFLICT (profile_id, segment_id) DO UPDATE SET status = excluded.status, qualified_at = now(), updated_at = now()`);
    }
  }
}
