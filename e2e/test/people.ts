import { sql } from '@millrace/database';
import { waitFor } from '@millrace/testing';
import { isOver, type GoalView, type Identified, type RunView } from './api.js';
import type { Millrace } from './millrace.js';
import { ownKeys } from './pgp-keys.js';

export interface Reject {
  readonly name: string;
  readonly line: number;
  readonly column?: string;
  readonly code: string;
  readonly message: string;
  readonly raw?: string;
}

/** The least a workspace can import: `e-mail,name,points` from files in one folder, points added up. */
export class People {
  readonly millrace: Millrace;
  readonly workspace: string;
  readonly bucket: string;
  readonly connectionId: string;
  readonly goalId: string;

  private constructor(millrace: Millrace, workspace: string, connectionId: string, goalId: string) {
    this.millrace = millrace;
    this.workspace = workspace;
    this.bucket = `${workspace}-bucket`;
    this.connectionId = connectionId;
    this.goalId = goalId;
  }

  static async prepare(
    millrace: Millrace,
    workspace: string,
    change: { readonly connection?: object; readonly goal?: object } = {},
  ): Promise<People> {
    const { api, stack } = millrace;
    const path = `/workspaces/${workspace}`;
    await api.post('/workspaces', { name: workspace });
    await api.post(`${path}/properties`, { name: 'name' });
    await api.post(`${path}/properties`, { name: 'points', type: 'integer' });
    await millrace.bucket.createBucket(`${workspace}-bucket`);
    const { privateKey, passphrase, publicKey } = ownKeys;
    const { id } = await api.post<Identified>(`${path}/connections`, {
      kind: 's3',
      name: 'Files',
      endpoint: stack.urls.s3,
      credentials: { kind: 'access-key', ...stack.credentials },
      pgp: { privateKey, passphrase, recipients: [publicKey] },
      ...change.connection,
    });
    const goal = await api.post<Identified>(`${path}/connections/${id}/goals`, {
      kind: 'import-profiles',
      name: 'Import people',
      source: { bucket: `${workspace}-bucket`, directory: 'in', pattern: { kind: 'every' } },
      matching: { identifiers: [{ column: 'e-mail', namespace: 'email' }] },
      mappings: [
        { column: 'name', property: 'name' },
        { column: 'points', property: 'points', rule: 'sum' },
      ],
      ...change.goal,
    });
    return new People(millrace, workspace, id, goal.id);
  }

  get path(): string {
    return `/workspaces/${this.workspace}`;
  }

  async put(name: string, content: string | Uint8Array): Promise<void> {
    await this.millrace.bucket.put(this.bucket, `in/${name}`, content);
  }

  async remove(name: string): Promise<void> {
    await this.millrace.bucket.delete(this.bucket, `in/${name}`);
  }

  /** Runs the goals of the connection once, however that ends. */
  async run(): Promise<RunView> {
    const { api } = this.millrace;
    const { id } = await api.post<Identified>(`${this.path}/connections/${this.connectionId}/runs`);
    return await waitFor(
      async () => {
        const run = await api.get<RunView>(`${this.path}/runs/${id}`);
        return isOver(run) && run;
      },
      90_000,
      `the end of a run of ${this.workspace}`,
    );
  }

  /** Runs, and gives the one goal of the run. */
  async import(): Promise<GoalView> {
    const { goals } = await this.run();
    const [goal] = goals;
    if (goal === undefined) throw new Error('the run has no goal');
    return goal;
  }

  /** e-mail -> name and points, of every profile there is. */
  async profiles(): Promise<Readonly<Record<string, { readonly name?: string; readonly points?: number }>>> {
    const { rows } = await this.millrace.database.query<{ email: string; properties: string }>(sql`
      SELECT i.value AS email, p.properties FROM profile.profile p
      JOIN profile.workspace w ON w.id = p.workspace_id AND w.name = ${this.workspace}
      LEFT JOIN profile.identity i ON i.profile_id = p.id ORDER BY 1`);
    return Object.fromEntries(rows.map(({ email, properties }) => [email, JSON.parse(properties) as object]));
  }

  async rejects(run: RunView, raw = false): Promise<readonly Reject[]> {
    const path = `${this.path}/runs/${run.id}/rejects?limit=1000&raw=${String(raw)}`;
    return (await this.millrace.api.get<{ items: readonly Reject[] }>(path)).items;
  }
}
