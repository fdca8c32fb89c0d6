import { alternate, type Bench } from './bench.js';
import { emptyStore } from './bench-stack.js';
import { runWholeImport, timeFloor, upload, withImportSetting } from './import-setting.js';
import { peopleFile } from './people-file.js';

/** N new profiles of 12 columns and one identity each, through the importer, against one psql connection doing the same. */
export const importNew: Bench = {
  about: 'new profiles from a CSV file in S3, against \\copy and hand-written SQL',
  async run(options) {
    const { rows, segments } = options;
    const file = await peopleFile(rows);
    return withImportSetting(options, async (setting) => {
      await upload(setting, 'people.csv', file);
      const result = await alternate(
        'import-new',
        options,
        async () => {
          await emptyStore(setting.bench.database);
          return runWholeImport(setting, { name: 'people.csv' }, 'created', rows);
        },
        async () => {
          await emptyStore(setting.bench.database);
          return timeFloor(setting, 'import-new-floor.sql', file);
        },
      );
      return { ...result, segments };
    });
  },
};
