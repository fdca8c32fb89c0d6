import { sql } from '@millrace/database';
import { eraseProfiles, resolveRows, type MergeShape } from '../src/index.js';
import {
  applyPlan,
  createStore,
  fileShape,
  importRows,
  stageRows,
  type ImportedFile,
  type StagedRow,
  type StoreFixture,
} from './store-fixture.js';

let store: StoreFixture;
beforeAll(async () => {
  store = await createStore('hold-back');
  await store.addProperty('name');
  await store.addProperty('unit');
});
afterAll(() => store.close());

const uses = { fill: false, clear: false, append: [], increment: [], consent: true };
const put = async (
  rows: readonly StagedRow[],
  overrides: Partial<MergeShape> = {},
  namespaces: readonly string[] = ['customerId'],
): Promise<ImportedFile> => importRows(store, await fileShape(store, namespaces, { uses, ...overrides }), rows);

/** Name by customer id. */
async function names(prefix: string): Promise<Readonly<Record<string, string>>> {
  const { rows } = await store.database.query<{ value: string; name: string }>(sql`
    SELECT i.value, coalesce(p.properties->>'name', '') AS name FROM profile.identity i JOIN profile.profile p ON p.id = i.profile_id
    WHERE i.value LIKE ${`${prefix}%`} ORDER BY 1`);
  return Object.fromEntries(rows.map(({ value, name }) => [value, name]));
}

describe('consent objectives', () => {
  const news = { consentObjectives: ['news', 'sms'] };

  it('withhold existing profiles whose consent is unknown or refused, and let those pass that granted one', async () => {
    await put([
      { ids: ['c-yes'], assign: { name: 'old' }, consent: { sms: true, news: false } },
      { ids: ['c-no'], assign: { name: 'old' }, consent: { news: false } },
      { ids: ['c-other'], assign: { name: 'old' }, consent: { post: true } },
      { ids: ['c-unknown'], assign: { name: 'old' } },
    ]);
    const { counts } = await put(
      ['c-yes', 'c-no', 'c-other', 'c-unknown'].map((id) => ({ ids: [id], assign: { name: 'new' } })),
      { ...news, uses: { ...uses, consent: false } },
    );
    expect(counts).toMatchObject({ updated: 1, unchanged: 0, created: 0, withheld: 3 });
    expect(await names('c-')).toEqual({ 'c-yes': 'new', 'c-no': 'old', 'c-other': 'old', 'c-unknown': 'old' });
  });

  it("judge a new profile by its rows' own columns, the last of each objective", async () => {
    const { counts } = await put(
      [
        { ids: ['n-yes'], assign: { name: 'a' }, consent: { news: true } },
        { ids: ['n-no'], assign: { name: 'b' }, consent: { news: false, post: true } },
        { ids: ['n-none'], assign: { name: 'c' } },
        { ids: ['n-late'], assign: { name: 'd' } },
        { ids: ['n-took-back'], assign: { name: 'e' }, consent: { news: true } },
        { ids: ['n-late'], consent: { sms: true } },
        { ids: ['n-took-back'], consent: { news: false } },
      ],
      news,
    );
    expect(counts).toMatchObject({ created: 3, profilesCreated: 2, withheld: 4 });
    expect(Object.keys(await names('n-'))).toEqual(['n-late', 'n-yes']);
  });

  it('record a consent that is withdrawn, and withhold the row after it', async () => {
    await put([{ ids: ['w-1'], consent: { news: true } }]);
    expect((await put([{ ids: ['w-1'], consent: { news: false } }], news)).counts).toMatchObject({
      updated: 1,
      withheld: 0,
    });
    expect((await put([{ ids: ['w-1'], assign: { name: 'late' } }], news)).counts).toMatchObject({ withheld: 1 });
    expect((await put([{ ids: ['w-1'], consent: { news: true } }], news)).counts).toMatchObject({ updated: 1 });
  });

  it('still erase by the delete flag, which needs no consent', async () => {
    await put([{ ids: ['d-1'] }]);
    const flagged = await put([{ ids: ['d-1'], erase: true }], { ...news, uses: { ...uses, erase: true } });
    expect(flagged.counts).toMatchObject({ erased: 1, profilesErased: 1, withheld: 0 });
  });
});

describe('an organizational unit', () => {
  const unit = { unit: { property: 'unit', value: 'north' } };

  it('lets in its own profiles and those a row makes its own', async () => {
    await put([
      { ids: ['u-north'], assign: { unit: 'north' } },
      { ids: ['u-south'], assign: { unit: 'south' } },
      { ids: ['u-none'], assign: { name: 'x' } },
      { ids: ['u-joins'], assign: { name: 'x' } },
      { ids: ['u-leaves'], assign: { unit: 'north' } },
    ]);
    const { counts } = await put(
      [
        { ids: ['u-north'], assign: { name: 'new' } },
        { ids: ['u-south'], assign: { name: 'new' } },
        { ids: ['u-none'], assign: { name: 'new' } },
        { ids: ['u-joins'], assign: { name: 'new', unit: 'north' } },
        { ids: ['u-leaves'], assign: { name: 'new', unit: 'south' } },
        { ids: ['u-created'], assign: { name: 'new', unit: 'north' } },
        { ids: ['u-foreign'], assign: { name: 'new', unit: 'south' } },
        { ids: ['u-nowhere'], assign: { name: 'new' } },
      ],
      unit,
    );
    expect(counts).toMatchObject({ updated: 2, created: 1, otherUnit: 5 });
    expect(
      Object.entries(await names('u-'))
        .filter(([, name]) => name === 'new')
        .map(([id]) => id),
    ).toEqual(['u-created', 'u-joins', 'u-north']);
  });

  it('cannot be left by a later row, nor by clearing the property', async () => {
    await put([{ ids: ['l-1'], assign: { unit: 'north' } }]);
    const rows = [
      { ids: ['l-1'], assign: { name: 'new' } },
      { ids: ['l-1'], assign: { unit: null } },
    ];
    const cleared = await put(rows, { ...unit, uses: { ...uses, clear: true } });
    expect(cleared.counts).toMatchObject({ updated: 0, otherUnit: 2 });
  });
});

describe('rows older than an erasure', () => {
  const erase = async (id: string): Promise<void> => {
    await store.database.transaction((tx) =>
      eraseProfiles(tx, store.workspaceId, sql`SELECT profile_id FROM profile.identity WHERE value = ${id}`),
    );
  };
  const before = new Date(Date.now() - 3_600_000);

  it('do not bring the person back, by whichever identifier, and newer ones do', async () => {
    const namespaces = ['customerId', 'email'];
    await put([{ ids: ['e-1', 'e1@x.org'] }, { ids: ['e-2', 'e2@x.org'] }], {}, namespaces);
    await erase('e-1');
    const old = await put(
      [
        { ids: [null, 'e1@x.org'] },
        { ids: ['e-1', null] },
        { ids: ['e-2', null], assign: { name: 'b' } },
        { ids: ['e-3', null] },
      ],
      { erasedAfter: before },
      namespaces,
    );
    expect(old.counts).toMatchObject({ created: 1, updated: 1, erasedBefore: 2 });
    expect(Object.keys(await names('e-'))).toEqual(['e-2', 'e-3']);
    const fresh = await put([{ ids: ['e-1'] }], { erasedAfter: new Date(Date.now() + 60_000) });
    expect(fresh.counts).toMatchObject({ created: 1, erasedBefore: 0 });
  });

  it('count as erased when the person is erased between plan and apply', async () => {
    await put([{ ids: ['b-1'] }]);
    const shape = await fileShape(store, ['customerId'], { uses, erasedAfter: before });
    await store.database.transaction((tx) => stageRows(tx, shape, [{ ids: ['b-1'], assign: { name: 'x' } }]));
    const plan = await store.database.transaction((tx) => resolveRows(tx, shape));
    await erase('b-1');
    expect(await applyPlan(store, shape, plan)).toMatchObject({ created: 0, updated: 0, erasedBefore: 1 });
    expect(await names('b-')).toEqual({});
  });
});
