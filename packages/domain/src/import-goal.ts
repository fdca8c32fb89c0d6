import { z } from 'zod';
import { consentObjective } from './connection.js';
import { csvDialect } from './csv-dialect.js';
import { productFeed } from './event-type.js';
import { domainGroupId } from './domain-group.js';
import { groupTypeName } from './group-type.js';
import { profileIdNamespace } from './identity-namespace.js';
import { processor } from './processor.js';
import { propertyName, propertyType } from './property.js';

export const bucketName = z.string().min(3).max(255);
/** A folder inside a bucket, without leading slash; `''` is the root. */
export const directory = z
  .string()
  .max(900)
  .refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), 'must be a relative path without ".."')
  .default('');

export const filePattern = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('every') }),
  z.strictObject({ kind: z.literal('exact'), name: z.string().min(1) }),
  z.strictObject({ kind: z.literal('wildcard'), pattern: z.string().min(1).max(512) }),
  z.strictObject({ kind: z.literal('regex'), pattern: z.string().min(1).max(512) }),
]);
export type FilePattern = z.infer<typeof filePattern>;

export const mergeRule = z.enum(['set', 'set-if-empty', 'set-or-clear', 'add', 'sum']);
export type MergeRule = z.infer<typeof mergeRule>;

/** A column is named by its header; without a header by its 1-based position, `"3"`. */
const column = z.string().min(1).max(1000);
const fileAlias = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,31}$/);

export const fieldMapping = z.strictObject({
  column,
  property: propertyName
    .default('')
    .describe('Absent: `mappingPrefix` and the name of the column; a saved goal shows the property it came to'),
  rule: mergeRule.default('set'),
  createAs: propertyType
    .optional()
    .describe(
      'The type of the property that saving the goal adds where there is none of that name, a list under the rule "add". ' +
        'Absent: what is named must be there, and what is not named is added as a string, or under the rule "sum" as a decimal',
    ),
});
export type FieldMapping = z.infer<typeof fieldMapping>;

/** Joined to its parent where `column` equals the parent's `parentColumn`. */
export const linkedFile = z.strictObject({
  alias: fileAlias,
  pattern: filePattern,
  parent: fileAlias.default('root'),
  column,
  parentColumn: column,
  csv: csvDialect.optional().describe('Where it differs from the root file'),
});
export type LinkedFile = z.infer<typeof linkedFile>;

const valueMapping = z.strictObject({ column, property: propertyName });

const everyProperty = z
  .strictObject({
    prefix: z
      .string()
      .max(200)
      .default('')
      .describe('Before the name of the property: `order_` for the column `order_total`'),
  })
  .describe('Fills every other property from the column of its name, where the file has one');

export const eventMapping = z.strictObject({
  file: fileAlias.default('root'),
  type: z.string().min(1),
  idColumn: column,
  occurredAtColumn: column,
  mappings: z.array(valueMapping).max(1000).default([]),
  mapAll: everyProperty.optional(),
  lists: z
    .array(
      z.strictObject({
        name: propertyName,
        file: fileAlias,
        mappings: z.array(valueMapping).max(1000).default([]),
        mapAll: everyProperty.optional(),
      }),
    )
    .max(20)
    .default([]),
  products: productFeed
    .optional()
    .describe('Feeds the product store from the order lines; absent: as the event type says'),
});
export type EventMapping = z.infer<typeof eventMapping>;

/** What a file that is not as expected does: end the import before anything is applied, be told of, or nothing. */
export const driftPolicy = z.enum(['fail', 'warn', 'ignore']);
export type DriftPolicy = z.infer<typeof driftPolicy>;

/** Files in a bucket become profiles, identities, consent and timeline events. */
export const importProfilesGoal = z.strictObject({
  kind: z.literal('import-profiles'),
  name: z.string().min(1).max(200),
  active: z.boolean().default(true),
  source: z.strictObject({
    bucket: bucketName,
    directory,
    pattern: filePattern,
    order: z.enum(['name', 'oldest']).default('name'),
    tokenFile: z
      .string()
      .min(1)
      .max(255)
      .refine((name) => !name.includes('/'), 'must be a name in the directory, without "/"')
      .optional()
      .describe('Nothing is imported before this file is there, and no file that is newer than it'),
    manifest: filePattern
      .optional()
      .describe(
        'Manifests in the JSON of Millrace or Adobe or the XML of Pega: only files they list are imported, checked against the rows, bytes and SHA-256 they tell',
      ),
  }),
  csv: csvDialect.prefault({}),
  linked: z.array(linkedFile).max(20).default([]),
  processors: z
    .array(processor)
    .max(200)
    .default([])
    .describe('Applied to each row in this order, before it is mapped'),
  matching: z.strictObject({
    domainGroupId: domainGroupId
      .optional()
      .describe('Rows match profiles of this domain group alone, and new ones belong to it; absent: the default one'),
    identifiers: z
      .array(
        z.strictObject({
          column,
          namespace: z
            .string()
            .min(1)
            .describe(
              `An identity namespace, also the name of a unique property; or \`${profileIdNamespace}\` for the id Millrace gave the profile`,
            ),
        }),
      )
      .min(1)
      .max(10),
    policy: z.enum(['unambiguous', 'first-match']).default('unambiguous'),
    allowCreation: z.boolean().default(true),
    maxComponentRows: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(1000)
      .describe('Rows naming each other beyond this are ambiguous as a whole'),
  }),
  mappings: z.array(fieldMapping).max(2000).default([]),
  mappingPrefix: z
    .string()
    .max(200)
    .default('')
    .describe('Before the name of the column, in mappings that name no property: `crm.` for `crm.city`'),
  mapAll: z
    .strictObject({
      rule: mergeRule.default('set'),
      prefix: z.string().max(200).default('').describe('Before the name of the column: `crm.` for `crm.city`'),
      except: z.array(column).max(2000).default([]),
    })
    .optional()
    .describe('Maps every other column to the property of its name, where the workspace has one that fits the rule'),
  consent: z
    .array(z.strictObject({ column, objective: consentObjective }))
    .max(100)
    .default([]),
  deleteFlag: z
    .strictObject({ column })
    .optional()
    .describe('A true word in this column erases the profile the row matches; a tombstone stays'),
  groupLinks: z
    .array(
      z.strictObject({
        column,
        type: groupTypeName,
        createGroups: z.boolean().default(true).describe('False: keys no group has are counted and link nothing'),
        replace: z.boolean().default(false).describe('The profile leaves the other groups of this type'),
      }),
    )
    .max(20)
    .default([])
    .describe('The column holds the key of a group, or a list of them: the profile becomes its member'),
  events: z.array(eventMapping).max(20).default([]),
  erasedProfiles: z
    .enum(['skip', 'create'])
    .default('skip')
    .describe('What rows do that name a person who was erased after the file, or the row itself, was written'),
  occurredAtColumn: column
    .optional()
    .describe(
      'When the row was so at its source: one older than an erasure does not bring the person back, however new the file is. Absent: the time of the event in the row, where events come from the root file',
    ),
  columnDrift: z
    .strictObject({
      missing: driftPolicy.optional().describe('Absent: "fail" for a column the goal reads, "warn" for any other'),
      duplicate: driftPolicy
        .optional()
        .describe('Absent: "fail" for a column the goal reads, "warn" for any other. Else the first one counts'),
      new: driftPolicy.default('warn'),
      reordered: driftPolicy.default('ignore'),
    })
    .prefault({})
    .describe('What happens where the columns of a file are not those the goal names or the last imported file had'),
  badValue: z.enum(['reject-row', 'reject-field']).default('reject-row'),
  rejectLimit: z
    .strictObject({ rows: z.int().min(0).optional(), share: z.number().min(0).max(1).optional() })
    .prefault({ share: 0.5 }),
  afterImport: z.enum(['leave', 'delete', 'done-suffix']).default('leave'),
});
export type ImportProfilesGoal = z.infer<typeof importProfilesGoal>;

/** Files in a bucket become groups of one type, matched by their key. */
export const importGroupsGoal = importProfilesGoal
  .omit({
    linked: true,
    matching: true,
    consent: true,
    groupLinks: true,
    events: true,
    erasedProfiles: true,
    occurredAtColumn: true,
  })
  .extend({
    kind: z.literal('import-groups'),
    deleteFlag: z
      .strictObject({ column })
      .optional()
      .describe('A true word in this column erases the group of the row, and with it the links of its members'),
    groupType: groupTypeName,
    matching: z.strictObject({
      column: column.describe("Holds the group's key"),
      allowCreation: z.boolean().default(true),
    }),
  });
export type ImportGroupsGoal = z.infer<typeof importGroupsGoal>;
export type ImportGoal = ImportProfilesGoal | ImportGroupsGoal;
