import type { Database } from '@millrace/database';
import type { AlertRule } from '@millrace/domain';
import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Patch, Post, Query, Req } from '@nestjs/common';
import { z } from 'zod';
import type { WorkspaceRequest } from '../http/api-request.js';
import { operation } from '../http/operation.js';
import { pathParameters } from '../http/path-parameters.js';
import { SendAlerts } from '../send-alerts/send-alerts.js';
import { DATABASE } from '../tokens.js';
import { listDeliveries, sendAgain } from './alert-deliveries.js';
import {
  alertChange,
  alertDeliveryPage,
  alertDeliveryQuery,
  alertDeliveryView,
  alertTestResult,
  alertView,
  newAlert,
  viewOfAlert,
  type AlertChange,
  type AlertDeliveryPage,
  type AlertDeliveryQuery,
  type AlertDeliveryView,
  type AlertTestResult,
  type AlertView,
} from './alert-views.js';
import { ManageAlerts } from './manage-alerts.js';
import { tryAlert } from './try-alert.js';

const connectionId = { schema: pathParameters.connectionId };
const alertId = { schema: pathParameters.alertId };
const noConnection = { '404': 'No such connection' } as const;
const noAlert = { '404': 'No such connection or alert' } as const;

@Controller('api/v1/workspaces/:workspace')
export class AlertController {
  readonly #alerts: ManageAlerts;
  readonly #sender: SendAlerts;
  readonly #database: Database;

  constructor(
    @Inject(ManageAlerts) alerts: ManageAlerts,
    @Inject(SendAlerts) sender: SendAlerts,
    @Inject(DATABASE) database: Database,
  ) {
    this.#alerts = alerts;
    this.#sender = sender;
    this.#database = database;
  }

  @Get('connections/:connectionId/alerts')
  @operation({
    id: 'listAlerts',
    tag: 'Alerts',
    summary: 'List who is told of what on a connection',
    access: 'config:read',
    answer: { description: 'By name', schema: z.object({ items: z.array(alertView) }) },
    problems: noConnection,
  })
  async list(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) connection: string,
  ): Promise<{ items: AlertView[] }> {
    return { items: (await this.#alerts.list(request.workspace.id, connection)).map(viewOfAlert) };
  }

  @Post('connections/:connectionId/alerts')
  @operation({
    id: 'createAlert',
    tag: 'Alerts',
    summary: 'Have people or programs told what happens on a connection',
    description:
      'Each address gets a mail of its own, each URL a POST of an AlertMessage, signed by the Standard Webhooks specification: `webhook-id`, ' +
      '`webhook-timestamp` (seconds) and `webhook-signature`, `v1,` and the base64 of HMAC-SHA256 with the secret over ' +
      '`<webhook-id>.<webhook-timestamp>.<body>`. What is not answered 2xx within 10 seconds is sent again, with the same id, later and later. ' +
      'A failure is told each time, what lasts once; the end of either is announced.',
    access: 'config:write',
    also: 'config:read',
    answer: { description: 'The alert', schema: alertView },
    problems: { ...noConnection, '409': 'The name is taken' },
  })
  async create(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) connection: string,
    @Body({ schema: newAlert }) body: AlertRule,
  ): Promise<AlertView> {
    return viewOfAlert(await this.#alerts.create(request.workspace.id, connection, body));
  }

  @Get('connections/:connectionId/alerts/:alertId')
  @operation({
    id: 'getAlert',
    tag: 'Alerts',
    summary: 'Show an alert',
    access: 'config:read',
    answer: { description: 'The alert, with markers where it holds secrets', schema: alertView },
    problems: noAlert,
  })
  async get(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) connection: string,
    @Param('alertId', alertId) id: string,
  ): Promise<AlertView> {
    return viewOfAlert(await this.#alerts.get(request.workspace.id, connection, id));
  }

  @Patch('connections/:connectionId/alerts/:alertId')
  @operation({
    id: 'changeAlert',
    tag: 'Alerts',
    summary: 'Change an alert',
    description: 'What is left out stays, secrets of URLs that stay included; null removes.',
    access: 'config:write',
    answer: { description: 'The alert', schema: alertView },
    problems: { ...noAlert, '409': 'The name is taken' },
  })
  async change(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) connection: string,
    @Param('alertId', alertId) id: string,
    @Body({ schema: alertChange }) body: AlertChange,
  ): Promise<AlertView> {
    return viewOfAlert(await this.#alerts.change(request.workspace.id, connection, id, body));
  }

  @Delete('connections/:connectionId/alerts/:alertId')
  @HttpCode(204)
  @operation({
    id: 'deleteAlert',
    tag: 'Alerts',
    summary: 'Delete an alert',
    access: 'config:write',
    answer: { description: 'Deleted; what it still had to send is not sent' },
    problems: noAlert,
  })
  async delete(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) connection: string,
    @Param('alertId', alertId) id: string,
  ): Promise<void> {
    await this.#alerts.delete(request.workspace.id, connection, id);
  }

  @Post('connections/:connectionId/alerts/:alertId/test')
  @HttpCode(200)
  @operation({
    id: 'testAlert',
    tag: 'Alerts',
    summary: 'Send a test to every receiver of an alert',
    description: 'By the way alerts take, each receiver tried once; waits 15 seconds at most.',
    access: 'config:write',
    also: 'config:read',
    answer: {
      description: 'What became of each; a receiver that fails is an answer, not an error',
      schema: alertTestResult,
    },
    problems: { ...noAlert, '409': 'The alert is switched off' },
  })
  async test(
    @Req() request: WorkspaceRequest,
    @Param('connectionId', connectionId) connection: string,
    @Param('alertId', alertId) id: string,
  ): Promise<AlertTestResult> {
    const rule = await this.#alerts.get(request.workspace.id, connection, id);
    return await tryAlert(this.#database, rule, this.#sender.now);
  }

  @Get('alert-deliveries')
  @operation({
    id: 'listAlertDeliveries',
    tag: 'Alerts',
    summary: 'List the messages alerts have sent, or are to send',
    access: 'config:read',
    answer: { description: 'A page, the newest first', schema: alertDeliveryPage },
  })
  async deliveries(
    @Req() request: WorkspaceRequest,
    @Query({ schema: alertDeliveryQuery }) query: AlertDeliveryQuery,
  ): Promise<AlertDeliveryPage> {
    return await listDeliveries(this.#database, request.workspace.id, query);
  }

  @Post('alert-deliveries/:deliveryId/send-again')
  @HttpCode(202)
  @operation({
    id: 'sendAlertAgain',
    tag: 'Alerts',
    summary: 'Send a message that was given up after all',
    access: 'config:write',
    also: 'config:read',
    answer: { description: 'It is sent within a second or so', schema: alertDeliveryView },
    problems: { '404': 'No such message', '409': 'It was not given up' },
  })
  async again(
    @Req() request: WorkspaceRequest,
    @Param('deliveryId', { schema: pathParameters.deliveryId }) id: string,
  ): Promise<AlertDeliveryView> {
    const delivery = await sendAgain(this.#database, request.workspace.id, id);
    this.#sender.now();
    return delivery;
  }
}
