import { alternate, type Bench } from './bench.js';
import { emptyStore } from './bench-stack.js';
import { listen, runWholeImport, upload, withImportSetting } from './import-setting.js';
import { peopleFile } from './people-file.js';

/** What an active stream goal costs the importer while no publisher takes the outbox rows. */
export const importOutbox: Bench = {
  about: 'new profiles with a stream goal active, its publisher stopped, against the same without a goal',
  async run(options) {
    const file = await peopleFile(options.rows);
    return withImportSetting(options, async (setting) => {
      await upload(setting, 'people.csv', file);
      const importWith = (goal: boolean) => async () => {
        await emptyStore(setting.bench.database);
        await listen(setting, goal);
        return runWholeImport(setting, { name: 'people.csv' }, 'created', options.rows);
      };
      const result = await alternate('import-outbox', options, importWith(true), importWith(false));
      return { ...result, segments: options.segments };
    });
  },
};
