import type { Database } from '@millrace/database';
import { Module, type CanActivate, type DynamicModule, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import type { Request } from 'express';
import { operationOf } from '../http/operation.js';
import { ConfigStorage } from '../storage/config-storage.js';
import { DATABASE } from '../tokens.js';
import { ApiKeyController } from './api-key.controller.js';
import { Authenticator } from './authenticator.js';
import { Authoriser } from './authorise.js';
import { ManageApiKeys } from './manage-api-keys.js';

/** Asks the authoriser about every request; a handler without `@operation` is closed to everyone. */
class AccessGuard implements CanActivate {
  readonly #authoriser: Authoriser;

  constructor(authoriser: Authoriser) {
    this.#authoriser = authoriser;
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const handler = context.getHandler();
    const details = operationOf(handler);
    if (details === undefined) throw new TypeError(`${context.getClass().name}.${handler.name} has no @operation`);
    const request = context.switchToHttp().getRequest<Request>();
    const workspaceName = request.params['workspace'];
    const admission = await this.#authoriser.admit({
      authorization: request.headers.authorization,
      access: details.access,
      also: details.also,
      workspaceName: typeof workspaceName === 'string' ? workspaceName : undefined,
    });
    Object.assign(request, admission);
    return true;
  }
}

/** API keys, and the guard of every route of the service. */
@Module({})
export class AccessModule {
  static forRoot(bootstrapKey: string | undefined): DynamicModule {
    return {
      module: AccessModule,
      controllers: [ApiKeyController],
      providers: [
        {
          provide: ManageApiKeys,
          inject: [ConfigStorage, DATABASE],
          useFactory: (storage: ConfigStorage, database: Database) => new ManageApiKeys(storage, database),
        },
        {
          provide: APP_GUARD,
          inject: [ConfigStorage, DATABASE],
          useFactory: (storage: ConfigStorage, database: Database) =>
            new AccessGuard(new Authoriser(new Authenticator(storage, bootstrapKey), database)),
        },
      ],
    };
  }
}
