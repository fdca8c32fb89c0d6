import { z } from 'zod';

/** What became of the rows of a corrected reject file. */
export const fixedRows = z
  .object({
    rowsRead: z.int().describe('Rows of the file that was sent'),
    created: z.int(),
    updated: z.int(),
    unchanged: z.int(),
    erased: z.int(),
    skipped: z.record(z.string(), z.int()),
    ambiguous: z.int(),
    stillRejected: z.int().describe('Rejected again: they stay in the list of rejects'),
    refused: z.int().describe('Not looked at, such as rows of lines that were not rejected'),
    problems: z
      .array(
        z.object({
          line: z.int().describe('Line of the file that was sent'),
          name: z.string().describe('The source file'),
          sourceLine: z.int().optional(),
          column: z.string().optional(),
          code: z.string(),
          message: z.string(),
        }),
      )
      .describe('Why rows were refused or rejected again; the first thousand'),
  })
  .meta({ id: 'FixedRows' });
export type FixedRows = z.infer<typeof fixedRows>;
