import { importCounts } from '@millrace/domain';
import { runLog } from './run-log.js';
import type { RunGoalView, RunView } from './run-views.js';

const at = (minute: number): string => `2026-01-02T03:0${minute}:00.000Z`;
const goal = (changes: Partial<RunGoalView>): RunGoalView =>
  ({
    kind: 'import-profiles',
    goalId: 'g',
    name: 'Customers',
    state: 'succeeded',
    progress: null,
    notes: [],
    notesOmitted: 0,
    error: null,
    startedAt: at(1),
    finishedAt: at(4),
    counts: importCounts.parse({ rowsRead: 3 }),
    ...changes,
  }) as RunGoalView;
const run = (changes: Partial<RunView>): RunView => ({
  id: 'r',
  connectionId: 'c',
  connectionName: 'Bucket',
  state: 'failed',
  requestedBy: 'ops',
  repeatSums: false,
  dryRun: true,
  cancelRequested: false,
  createdAt: at(0),
  startedAt: at(1),
  finishedAt: at(5),
  revision: 1,
  goals: [],
  ...changes,
});

it('tells in order what happened, goal by goal, with counts and errors', () => {
  const notes = [{ level: 'warn' as const, message: 'a\n2026 forged', time: at(2) }];
  const failed = goal({
    name: 'Second',
    state: 'failed',
    startedAt: at(4),
    finishedAt: at(5),
    error: { code: 'no', message: 'why' },
  });
  const log = runLog(
    run({
      goals: [
        goal({ notes, notesOmitted: 2 }),
        failed,
        goal({ name: 'Third', state: 'not-run', startedAt: null, finishedAt: null }),
      ],
    }),
  );
  const lines = log.trimEnd().split('\n');
  expect(lines.map((line) => line.replace(/counts .*/, 'counts'))).toEqual([
    `${at(0)} run r of connection "Bucket" requested by "ops" (dry run)`,
    `${at(1)} started`,
    `${at(1)} Customers: import-profiles started`,
    `${at(2)} Customers: warn: a 2026 forged`,
    `${at(4)} Customers: 2 more notes were left out`,
    `${at(4)} Customers: counts`,
    `${at(4)} Customers: succeeded`,
    `${at(4)} Second: import-profiles started`,
    `${at(5)} Second: counts`,
    `${at(5)} Second: error no: why`,
    `${at(5)} Second: failed`,
    `${at(5)} failed`,
    'Third: not-run',
  ]);
  expect(lines[5]).toContain('"rowsRead":3');
});
