import { z } from 'zod';

/** An identity policy as AWS IAM takes it. */
export const iamPolicy = z
  .object({
    Version: z.literal('2012-10-17'),
    Statement: z
      .array(
        z
          .object({
            Sid: z.string(),
            Effect: z.literal('Allow'),
            Action: z.array(z.string()).readonly(),
            Resource: z.array(z.string()).readonly(),
            Condition: z.record(z.string(), z.record(z.string(), z.array(z.string()).readonly())).optional(),
          })
          .readonly(),
      )
      .readonly(),
  })
  .meta({ id: 'IamPolicy' });
export type IamPolicy = z.infer<typeof iamPolicy>;
