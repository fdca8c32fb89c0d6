import type { CopiedRows } from '@millrace/database';
import { type ExportProfilesGoal, exportProfilesGoal } from '@millrace/domain';
import { headersOf, plainRows, processedRows, type RowWriter } from './write-rows.js';

const context = { pseudonymKey: new Uint8Array(32), now: new Date('2026-11-21T20:15:09Z') };

function goal(processors: readonly object[], csv: object = {}): ExportProfilesGoal {
  return exportProfilesGoal.parse({
    kind: 'export-profiles',
    name: 'weekly',
    segmentId: '0194b2a0-0000-7000-8000-000000000001',
    target: { bucket: 'out' },
    columns: ['mail', 'name', 'points'].map((header) => ({ header, source: { kind: 'profile-id' } })),
    processors,
    csv,
  });
}

const copied = (text: string): CopiedRows => ({ bytes: Buffer.from(text), ends: [] });
const write = (writer: RowWriter, text: string): string => writer.write(copied(text)).bytes.toString();

describe('plainRows', () => {
  it('writes rows as the dialect has them and says where each ends, in bytes', () => {
    const { bytes, ends } = plainRows(goal([], { lineEnding: 'crlf' }).csv).write(copied('é\t\\N\nb\t"\n'));
    expect(bytes.toString()).toBe('é,\r\nb,""""\r\n');
    expect(ends).toEqual([5, bytes.length]);
  });
});

describe('processedRows', () => {
  it('applies processors in their order and puts what they make behind the mapped columns', () => {
    const steps = [
      { kind: 'clean-email', column: 'mail' },
      { kind: 'split', column: 'name', separator: ' ', into: ['first', 'last'] },
      { kind: 'change-case', column: 'last', to: 'upper' },
      { kind: 'current-date', into: 'day' },
    ];
    expect(headersOf(goal(steps))).toEqual(['mail', 'name', 'points', 'first', 'last', 'day']);
    expect(write(processedRows(goal(steps), context), ' A@X.test\tAnn Lee\t1\n')).toBe(
      'a@x.test,Ann Lee,1,Ann,LEE,2026-11-21\n',
    );
  });

  it('tells no value, empty and emptied apart', () => {
    const steps = [{ kind: 'drop-null-words', column: 'name', words: ['n/a'] }];
    const writer = processedRows(goal(steps, { nullText: 'NULL' }), context);
    expect(write(writer, '\tn/a\t\\N\n')).toBe(',NULL,NULL\n');
  });

  it('counts rows dropped, values left out and rows at each log, from call to call', () => {
    const steps = [
      { kind: 'log', label: 'all' },
      { kind: 'filter', column: 'points', action: 'keep', test: { op: 'greater', value: '1' } },
      { kind: 'clean-email', column: 'mail' },
      { kind: 'log', label: 'kept' },
    ];
    const writer = processedRows(goal(steps), context);
    expect(write(writer, 'a@x.test\ta\t1\nno address\tb\t2\nc@x.test\tc\t3\n')).toBe(',b,2\nc@x.test,c,3\n');
    expect(writer.takeTallies()).toEqual({
      filtered: 1,
      valuesLeftOut: 1,
      charactersReplaced: 0,
      logged: [
        { label: 'all', rows: 3 },
        { label: 'kept', rows: 2 },
      ],
    });
    write(writer, 'd@x.test\td\t0\n');
    expect(writer.takeTallies()).toMatchObject({ filtered: 1, valuesLeftOut: 0, logged: [{ rows: 1 }, { rows: 0 }] });
  });

  it('takes the first rows of all, over every call', () => {
    const writer = processedRows(goal([{ kind: 'first-rows', rows: 2 }]), context);
    expect(write(writer, 'a\t\t\n') + write(writer, 'b\t\t\nc\t\t\n') + write(writer, 'd\t\t\n')).toBe(
      'a,"",""\nb,"",""\n',
    );
  });

  it('names the processor that does not fit', () => {
    expect(() => processedRows(goal([{ kind: 'trim', column: 'nose' }]), context)).toThrow(/nose/);
    expect(() => processedRows(goal([{ kind: 'trim', file: 'orders', column: 'mail' }]), context)).toThrow(
      /names a file/,
    );
  });
});
