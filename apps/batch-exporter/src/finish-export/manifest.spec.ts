import type { ExportPlan } from '../plan-export/export-plan.js';
import { writeManifest } from './manifest.js';

const run = { runId: '0194b2a0-0000-7000-8000-000000000001', goalId: '0194b2a0-0000-7000-8000-000000000002' };
const plan: ExportPlan = {
  version: 1,
  mode: 'full',
  access: 'scan',
  position: { snapshot: '1:1:', lsn: '0/1', systemIdentifier: '7', timeline: 1, epoch: 1 },
  plannedAt: '2026-11-21T20:15:09.750Z',
  goalHash: 'h',
  counts: { members: 5 },
  files: 2,
};
const files = [
  { key: 'to/crm/a.csv', rows: 3, bytes: 70, sha256: 'aa' },
  { key: 'to/crm/R&D <new>.csv', rows: 2, bytes: 50, sha256: 'bb' },
];
const text = (dialect: Parameters<typeof writeManifest>[0], list = files, at = 'to/crm/m.json'): string =>
  writeManifest(dialect, run, plan, list, at).body.toString();

describe('writeManifest', () => {
  it('lists rows, bytes and SHA-256 in the dialect of its own', () => {
    expect(JSON.parse(text({ kind: 'millrace' }))).toEqual({
      version: 1,
      ...run,
      mode: 'full',
      plannedAt: plan.plannedAt,
      rows: 5,
      files: [
        { name: 'a.csv', rows: 3, bytes: 70, sha256: 'aa' },
        { name: 'R&D <new>.csv', rows: 2, bytes: 50, sha256: 'bb' },
      ],
    });
  });

  it('names files in other folders by the way from its own', () => {
    const names = (at: string): unknown =>
      (JSON.parse(text({ kind: 'millrace' }, files, at)) as { files: { name: string }[] }).files.map(
        ({ name }) => name,
      );
    expect(names('to/other/m.json')).toEqual(['../crm/a.csv', '../crm/R&D <new>.csv']);
    expect(names('m.json')).toEqual(['to/crm/a.csv', 'to/crm/R&D <new>.csv']);
  });

  it('names folder, name and size for Adobe', () => {
    expect(JSON.parse(text({ kind: 'adobe' }))).toEqual({
      flowRunId: run.runId,
      scheduledTime: plan.plannedAt,
      exportResults: [
        { sinkPath: 'to/crm', name: 'a.csv', size: 70 },
        { sinkPath: 'to/crm', name: 'R&D <new>.csv', size: 50 },
      ],
    });
    expect(text({ kind: 'adobe' }, [{ key: 'a.csv', rows: 0, bytes: 1, sha256: '' }])).toContain('"sinkPath": ""');
  });

  it('counts records for Pega, in XML whose texts cannot leave their elements', () => {
    expect(text({ kind: 'pega', processType: 'A & <B>' })).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<manifest>
  <processType>A &amp; &lt;B&gt;</processType>
  <totalRecordCount>5</totalRecordCount>
  <files>
    <file>
      <name>a.csv</name>
      <size>70</size>
      <recordCount>3</recordCount>
    </file>
    <file>
      <name>R&amp;D &lt;new&gt;.csv</name>
      <size>50</size>
      <recordCount>2</recordCount>
    </file>
  </files>
</manifest>
`);
  });
});
