import type { RunGoalView, RunView } from './run-views.js';

interface LogLine {
  /** ISO-8601; absent: nothing of the kind has happened. */
  readonly time: string | null;
  readonly text: string;
}

/**
 * A run as text, a line for each thing that happened, in the order of time: for a person who wants to keep it or send it on.
 * Holds what the run itself shows, so no content of rows.
 */
export function runLog(run: RunView): string {
  const lines: LogLine[] = [
    { time: run.createdAt, text: `run ${run.id} of connection "${run.connectionName}" ${asked(run)}` },
    { time: run.startedAt, text: 'started' },
    ...run.goals.flatMap(goalLines),
    { time: run.finishedAt, text: run.state },
  ];
  const happened = lines.flatMap(({ time, text }) => (time === null ? [] : [{ time, text }]));
  // Sorting keeps the order of what happened in one moment.
  happened.sort((left, right) => (left.time < right.time ? -1 : left.time > right.time ? 1 : 0));
  const written = happened.map(({ time, text }) => `${time} ${oneLine(text)}\n`);
  const open = run.goals
    .filter(({ finishedAt }) => finishedAt === null)
    .map(({ name, state }) => `${name}: ${state}\n`);
  return [...written, ...open].join('');
}

function asked({ requestedBy, dryRun, repeatSums, cancelRequested }: RunView): string {
  const how = [
    ...(dryRun ? ['dry run'] : []),
    ...(repeatSums ? ['sums may be repeated'] : []),
    ...(cancelRequested ? ['cancel requested'] : []),
  ];
  return `requested by "${requestedBy}"${how.length === 0 ? '' : ` (${how.join(', ')})`}`;
}

function goalLines(goal: RunGoalView): readonly LogLine[] {
  const { name, kind, state, startedAt, finishedAt, notes, notesOmitted, error, counts } = goal;
  return [
    { time: startedAt, text: `${name}: ${kind} started` },
    ...notes.map(({ time, level, message }) => ({ time, text: `${name}: ${level}: ${message}` })),
    ...(notesOmitted === 0 ? [] : [{ time: finishedAt, text: `${name}: ${notesOmitted} more notes were left out` }]),
    { time: finishedAt, text: `${name}: counts ${JSON.stringify(counts)}` },
    ...(error === null ? [] : [{ time: finishedAt, text: `${name}: error ${error.code}: ${error.message}` }]),
    { time: finishedAt, text: `${name}: ${state}` },
  ];
}

/** A file name may hold a line break; nobody may forge a line by it. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}
