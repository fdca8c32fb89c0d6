import { createLogger, type LogLevel } from './logger.js';

function logging(level?: LogLevel): {
  logger: ReturnType<typeof createLogger>;
  lines: Record<string, unknown>[];
  text: () => string;
} {
  const written: string[] = [];
  const logger = createLogger({
    service: 'test',
    ...(level === undefined ? {} : { level }),
    destination: { write: (line) => void written.push(line) },
  });
  return {
    logger,
    get lines() {
      return written.map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    text: () => written.join(''),
  };
}

describe('createLogger', () => {
  it('writes one JSON line with level, time, service and the fields of the child', () => {
    const log = logging();
    log.logger.child({ runId: 'r1' }).info({ files: 2 }, 'began');
    expect(log.lines).toMatchObject([{ level: 'info', service: 'test', runId: 'r1', files: 2, msg: 'began' }]);
    expect(log.lines[0]?.['time']).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  it('shows no secret, at the top or inside objects', () => {
    const log = logging();
    const planted = 'planted';
    log.logger.info(
      {
        passphrase: planted,
        endpoint: { secretAccessKey: planted, pgp: { privateKey: planted } },
        headers: { authorization: planted },
      },
      'x',
    );
    expect(log.text()).not.toContain(planted);
  });

  it('shows no row, but how many there were', () => {
    const log = logging();
    log.logger.info({ row: ['planted'], rows: 7 }, 'x');
    expect(log.text()).not.toContain('planted');
    expect(log.lines).toMatchObject([{ rows: 7 }]);
  });

  it('leaves out what is below its level', () => {
    const log = logging('warn');
    log.logger.info({}, 'not this');
    log.logger.warn({}, 'this');
    expect(log.lines.map((line) => line['msg'])).toEqual(['this']);
  });
});
