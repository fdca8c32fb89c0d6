import type { AlertMessage } from '@millrace/domain';
import type { Mail } from './mailer.js';

/** An alert as a plain-text mail. */
export function mailOf(to: string, message: AlertMessage): Mail {
  const { id, event, recovered, at, text, workspace, connection, alert, goal, run, error, figures = {} } = message;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['workspace', workspace],
    ['connection', `${connection.name} (${connection.id})`],
    ['goal', goal === undefined ? undefined : `${goal.name} (${goal.id})`],
    ['run', run?.id],
    ['error', error === undefined ? undefined : `${error.code}: ${error.message}`],
    ...Object.entries(figures).map(([name, value]) => [name, String(value)] as const),
    ['time', at],
    ['alert', `${alert.name} (${alert.id})`],
    ['message', id],
  ];
  const lines = facts.flatMap(([name, value]) => (value === undefined ? [] : [`${`${name}:`.padEnd(16)}${value}`]));
  return {
    to,
    subject: oneLine(`[Millrace ${workspace}] ${recovered ? 'recovered' : event}: ${text}`),
    text: `${text}\n\n${lines.join('\n')}\n`,
    id,
  };
}

/** A header's length is limited, and names may hold line breaks. */
function oneLine(text: string): string {
  const line = text.replace(/[\s\p{Cc}]+/gu, ' ');
  return line.length > 180 ? `${line.slice(0, 179)}…` : line;
}
