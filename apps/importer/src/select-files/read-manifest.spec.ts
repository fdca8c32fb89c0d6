import { readManifest } from './read-manifest.js';

const adobe = (...exportResults: object[]): string => JSON.stringify({ flowRunId: 'r', exportResults });
const pega = (inner: string): string => `<manifest>${inner}</manifest>`;

describe('readManifest', () => {
  it('knows rows, bytes and sums of a manifest of its own', () => {
    const run = {
      version: 1,
      runId: '0194b2a0-0000-7000-8000-000000000001',
      goalId: '0194b2a0-0000-7000-8000-000000000002',
    };
    const file = { name: 'a.csv', rows: 2, bytes: 9, sha256: 'ab' };
    const manifest = { ...run, mode: 'full', plannedAt: '2026-01-01T00:00:00Z', rows: 2, files: [file] };
    expect(readManifest(JSON.stringify(manifest), 'in/')).toEqual([
      { names: ['a.csv'], rows: 2, bytes: 9, sha256: 'ab' },
    ]);
  });

  it("finds Adobe's files by folder and by name alone", () => {
    const names = (sinkPath: string, name = 'a.csv'): unknown =>
      readManifest(adobe({ sinkPath, name, size: 5 }), 'in/crm/').map((entry) => entry.names);
    expect(names('/in/crm')).toEqual([['a.csv']]);
    expect(names('in/crm/day')).toEqual([['day/a.csv', 'a.csv']]);
    expect(names('bucket/in/crm')).toEqual([['a.csv']]);
    expect(names('in/crm', 'in/crm/a.csv')).toEqual([['a.csv']]);
    expect(readManifest(adobe({ name: 'a.csv', size: '7' }), '')).toEqual([{ names: ['a.csv'], bytes: 7 }]);
  });

  it("reads Pega's elements, whatever stands around them", () => {
    const file = '<file a="1"><name><![CDATA[a&b.csv]]></name><size> 5 </size></file>';
    const text = `\ufeff<?xml version="1.0"?><!-- <files/> --><p:manifest xmlns:p="x"><processType/><totalRecordCount>3</totalRecordCount><files>${file}</files></p:manifest>`;
    expect(readManifest(text, '')).toEqual([{ names: ['a&b.csv'], bytes: 5, rows: 3 }]);
    expect(readManifest(pega('<files><file><name>./x/&#65;&#x42;.csv</name></file></files>'), '')).toEqual([
      { names: ['x/AB.csv'] },
    ]);
    expect(readManifest(pega(''), '')).toEqual([]);
  });

  it.each([
    ['neither JSON nor XML', 'id,name'],
    ['exportResults.0.name', adobe({ size: 1 })],
    ['not <manifest>', '<files/>'],
    ['has no <name>', pega('<files><file/></files>')],
    ['is no number', pega('<files><file><name>a</name><size>-1</size></file></files>')],
    ['is not closed', '<manifest><files>'],
    ['closes nothing', '<manifest></files></manifest>'],
    ['begins no element', '<!DOCTYPE manifest [<!ENTITY a "aaaa">]><manifest>&a;</manifest>'],
    ['nested too deeply', pega('<a>'.repeat(40))],
  ])('says of a bad one: %s', (message, text) => {
    expect(() => readManifest(text, '')).toThrow(message);
  });

  it('reads hostile markup in linear time', () => {
    expect(() => readManifest(`<manifest>${'<a '.repeat(200_000)}`, '')).toThrow();
    expect(() => readManifest(`<manifest>${'<!--'.repeat(200_000)}`, '')).toThrow();
  });
});
