import { sql, type Database } from '@millrace/database';
import { InputError } from '@millrace/domain';
import {
  domainGroupsWith,
  eraseProfiles,
  findProfile,
  loadCatalogue,
  profileById,
  storeStatistics,
} from '@millrace/profile-store';
import { WAKE_UPS, type WakeUps } from '@millrace/job-queue';
import { Controller, Delete, Get, Header, HttpCode, Inject, Param, Query, Req } from '@nestjs/common';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { DATABASE } from '../tokens.js';
import { checkDomainGroup, checkNamespaces } from './check-namespaces.js';
import {
  nestProfile,
  profileQuery,
  profileView,
  statisticsView,
  type ProfileQuery,
  type StatisticsView,
} from './profile-views.js';

const noProfile = { '404': 'No such profile' };

@Controller('api/v1/workspaces/:workspace')
export class ProfileController {
  readonly #database: Database;
  readonly #wakeUps: WakeUps;

  constructor(@Inject(DATABASE) database: Database, @Inject(WAKE_UPS) wakeUps: WakeUps) {
    this.#database = database;
    this.#wakeUps = wakeUps;
  }

  @Get('profiles')
  @Header('content-type', 'application/json; charset=utf-8')
  @operation({
    id: 'findProfile',
    tag: 'Profiles',
    summary: 'Find the profile that has an identity',
    description:
      "In one domain group an identity is one profile's at most. Where profiles of several have it, the one of the default domain group is shown, " +
      'or that of the one named; a 404 says which others have it.',
    access: 'profile:read',
    answer: { description: 'The profile', schema: profileView },
    problems: noProfile,
  })
  async find(@Req() request: WorkspaceRequest, @Query({ schema: profileQuery }) query: ProfileQuery): Promise<string> {
    const catalogue = await loadCatalogue(this.#database, request.workspace.id);
    checkNamespaces(catalogue, [{ field: 'namespace', code: query.namespace }]);
    checkDomainGroup(catalogue, query.domainGroupId);
    const profile = await findProfile(this.#database, catalogue, query);
    if (profile !== undefined) return nestProfile(profile);
    throw noneInDomainGroup(await domainGroupsWith(this.#database, catalogue, query));
  }

  @Get('profiles/:profileId')
  @Header('content-type', 'application/json; charset=utf-8')
  @operation({
    id: 'getProfile',
    tag: 'Profiles',
    summary: 'Show a profile',
    access: 'profile:read',
    answer: { description: 'The profile with its identities, memberships and latest events', schema: profileView },
    problems: noProfile,
  })
  async get(
    @Req() request: WorkspaceRequest,
    @Param('profileId', { schema: pathParameters.profileId }) id: string,
  ): Promise<string> {
    return shown(await profileById(this.#database, request.workspace.id, id));
  }

  @Delete('profiles/:profileId')
  @HttpCode(204)
  @operation({
    id: 'eraseProfile',
    tag: 'Profiles',
    summary: 'Erase a profile and everything that hangs on it',
    description:
      'Streams that know the profile tell of it with one record, exports with their next run. A tombstone stays, with keyed hashes of the ' +
      'identities: a file older than the erasure does not bring the person back.',
    access: 'profile:write',
    answer: { description: 'Erased' },
    problems: noProfile,
  })
  async erase(
    @Req() request: WorkspaceRequest,
    @Param('profileId', { schema: pathParameters.profileId }) id: string,
  ): Promise<void> {
    const erased = await this.#database.transaction((tx) =>
      eraseProfiles(tx, request.workspace.id, sql`SELECT ${id}::uuid`),
    );
    if (erased === 0) throw noSuchProfile();
    await this.#wakeUps.wake('stream-lane', { version: 1 });
  }

  @Get('statistics')
  @operation({
    id: 'getStatistics',
    tag: 'Profiles',
    summary: 'Count what the workspace holds',
    description: 'Counted at this moment, exactly: on a large workspace that takes a while.',
    access: 'profile:read',
    answer: { description: 'The figures', schema: statisticsView },
  })
  async statistics(@Req() request: WorkspaceRequest): Promise<StatisticsView> {
    const { id } = request.workspace;
    const { rows } = await this.#database.query<
      Omit<StatisticsView, keyof Awaited<ReturnType<typeof storeStatistics>>>
    >(sql`
      SELECT (SELECT count(*)::int FROM profile.segment WHERE workspace_id = ${id}) AS segments,
        (SELECT count(*)::int FROM config.connection WHERE workspace_id = ${id}) AS connections,
        (SELECT count(*)::int FROM config.goal WHERE workspace_id = ${id}) AS goals,
        (SELECT count(*)::int FROM config.run WHERE workspace_id = ${id}) AS runs`);
    return { ...(await storeStatistics(this.#database, id)), ...rows[0]! };
  }
}

function shown(profile: string | undefined): string {
  if (profile === undefined) throw noSuchProfile();
  return nestProfile(profile);
}

function noneInDomainGroup(others: readonly { readonly id: string; readonly name: string }[]): InputError {
  if (others.length === 0) return noSuchProfile();
  const named = others.map(({ id, name }) => `${JSON.stringify(name)} (${id})`).join(', ');
  return new InputError(
    'profile-not-found',
    `no profile of this domain group has the identity; one has it in ${named}: name that in domainGroupId`,
  );
}

function noSuchProfile(): InputError {
  return new InputError('profile-not-found', 'there is no such profile in this workspace');
}
