import { alternate, type Bench, type Sample } from './bench.js';
import { restStore } from './bench-stack.js';
import { runWholeImport, timeFloor, upload, withImportSetting, type ImportSetting } from './import-setting.js';
import { peopleFile } from './people-file.js';

/** The store with every profile of the file, and two variants of the file that differ in four fields of each row. */
interface UpdateSetting extends ImportSetting {
  readonly rows: number;
  readonly files: readonly [string, string];
  /** The variant the store holds. */
  variant: 0 | 1;
}

const objectName = (variant: number): string => `people-${variant}.csv`;

async function seedVariants(setting: ImportSetting, rows: number): Promise<UpdateSetting> {
  const files = [await peopleFile(rows, 0), await peopleFile(rows, 1)] as const;
  for (const [variant, file] of files.entries()) await upload(setting, objectName(variant), file);
  await runWholeImport(setting, { name: objectName(0) }, 'created', rows);
  const seeded: UpdateSetting = { ...setting, rows, files, variant: 0 };
  // Once uncounted: from then on every table has room for two versions of each row.
  await update(seeded);
  return seeded;
}

/** Imports the variant that the store does not hold: four fields of every profile change. */
async function update(setting: UpdateSetting): Promise<Sample> {
  const next = setting.variant === 0 ? 1 : 0;
  await restStore(setting.bench.database);
  const sample = await runWholeImport(setting, { name: objectName(next) }, 'updated', setting.rows);
  setting.variant = next;
  return sample;
}

/** Imports, under another goal, the variant that the store holds already. */
async function repeat(setting: UpdateSetting): Promise<Sample> {
  await restStore(setting.bench.database);
  return runWholeImport(setting, { name: objectName(setting.variant) }, 'unchanged', setting.rows);
}

async function updateByHand(setting: UpdateSetting): Promise<Sample> {
  const next = setting.variant === 0 ? 1 : 0;
  await restStore(setting.bench.database);
  const sample = await timeFloor(setting, 'import-update-floor.sql', setting.files[next]);
  setting.variant = next;
  return sample;
}

/** N existing profiles of which four fields change, through the importer, against one psql connection doing the same. */
export const importUpdate: Bench = {
  about: 'existing profiles, four fields of each changed, against \\copy and hand-written SQL',
  async run(options) {
    return withImportSetting(options, async (setting) => {
      const seeded = await seedVariants(setting, options.rows);
      const result = await alternate(
        'import-update',
        options,
        () => update(seeded),
        () => updateByHand(seeded),
      );
      return { ...result, segments: options.segments };
    });
  },
};

/** The same file imported again under another configuration, against an import that changes four fields of each row. */
export const importUnchanged: Bench = {
  about: 'existing profiles, nothing changed, against the same importer changing four fields',
  async run(options) {
    return withImportSetting(options, async (setting) => {
      const seeded = await seedVariants(setting, options.rows);
      const result = await alternate(
        'import-unchanged',
        options,
        () => repeat(seeded),
        () => update(seeded),
      );
      return { ...result, segments: options.segments };
    });
  },
};
