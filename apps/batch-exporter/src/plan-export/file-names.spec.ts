import { type ExportProfilesGoal, exportProfilesGoal } from '@millrace/domain';
import { exportNames, namesCarryTime } from './file-names.js';

function goal(changes: Record<string, unknown> = {}): ExportProfilesGoal {
  return exportProfilesGoal.parse({
    kind: 'export-profiles',
    name: 'weekly',
    segmentId: '0194b2a0-0000-7000-8000-000000000001',
    target: { bucket: 'out', directory: 'to/crm' },
    columns: [{ header: 'id', source: { kind: 'profile-id' } }],
    ...changes,
  });
}

const context = {
  segmentName: 'Big spenders',
  plannedAt: new Date('2026-11-21T20:15:09.750Z'),
  workspace: { name: 'acme', title: 'Acme Ltd' },
  connection: { id: 'c-1', name: 'CRM bucket' },
  files: 1,
  series: [],
  runId: 'run',
  goalId: 'goal',
};

describe('exportNames', () => {
  it('puts destination, segment and UTC time into the default name, in the target directory', () => {
    expect(exportNames(goal(), context)).toEqual({
      files: ['to/crm/S3_0194b2a0-0000-7000-8000-000000000001_20261121_201509.csv'],
      events: [],
      manifests: ['to/crm/S3_0194b2a0-0000-7000-8000-000000000001_20261121_201509.manifest.json'],
      token: undefined,
    });
  });

  it('knows every macro', () => {
    const fileName =
      '%DESTINATION%,%DESTINATION_INSTANCE_ID%,%DESTINATION_INSTANCE_NAME%,%SEGMENT_NAME%,%ORGANIZATION_NAME%,%SANDBOX_NAME%,%TIMESTAMP%';
    expect(exportNames(goal({ fileName }), context).files).toEqual([
      'to/crm/S3,c-1,CRM bucket,Big spenders,Acme Ltd,acme,1795292109.csv',
    ]);
  });

  it.each([
    ['in/%SEGMENT_NAME%', 'in/Big spenders/all.csv'],
    ['%SEGMENT_ID%', '0194b2a0-0000-7000-8000-000000000001/all.csv'],
    ['in/%SEGMENT_NAME%/%SEGMENT_ID%/', 'in/Big spenders/0194b2a0-0000-7000-8000-000000000001/all.csv'],
  ])('makes folders of the macros at the end of %s', (directory, key) => {
    expect(exportNames(goal({ target: { bucket: 'out', directory }, fileName: 'all' }), context).files).toEqual([key]);
  });

  it('makes one folder of any segment name', () => {
    const target = { bucket: 'out', directory: 'in/%SEGMENT_NAME%' };
    const names = (segmentName: string): unknown =>
      exportNames(goal({ target, fileName: 'all' }), { ...context, segmentName }).files;
    expect([names('a/b'), names('..'), names('a\\b\n')]).toEqual([
      ['in/a_b/all.csv'],
      ['in/_/all.csv'],
      ['in/a_b_/all.csv'],
    ]);
  });

  it('gives each audience files of its own, and each event type and list beside them', () => {
    const names = exportNames(goal({ fileName: '%SEGMENT_NAME%', timeline: {}, compression: 'gzip' }), {
      ...context,
      audiences: [
        { segmentId: 'a', segmentName: 'A', files: 2 },
        { segmentId: 'b', segmentName: 'B', files: 0 },
      ],
      series: [
        { type: 'order', list: undefined },
        { type: 'order', list: 'products' },
      ],
    });
    expect(names.files).toEqual(['to/crm/A.csv.gz', 'to/crm/A_2.csv.gz']);
    expect(names.events).toEqual([
      'to/crm/A_order.csv.gz',
      'to/crm/A_order_products.csv.gz',
      'to/crm/B_order.csv.gz',
      'to/crm/B_order_products.csv.gz',
    ]);
  });

  it('names files of events after their type alone where asked to', () => {
    const timeline = { fileName: '%EVENT_TYPE%' };
    const series = [{ type: 'order', list: undefined }];
    expect(exportNames(goal({ timeline }), { ...context, series }).events).toEqual(['to/crm/order.csv']);
    expect(exportNames(goal({ timeline }), { ...context, series }, 2).events).toEqual(['to/crm/order-2.csv']);
    expect(namesCarryTime(goal({ timeline }))).toBe(false);
  });

  it('puts manifests and token beside the files, named as their readers look for them', () => {
    const names = exportNames(
      goal({
        fileName: 'all_%TIMESTAMP%',
        manifests: [{ kind: 'pega' }, { kind: 'adobe' }, { kind: 'millrace' }],
        tokenFile: '%FILE_NAME%.done',
      }),
      context,
      2,
    );
    expect(names.manifests).toEqual([
      'to/crm/all_1795292109-2.manifest.xml',
      'to/crm/manifest-goal-run.json',
      'to/crm/all_1795292109-2.manifest.json',
    ]);
    expect(names.token).toBe('to/crm/all_1795292109-2.done');
  });

  it('refuses a token with the name of another file', () => {
    expect(() => exportNames(goal({ tokenFile: '%FILE_NAME%.csv' }), context)).toThrow(/two files/);
  });

  it('numbers the files from the second on', () => {
    expect(exportNames(goal({ fileName: 'all' }), { ...context, files: 3 }).files).toEqual([
      'to/crm/all.csv',
      'to/crm/all_2.csv',
      'to/crm/all_3.csv',
    ]);
  });

  it('says in the extension what has to be undone, outermost last', () => {
    const names = exportNames(
      goal({ fileName: '%SEGMENT_ID%-%TIMESTAMP%', compression: 'gzip', pgp: { encrypt: true } }),
      context,
    );
    expect(names.files).toEqual(['to/crm/0194b2a0-0000-7000-8000-000000000001-1795292109.csv.gz.pgp']);
    expect(exportNames(goal({ fileName: 'all', pgp: { sign: true } }), context).files).toEqual(['to/crm/all.csv.pgp']);
  });

  it('lets no segment name reach another folder', () => {
    const names = exportNames(goal({ target: { bucket: 'out' }, fileName: '%SEGMENT_NAME%' }), {
      ...context,
      segmentName: '../a/b',
    });
    expect(names.files).toEqual(['.._a_b.csv']);
  });

  it('adds a number where the name is taken', () => {
    expect(exportNames(goal({ fileName: 'all' }), { ...context, files: 2 }, 3).files).toEqual([
      'to/crm/all-3.csv',
      'to/crm/all-3_2.csv',
    ]);
  });

  it('names the macros there are when it meets one it does not know', () => {
    expect(() => exportNames(goal({ fileName: '%PLANET%' }), context)).toThrow(/%PLANET%.*%SEGMENT_ID%/);
  });

  it('refuses keys that no bucket takes', () => {
    expect(() =>
      exportNames(goal({ target: { bucket: 'out', directory: 'd'.repeat(900) }, fileName: 'n'.repeat(255) }), context),
    ).toThrow(/1024 bytes/);
  });

  it('knows names that every run shares', () => {
    expect(namesCarryTime(goal({ fileName: '%SEGMENT_NAME%' }))).toBe(false);
    expect(namesCarryTime(goal())).toBe(true);
  });
});
