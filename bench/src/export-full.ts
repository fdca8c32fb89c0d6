import { alternate, type Bench } from './bench.js';
import { runWholeExport, timeCopyOut, withExportSetting } from './export-setting.js';

/** A full export of N profiles, 12 columns, gzip, to the S3 stand-in, against psql piped into gzip. */
export const exportFull: Bench = {
  about: 'a full export, 12 columns, gzip, to S3, against psql \\copy | gzip -1',
  async run(options) {
    const { rows, parts } = options;
    return withExportSetting(options, async (setting) => ({
      ...(await alternate(
        'export-full',
        options,
        () => runWholeExport(setting, rows, { goal: { parts } }),
        () => timeCopyOut(setting, 'export-full-floor.sql', 'gzip -1'),
      )),
      parts,
    }));
  },
};
