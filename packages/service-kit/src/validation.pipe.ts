import { StandardSchemaValidationPipe } from '@nestjs/common';
import { fieldErrors } from './field-errors.js';
import { ValidationError } from './problem.js';

/**
 * Validates every parameter that names a schema: `@Body({ schema: goal }) goal: Goal`, `@Param('id', { schema: z.uuid() }) id: string`.
 * The handler gets the schema's output (defaults filled in).
 */
export class ValidationPipe extends StandardSchemaValidationPipe {
  constructor() {
    super({ exceptionFactory: (issues) => new ValidationError(fieldErrors(issues)) });
  }

  // The schemas say which keys there are; the inherited one would also drop a property of a profile that is called "constructor".
  protected override stripProtoKeys(): void {}
}
