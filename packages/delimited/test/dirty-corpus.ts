/**
 * A file with every kind of damage, made from a seed, together with what must come of each row. Between two damaged
 * rows stand at least two good ones, because the row after a fault is read strictly.
 */
export interface DirtyCorpus {
  readonly file: Buffer;
  /** Good rows by physical line. */
  readonly good: ReadonlyMap<number, readonly string[]>;
  /** Codes of damaged rows by the physical line on which they begin. */
  readonly bad: ReadonlyMap<number, string>;
  /** Further lines of damaged records, which may be rejected as well but must not become rows. */
  readonly lost: ReadonlySet<number>;
}

/** Marsaglia's xorshift: the same numbers from the same seed on every machine. */
export function randomFrom(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}

interface Damage {
  readonly code: string;
  readonly record: (good: readonly string[], random: () => number) => string | Buffer;
}

const columns = 6;

const damages: readonly Damage[] = [
  { code: 'stray-quote', record: (fields) => `${fields.slice(0, 5).join(',')},"never closed` },
  { code: 'stray-quote', record: (fields) => `"he said "hello, you" twice",${fields.slice(1).join(',')}` },
  { code: 'stray-quote', record: (fields) => `"first line\nsecond "word" line\nthird",${fields.slice(1).join(',')}` },
  { code: 'too-few-fields', record: (fields) => fields.slice(0, 4).join(',') },
  { code: 'too-few-fields', record: () => '"two\nlines"' },
  { code: 'too-many-fields', record: (fields) => [...fields, 'one more', ''].join(',') },
  { code: 'nul', record: (fields) => `${fields.slice(0, 5).join(',')},a\0b` },
  { code: 'nul', record: (fields) => `${fields.slice(0, 5).join(',')},"a\n\0b"` },
  {
    code: 'bad-charset',
    record: (fields) => Buffer.concat([Buffer.from(`${fields.slice(0, 5).join(',')},J`), Buffer.from([0xf6, 0x72])]),
  },
  {
    code: 'bad-charset',
    record: (fields) => Buffer.concat([Buffer.from([0xc3]), Buffer.from(`,${fields.slice(1).join(',')}`)]),
  },
  { code: 'too-long', record: (fields) => `${'long '.repeat(1500)},${fields.slice(1).join(',')}` },
];

const plainWords = [
  'Ann',
  'Jörg',
  '',
  'NULL',
  'Łódź',
  '12,50 €',
  '5 inch',
  '日本語',
  'a "quoted" word',
  'x\ny',
  'x\r\n\ny',
  '😀',
];

export function dirtyCorpus(seed: number, rowCount: number): DirtyCorpus {
  const random = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const parts: Buffer[] = [Buffer.from('id,a,b,c,d,e\n')];
  const good = new Map<number, readonly string[]>();
  const bad = new Map<number, string>();
  const lost = new Set<number>();
  let line = 2;
  let sinceDamage = 2;

  const add = (record: string | Buffer): void => {
    const lineBreak = pick(['\n', '\n', '\r\n', '\r']);
    const bytes = Buffer.concat([typeof record === 'string' ? Buffer.from(record) : record, Buffer.from(lineBreak)]);
    parts.push(bytes);
    const breaks = [...bytes.toString('latin1').matchAll(/\r\n|\r|\n/g)].length;
    if (bad.has(line)) for (let inside = 1; inside < breaks; inside++) lost.add(line + inside);
    line += breaks;
  };

  for (let index = 0; index < rowCount; index++) {
    const fields = [`id-${index}`, ...Array.from({ length: columns - 1 }, () => pick(plainWords))];
    if (sinceDamage >= 2 && random() < 0.2) {
      const damage = pick(damages);
      const simple = fields.map((field) => field.replace(/[",\r\n]/g, ''));
      bad.set(line, damage.code);
      add(damage.record(simple, random));
      // A new row behind an open quote: its first quote shows the fault.
      const witness = [`witness-${index}`, 'w', 'w', 'w', 'w', 'w'];
      good.set(line, witness);
      add(witness.map((field) => `"${field}"`).join(','));
      sinceDamage = 0;
    } else {
      good.set(line, fields);
      add(fields.map((field) => written(field, random)).join(','));
      sinceDamage += 1;
    }
  }
  return { file: Buffer.concat(parts), good, bad, lost };
}

function written(field: string, random: () => number): string {
  if (/[",\r\n]/.test(field) || random() < 0.3) return `"${field.replaceAll('"', '""')}"`;
  return field;
}
