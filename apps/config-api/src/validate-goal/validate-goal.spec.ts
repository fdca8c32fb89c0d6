import { connection, goal, normalisation, orderEventType, type Goal, type PropertyType } from '@millrace/domain';
import type { Catalogue } from '@millrace/mapping';
import { validateGoal } from './validate-goal.js';

const segment = '0197a000-0000-7000-8000-000000000001';
const stranger = '0197a000-0000-7000-8000-00000000ffff';
const property = (name: string, type: PropertyType, list = false) => [name, { id: 1, name, type, list }] as const;
const brand = '0197a000-0000-7000-8000-000000000001';
const catalogue: Catalogue = {
  workspaceId: 1,
  domainGroupId: 1,
  domainGroups: new Map([[brand, { id: 2, name: 'Brand B' }]]),
  properties: new Map([
    property('name', 'string'),
    property('tags', 'string', true),
    property('visits', 'integer'),
    property('spent', 'decimal'),
    property('born', 'date'),
    property('a', 'string'),
    property('a.b', 'string'),
    property('millrace.note', 'string'),
  ]),
  namespaces: new Map([['email', { id: 1, code: 'email', normalisation: normalisation.parse({}) }]]),
  eventTypes: new Map([['order', { id: 1, definition: orderEventType }]]),
  groupTypes: new Map(),
  lifecycles: new Map(),
  segments: new Map([[segment, { id: segment, name: 'All', versions: [] }]]),
};
const s3 = connection.parse({ kind: 's3', name: 'Bucket', credentials: { kind: 'default-chain' } });
const kinesis = connection.parse({ kind: 'kinesis', name: 'Stream', credentials: { kind: 'default-chain' } });

const problems = (wanted: Goal, on = wanted.kind === 'stream' ? kinesis : s3): string[] =>
  validateGoal(wanted, on, catalogue).map(({ path, message }) => `${path.join('.')}: ${message}`);
const importing = (more: object = {}): Goal =>
  goal.parse({
    kind: 'import-profiles',
    name: 'Import',
    source: { bucket: 'bucket', pattern: { kind: 'exact', name: 'customers.csv' } },
    matching: { identifiers: [{ column: 'mail', namespace: 'email' }] },
    ...more,
  });
const exporting = (more: object = {}): Goal =>
  goal.parse({
    kind: 'export-profiles',
    name: 'Export',
    segmentId: segment,
    target: { bucket: 'bucket' },
    columns: [{ header: 'id', source: { kind: 'profile-id' } }],
    ...more,
  });
const streaming = (more: object = {}): Goal =>
  goal.parse({ kind: 'stream', name: 'Stream', streamName: 's', segmentIds: [segment], ...more });
const exact = (name: string) => ({ kind: 'exact', name });
const orders = { alias: 'orders', pattern: exact('orders.csv'), column: 'customer', parentColumn: 'id' };
const lines = { alias: 'lines', parent: 'orders', pattern: exact('lines.csv'), column: 'order', parentColumn: 'id' };
const orderEvent = { file: 'orders', type: 'order', idColumn: 'id', occurredAtColumn: 'at' };
const map = (propertyName: string, rule = 'set') => ({ column: 'c', property: propertyName, rule });

it('tells processors that can never work', () => {
  const processors = [
    { kind: 'trim', file: 'nowhere', column: '1' },
    { kind: 'filter', column: '1', action: 'keep', test: { op: 'matches', pattern: '(?=x)' } },
    { kind: 'concatenate', columns: ['1', 'city'], into: 'place' },
    { kind: 'trim', column: 'place' },
  ];
  const matching = { identifiers: [{ column: 'place', namespace: 'email' }] };
  expect(problems(importing({ csv: { header: false }, processors, matching }))).toEqual([
    'processors.0.file: there is no file "nowhere"',
    expect.stringMatching(/^processors\.1: is no regular expression/),
    expect.stringMatching(/^processors\.2: "root" has no header/),
  ]);
});

it("takes a column of profiles' own ids for an identifier", () => {
  const identifiers = [{ column: 'id', namespace: '(profile-id)' }];
  expect(problems(importing({ matching: { identifiers } }))).toEqual([]);
});

it('takes a domain group of the workspace, however its id is written', () => {
  const identifiers = [{ column: 'mail', namespace: 'email' }];
  for (const domainGroupId of [brand, brand.toUpperCase()])
    expect(problems(importing({ matching: { identifiers, domainGroupId } }))).toEqual([]);
});

it('tells what no value of a file can be read by, of root and linked files', () => {
  const linked = [{ ...orders, csv: { timeZone: 'Nowhere' } }];
  expect(problems(importing({ csv: { datePattern: 'DD.MM.YYYY', falseWords: ['yes'] }, linked }))).toEqual([
    expect.stringMatching(/^csv\.datePattern: the date pattern/),
    'csv.trueWords: "yes" stands for true and for false',
    'linked.0.csv.timeZone: there is no time zone "Nowhere"',
  ]);
  expect(() => importing({ csv: { delimiter: '||' } })).toThrow('must be one character');
});

it('tells that mapping by name needs names', () => {
  const matching = { identifiers: [{ column: '1', namespace: 'email' }] };
  expect(problems(importing({ csv: { header: false }, mapAll: {}, matching }))).toEqual([
    'mapAll: needs a header, whose names are those of properties',
  ]);
});

it('tells that all properties of an event need names in its file, and a list something to fill', () => {
  const list = { name: 'products', file: 'lines', mapAll: {} };
  const nameless = { ...lines, csv: { header: false }, column: '1' };
  const events = [{ ...orderEvent, mapAll: {}, lists: [list] }];
  expect(problems(importing({ linked: [orders, nameless], events }))).toEqual([
    'events.0.lists.0.mapAll: needs a header in "lines", whose names are those of properties',
  ]);
  const empty = [{ ...orderEvent, lists: [{ name: 'products', file: 'lines' }] }];
  expect(problems(importing({ linked: [orders, lines], events: empty }))).toEqual([
    'events.0.lists.0.mappings: must fill at least one property, or use mapAll',
  ]);
});

it('tells a manifest that every file would be', () => {
  const source = { bucket: 'bucket', pattern: { kind: 'exact', name: 'a.csv' }, manifest: { kind: 'every' } };
  expect(problems(importing({ source }))).toEqual([expect.stringMatching(/^source\.manifest: would take every file/)]);
});

it('takes goals that fit', () => {
  const products = { name: 'products', file: 'lines', mappings: [{ column: 'q', property: 'quantity' }] };
  const events = [{ ...orderEvent, mappings: [{ column: 't', property: 'total' }], lists: [products] }];
  const mappings = [
    map('name', 'set-if-empty'),
    map('tags', 'add'),
    map('visits', 'sum'),
    map('spent', 'sum'),
    map('a.b'),
  ];
  expect(problems(importing({ linked: [orders, lines], events, mappings }))).toEqual([]);
  const all = [{ ...orderEvent, mapAll: {}, lists: [{ name: 'products', file: 'lines', mapAll: {} }] }];
  expect(problems(importing({ linked: [orders, lines], events: all, mappings }))).toEqual([]);
  expect(problems(exporting())).toEqual([]);
  expect(problems(streaming({ properties: ['name', 'tags'] }))).toEqual([]);
});

it('refuses a goal on a connection of another kind', () => {
  expect(problems(importing(), kinesis)).toEqual(['kind: needs a connection of the kind "s3", this one is "kinesis"']);
  expect(problems(streaming(), s3)).toEqual(['kind: needs a connection of the kind "kinesis", this one is "s3"']);
});

describe('an import goal', () => {
  it.each<[string, object, string]>([
    [
      'an unknown namespace',
      { matching: { identifiers: [{ column: 'm', namespace: 'fax' }] } },
      'matching.identifiers.0.namespace: the workspace has no identity namespace "fax"',
    ],
    [
      'an unknown domain group',
      { matching: { identifiers: [{ column: 'm', namespace: 'email' }], domainGroupId: brand.replace('a', 'b') } },
      'matching.domainGroupId: the workspace has no such domain group',
    ],
    [
      'an unknown property',
      { mappings: [map('nose')] },
      'mappings.0.property: the workspace has no property "nose": create it first',
    ],
    [
      'a sum of texts',
      { mappings: [map('name', 'sum')] },
      'mappings.0.rule: "sum" needs a single integer or decimal, and "name" is a string',
    ],
    [
      'an addition to a single value',
      { mappings: [map('name', 'add')] },
      'mappings.0.rule: "add" needs a list, and "name" holds a single string',
    ],
    [
      'a target used twice',
      { mappings: [map('name'), map('name')] },
      'mappings.1.property: is the target of another column already',
    ],
    [
      'targets nested in each other',
      { mappings: [map('a.b'), map('a')] },
      'mappings.0.property: cannot stand beside "a": one would be nested in the other',
    ],
    [
      'an objective set twice',
      {
        consent: [
          { column: 'x', objective: 'ads' },
          { column: 'y', objective: 'ads' },
        ],
      },
      'consent.1.objective: is set by another column already',
    ],
    [
      'a column name without a header',
      { csv: { header: false } },
      'matching.identifiers.0.column: "root" has no header: name the column by its position, "1" for the first',
    ],
    [
      'an alias used twice',
      { linked: [orders, { ...orders, pattern: exact('o.csv') }] },
      'linked.1.alias: is already the name of another file',
    ],
    ['an unknown parent', { linked: [lines] }, 'linked.0.parent: there is no file "orders"'],
    [
      'a linked file with the name of the root',
      { linked: [{ ...orders, pattern: exact('customers.csv') }] },
      'linked.0.pattern: must differ from the name of the root file',
    ],
    [
      'two linked files with one name',
      { linked: [orders, { ...lines, pattern: exact('orders.csv') }] },
      'linked.1.pattern: must differ from the name of "orders"',
    ],
    [
      'a linked file that takes everything',
      { linked: [{ ...orders, pattern: { kind: 'every' } }] },
      'linked.0.pattern: would take the root file too: name the linked file',
    ],
    [
      'an event of an unknown type',
      { events: [{ ...orderEvent, file: 'root', type: 'visit' }] },
      'events.0.type: the workspace has no event type "visit"',
    ],
    ['an event from an unknown file', { events: [orderEvent] }, 'events.0.file: there is no file "orders"'],
    [
      'an unknown event property',
      { events: [{ ...orderEvent, file: 'root', mappings: [{ column: 'c', property: 'nose' }] }] },
      'events.0.mappings.0.property: event type "order" has no property "nose"',
    ],
    [
      'an unknown list',
      {
        linked: [orders, lines],
        events: [
          { ...orderEvent, lists: [{ name: 'noses', file: 'lines', mappings: [{ column: 'c', property: 'x' }] }] },
        ],
      },
      'events.0.lists.0.name: event type "order" has no list "noses"',
    ],
    [
      'a list from a file beside its event',
      {
        linked: [orders, { ...lines, parent: 'root' }],
        events: [
          {
            ...orderEvent,
            lists: [{ name: 'products', file: 'lines', mappings: [{ column: 'c', property: 'name' }] }],
          },
        ],
      },
      'events.0.lists.0.file: rows of "lines" cannot be nested in events of "orders": link "lines" to "orders", or to a file below it',
    ],
  ])('refuses %s', (_, more, expected) => {
    expect(problems(importing(more))).toEqual([expected]);
  });

  it('refuses a linked name that the root pattern takes as well', () => {
    const source = { bucket: 'bucket', pattern: { kind: 'wildcard', pattern: '*.csv' } };
    expect(problems(importing({ source, linked: [orders] }))).toEqual([
      'linked.0.pattern: would be read as a root file too: its name matches the root\'s "*.csv"',
    ]);
  });

  it('refuses a regular expression that cannot run in linear time', () => {
    const source = { bucket: 'bucket', pattern: { kind: 'regex', pattern: '(?=a)b' } };
    expect(problems(importing({ source }))[0]).toMatch(
      /^source\.pattern\.pattern: is no regular expression in RE2's syntax/,
    );
  });

  it('refuses links in a circle, at each of them', () => {
    const message = 'leads back to this file: linked files must form a tree';
    expect(problems(importing({ linked: [{ ...orders, parent: 'lines' }, lines] }))).toEqual([
      `linked.0.parent: ${message}`,
      `linked.1.parent: ${message}`,
    ]);
  });

  it('names everything that is wrong at once', () => {
    expect(problems(importing({ mappings: [map('nose'), map('name', 'sum')] }))).toHaveLength(2);
  });
});

describe('an export goal', () => {
  const column = (source: object, header = 'h') => ({ columns: [{ header, source }] });

  it.each<[string, object, string]>([
    ['an unknown segment', { segmentId: stranger }, 'segmentId: there is no such segment in this workspace'],
    [
      'an unknown property',
      column({ kind: 'property', property: 'nose' }),
      'columns.0.source.property: the workspace has no property "nose"',
    ],
    [
      'an unknown namespace',
      column({ kind: 'identity', namespace: 'fax' }),
      'columns.0.source.namespace: the workspace has no identity namespace "fax"',
    ],
    [
      'an unknown segment in a column',
      column({ kind: 'segments', segmentIds: [segment, stranger] }),
      'columns.0.source.segmentIds.1: there is no such segment in this workspace',
    ],
    [
      'a header used twice',
      {
        columns: [
          { header: 'x', source: { kind: 'profile-id' } },
          { header: 'x', source: { kind: 'profile-id' } },
        ],
      },
      'columns.1.header: is the header of another column already',
    ],
    [
      'an empty header',
      column({ kind: 'profile-id' }, ''),
      'columns.0.header: must not be empty in a file with a header',
    ],
    [
      'an unknown macro',
      { fileName: '%SEGMENT%' },
      'fileName: %SEGMENT% is no macro: use %DESTINATION%, %DESTINATION_INSTANCE_ID%, %DESTINATION_INSTANCE_NAME%, %SEGMENT_ID%, %SEGMENT_NAME%, %ORGANIZATION_NAME%, %SANDBOX_NAME%, %DATETIME%, %TIMESTAMP%',
    ],
    ['a file name with a folder', { fileName: 'a/b' }, 'fileName: must not contain slashes or control characters'],
    [
      'an unknown mandatory property',
      { mandatory: ['name', 'nose'] },
      'mandatory.1: the workspace has no property "nose"',
    ],
    ['a mandatory property named twice', { mandatory: ['name', 'name'] }, 'mandatory.1: stands here twice'],
    [
      'an unknown macro in the token file',
      { tokenFile: '%FILE_NAME%_%NOW%' },
      'tokenFile: %NOW% is no macro: use %DESTINATION%, %DESTINATION_INSTANCE_ID%, %DESTINATION_INSTANCE_NAME%, %SEGMENT_ID%, %SEGMENT_NAME%, %ORGANIZATION_NAME%, %SANDBOX_NAME%, %DATETIME%, %TIMESTAMP%, %FILE_NAME%',
    ],
    [
      'a manifest dialect asked for twice',
      { manifests: [{ kind: 'pega' }, { kind: 'pega', processType: 'x' }] },
      'manifests.1: is a dialect that stands further up already',
    ],
    [
      'a macro in the middle of a folder',
      { target: { bucket: 'out', directory: 'a/%SEGMENT_NAME%/b' } },
      'target.directory: has macros only at its end: %SEGMENT_NAME%, %SEGMENT_ID% or %SEGMENT_NAME%/%SEGMENT_ID%',
    ],
    [
      'cut files side by side',
      { splitBytes: 5000, parts: 2 },
      'splitBytes: cannot stand beside parts: one writer cuts all files',
    ],
    [
      'a date pattern nobody knows',
      { csv: { datePattern: 'JJJJ' } },
      expect.stringMatching(/^csv.datePattern: the date pattern/) as unknown as string,
    ],
    [
      'a processor of a column that is not there yet',
      {
        processors: [
          { kind: 'trim', column: 'later' },
          { kind: 'fixed-value', into: 'later', value: 'x' },
        ],
      },
      'processors.0: there is no column "later" at this point',
    ],
    [
      'a processor of another file',
      { processors: [{ kind: 'fixed-value', file: 'orders', into: 'later', value: 'x' }] },
      'processors.0.file: must be absent: an export has only its own rows',
    ],
    [
      'events of an unknown type',
      { timeline: { types: ['visit'] } },
      'timeline.types.0: the workspace has no event type "visit"',
    ],
    [
      'a period that ends before it begins',
      { timeline: { from: '2026-01-02T00:00:00Z', until: '2026-01-02T00:00:00+01:00' } },
      'timeline.until: must be after from',
    ],
    [
      'one file name for events of all types',
      { timeline: { fileName: '%FILE_NAME%' } },
      'timeline.fileName: needs %EVENT_TYPE%: each type has a file of its own',
    ],
    [
      'encryption without a recipient',
      { pgp: { encrypt: true } },
      'pgp.encrypt: the connection has no public key to encrypt for: add one under its pgp.recipients',
    ],
  ])('refuses %s', (_, more, expected) => {
    expect(problems(exporting(more))).toEqual([expected]);
  });

  it('may repeat headers in a file without a header', () => {
    const columns = [1, 2].map(() => ({ header: '', source: { kind: 'profile-id' } }));
    expect(problems(exporting({ columns, csv: { header: false } }))).toEqual([]);
  });

  it('may sign without encrypting, keep a folder per segment and export the timeline', () => {
    const withKey = connection.parse({ ...s3, pgp: { privateKey: 'key' } });
    const target = { bucket: 'out', directory: 'to/%SEGMENT_NAME%/%SEGMENT_ID%' };
    expect(problems(exporting({ pgp: { sign: true }, target, timeline: {} }), withKey)).toEqual([]);
  });

  it('signs only with a private key', () => {
    const withRecipient = connection.parse({ ...s3, pgp: { recipients: ['key'] } });
    expect(problems(exporting({ pgp: { encrypt: true, sign: true } }), withRecipient)).toEqual([
      'pgp.sign: the connection has no private key to sign with: add one as its pgp.privateKey',
    ]);
  });
});

describe('a stream goal', () => {
  it.each<[string, object, string]>([
    ['an unknown segment', { segmentIds: [stranger] }, 'segmentIds.0: there is no such segment in this workspace'],
    ['an unknown property', { properties: ['nose'] }, 'properties.0: the workspace has no property "nose"'],
    [
      'a property whose name begins as the record does itself',
      { properties: ['millrace.note'] },
      'properties.0: cannot be streamed: records use "segmentMembership", "identityMap", "millrace" themselves',
    ],
    ['a property named twice', { properties: ['name', 'name'] }, 'properties.1: stands here twice'],
    [
      'properties nested in each other',
      { properties: ['a', 'a.b'] },
      'properties.1: cannot stand beside "a": one would be nested in the other',
    ],
    [
      'an unknown namespace as partition key',
      { partitionKey: { kind: 'identity', namespace: 'fax' } },
      'partitionKey.namespace: the workspace has no identity namespace "fax"',
    ],
  ])('refuses %s', (_, more, expected) => {
    expect(problems(streaming(more))).toEqual([expected]);
  });
});
