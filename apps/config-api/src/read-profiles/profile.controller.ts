import { sql, type Database } from '@millrace/database';
import { InputError } from '@millrace/domain';
import { findProfile, loadCatalogue, profileById, storeStatistics } from '@millrace/profile-store';
import { Controller, Get, Header, Inject, Param, Query, Req } from '@nestjs/common';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { DATABASE } from '../tokens.js';
import { checkNamespaces } from './check-namespaces.js';
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

  constructor(@Inject(DATABASE) database: Database) {
    this.#database = database;
  }

  @Get('profiles')
  @Header('content-type', 'application/json; charset=utf-8')
  @operation({
    id: 'findProfile',
    tag: 'Profiles',
    summary: 'Find the profile that has an identity',
    access: 'profile:read',
    answer: { description: 'The profile', schema: profileView },
    problems: noProfile,
  })
  async find(@Req() request: WorkspaceRequest, @Query({ schema: profileQuery }) query: ProfileQuery): Promise<string> {
    const catalogue = await loadCatalogue(this.#database, request.workspace.id);
    checkNamespaces(catalogue, [{ field: 'namespace', code: query.namespace }]);
    return shown(await findProfile(this.#database, catalogue, query));
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
  if (profile === undefined) throw new InputError('profile-not-found', 'there is no such profile in this workspace');
  return nestProfile(profile);
}
