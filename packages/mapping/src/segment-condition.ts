import { InputError, type PropertyType, type SegmentLeaf, type SegmentRule } from '@millrace/domain';
import { sql, type Sql } from '@millrace/sql';
import type { Catalogue } from './catalogue.js';

export interface SegmentCondition {
  /** True or false, never null, for one row `p` of profile.profile. */
  readonly condition: Sql;
  /** When the passing of time alone may change the condition; null where it never does. Absent for rules without time. */
  readonly nextCheck: Sql | undefined;
}

/** Whether a rule looks at groups of this type, directly or in its depth. */
export function readsGroupType(rule: SegmentRule, type: string): boolean {
  switch (rule.kind) {
    case 'all':
    case 'any':
      return rule.rules.some((part) => readsGroupType(part, type));
    case 'not':
      return readsGroupType(rule.rule, type);
    default:
      return rule.kind === 'group' && rule.type === type;
  }
}

type Comparison = { readonly op: string; readonly value?: unknown };
type EventLeaf = Extract<SegmentLeaf, { kind: 'event' }>;

/** Compiles a rule tree to SQL over `p`. Throws InputError naming what the workspace lacks or what does not fit a type. */
export function compileSegment(rule: SegmentRule, catalogue: Catalogue): SegmentCondition {
  const checks: Sql[] = [];
  const condition = compileRule(rule, catalogue, checks);
  return { condition, nextCheck: checks.length === 0 ? undefined : sql`least(${sql.join(checks)})` };
}

function compileRule(rule: SegmentRule, catalogue: Catalogue, checks: Sql[]): Sql {
  switch (rule.kind) {
    case 'all':
      return rule.rules.length === 0
        ? sql`true`
        : sql`(${sql.join(
            rule.rules.map((part) => compileRule(part, catalogue, checks)),
            ' AND ',
          )})`;
    case 'any':
      return rule.rules.length === 0
        ? sql`false`
        : sql`(${sql.join(
            rule.rules.map((part) => compileRule(part, catalogue, checks)),
            ' OR ',
          )})`;
    case 'not':
      return sql`(NOT ${compileRule(rule.rule, catalogue, checks)})`;
    case 'property': {
      const property = catalogue.properties.get(rule.property);
      if (property === undefined) throw unknown('property', rule.property);
      return compileValue(sql`p.properties`, property.name, property.type, property.list, rule);
    }
    case 'recency': {
      const property = catalogue.properties.get(rule.property);
      if (property === undefined) throw unknown('property', rule.property);
      if (property.type !== 'date' && property.type !== 'timestamp') {
        throw new InputError('rule-type', `${rule.property} is neither a date nor a timestamp, so it has no age`);
      }
      if (property.list) throw new InputError('rule-type', `${rule.property} is a list, so it has no single age`);
      // Dates begin in UTC, whatever the zone of the connection; timestamps are stored in it.
      const instant = sql`((p.properties->>${property.name}::text)::timestamp AT TIME ZONE 'UTC')`;
      const edge = sql`(${instant} + make_interval(secs => ${rule.days * 86_400}::float8))`;
      checks.push(sql`(CASE WHEN ${edge} > now() THEN ${edge} END)`);
      return rule.op === 'within-last' ? sql`coalesce(${edge} > now(), false)` : sql`coalesce(${edge} <= now(), false)`;
    }
    case 'identity': {
      const namespace = catalogue.namespaces.get(rule.namespace);
      if (namespace === undefined) throw unknown('identity namespace', rule.namespace);
      const found = (extra: Sql): Sql =>
        sql`EXISTS (SELECT FROM profile.identity i WHERE i.profile_id = p.id AND i.namespace_id = ${namespace.id}::int${extra})`;
      if (rule.op === 'exists') return found(sql.empty);
      if (rule.op === 'missing') return sql`(NOT ${found(sql.empty)})`;
      return found(sql` AND ${compareText(sql`i.value`, rule)}`);
    }
    case 'event':
      return compileEvent(rule, catalogue, checks);
    case 'group': {
      const groupType = catalogue.groupTypes.get(rule.type);
      if (groupType === undefined) throw unknown('group type', rule.type);
      const found = (
        extra: Sql,
      ): Sql => sql`EXISTS (SELECT FROM profile.group_member gm JOIN profile.group g ON g.id = gm.group_id
        WHERE gm.profile_id = p.id AND g.group_type_id = ${groupType.id}::int${extra})`;
      if (rule.property === undefined) {
        if (rule.op === 'exists') return found(sql.empty);
        if (rule.op === 'missing') return sql`(NOT ${found(sql.empty)})`;
        return found(sql` AND ${compareText(sql`g.key`, rule)}`);
      }
      if (rule.op === 'missing') return sql`(NOT ${found(sql` AND g.properties ? ${rule.property}::text`)})`;
      return found(sql` AND ${compileUntyped(sql`g.properties`, rule.property, rule)}`);
    }
    case 'consent': {
      const found = (extra: Sql): Sql =>
        sql`EXISTS (SELECT FROM profile.consent c WHERE c.profile_id = p.id AND c.objective = ${rule.objective}::text${extra})`;
      if (rule.op === 'unknown') return sql`(NOT ${found(sql.empty)})`;
      return found(rule.op === 'granted' ? sql` AND c.granted` : sql` AND NOT c.granted`);
    }
  }
}

function unknown(what: string, name: string): InputError {
  return new InputError('rule-unknown', `the workspace has no ${what} ${JSON.stringify(name)}`);
}

const operators: Record<string, Sql> = {
  equals: sql`=`,
  'not-equals': sql`<>`,
  less: sql`<`,
  'less-or-equal': sql`<=`,
  greater: sql`>`,
  'greater-or-equal': sql`>=`,
};

function operator(op: string): Sql {
  const found = operators[op];
  if (found === undefined)
    throw new InputError('rule-operator', `the comparison ${JSON.stringify(op)} does not fit here`);
  return found;
}

function requireScalar(rule: Comparison): string {
  const { value } = rule;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new InputError('rule-value', `the comparison ${JSON.stringify(rule.op)} needs one value`);
}

function requireList(rule: Comparison): string[] {
  if (!Array.isArray(rule.value) || rule.value.length === 0)
    throw new InputError('rule-value', 'the comparison "in" needs a list of values');
  return rule.value.map(String);
}

function likePattern(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}

function compareText(text: Sql, rule: Comparison): Sql {
  switch (rule.op) {
    case 'in':
      return sql`${text} = ANY (${requireList(rule)}::text[])`;
    case 'contains':
      return sql`${text} LIKE ${`%${likePattern(requireScalar(rule))}%`}::text`;
    case 'starts-with':
      return sql`starts_with(${text}, ${requireScalar(rule)}::text)`;
    default:
      return sql`${text} COLLATE "C" ${operator(rule.op)} ${requireScalar(rule)}::text`;
  }
}

/** A comparison of a value nobody declared the type of: it is compared as what the rule's value is, and differs where it is none. */
function compileUntyped(container: Sql, name: string, rule: Comparison): Sql {
  const sample: unknown = Array.isArray(rule.value) ? rule.value[0] : rule.value;
  const type = typeof sample === 'number' ? 'decimal' : typeof sample === 'boolean' ? 'boolean' : 'string';
  if (type === 'string') return compileValue(container, name, type, false, rule);
  const kind = sql`${type === 'decimal' ? 'number' : 'boolean'}::text`;
  const typed = sql`(CASE WHEN jsonb_typeof(${container}->${name}::text) = ${kind} THEN ${container} ELSE '{}' END)`;
  return compileValue(typed, name, type, false, rule);
}

function requireNumber(text: string): string {
  // Within what numeric can hold, whatever it is compared with.
  if (!/^-?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?$/.test(text))
    throw new InputError('rule-value', `${JSON.stringify(text)} is not a number`);
  return text;
}

function requireBoolean(text: string): string {
  if (text !== 'true' && text !== 'false')
    throw new InputError('rule-value', `${JSON.stringify(text)} is neither true nor false`);
  return text;
}

/** A comparison of `container->name`, typed. A missing value equals nothing and differs from everything. */
function compileValue(container: Sql, name: string, type: PropertyType, list: boolean, rule: Comparison): Sql {
  const text = sql`(${container}->>${name}::text)`;
  if (rule.op === 'exists') return sql`(${container} ? ${name}::text)`;
  if (rule.op === 'missing') return sql`(NOT ${container} ? ${name}::text)`;
  if (list) return compileListValue(container, name, type, rule);
  const compared = (): Sql => {
    switch (type) {
      case 'integer':
      case 'decimal':
        if (rule.op === 'in') return sql`${text}::numeric = ANY (${requireList(rule).map(requireNumber)}::numeric[])`;
        return sql`${text}::numeric ${operator(rule.op)} ${requireNumber(requireScalar(rule))}::numeric`;
      case 'boolean':
        return sql`${text}::boolean ${operator(rule.op)} ${requireBoolean(requireScalar(rule))}::boolean`;
      // ISO forms: text order is time order.
      case 'date':
      case 'timestamp':
      case 'string':
        return compareText(text, rule);
    }
  };
  return sql`coalesce(${compared()}, ${rule.op === 'not-equals' ? sql`true` : sql`false`})`;
}

/** Any element decides: `equals` and `contains` mean "has this element". */
function compileListValue(container: Sql, name: string, type: PropertyType, rule: Comparison): Sql {
  const element = (text: string): string =>
    type === 'integer' || type === 'decimal'
      ? requireNumber(text)
      : type === 'boolean'
        ? requireBoolean(text)
        : JSON.stringify(text);
  const has = (text: string): Sql => sql`coalesce(${container}->${name}::text @> ${element(text)}::jsonb, false)`;
  switch (rule.op) {
    case 'equals':
    case 'contains':
      return has(requireScalar(rule));
    case 'not-equals':
      return sql`(NOT ${has(requireScalar(rule))})`;
    case 'in':
      return sql`(${sql.join(requireList(rule).map(has), ' OR ')})`;
    default:
      throw new InputError('rule-operator', `the comparison ${JSON.stringify(rule.op)} does not fit the list ${name}`);
  }
}

function compileEvent(rule: EventLeaf, catalogue: Catalogue, checks: Sql[]): Sql {
  const eventType = catalogue.eventTypes.get(rule.type);
  if (eventType === undefined) throw unknown('event type', rule.type);
  const typeOf = (name: string): PropertyType => {
    const property = eventType.definition.properties.find((candidate) => candidate.name === name);
    if (property === undefined) throw unknown(`property of event type ${rule.type}`, name);
    return property.type;
  };
  const filters = rule.where.map(
    (filter) => sql` AND ${compileValue(sql`e.properties`, filter.property, typeOf(filter.property), false, filter)}`,
  );
  const matching = sql`FROM profile.event e WHERE e.profile_id = p.id AND e.event_type_id = ${eventType.id}::int${sql.join(filters, '')}`;
  if (rule.aggregate === 'last') {
    const last = sql`(SELECT max(e.occurred_at) ${matching})`;
    const edge = sql`(${last} + make_interval(secs => ${rule.value * 86_400}::float8))`;
    checks.push(sql`(CASE WHEN ${edge} > now() THEN ${edge} END)`);
    return sql`coalesce(extract(epoch FROM now() - ${last}) / 86400 ${operator(rule.op)} ${rule.value}::numeric, false)`;
  }
  let window = sql.empty;
  if (rule.withinDays !== undefined) {
    const length = sql`make_interval(secs => ${rule.withinDays * 86_400}::float8)`;
    window = sql` AND e.occurred_at > now() - ${length}`;
    checks.push(sql`(SELECT min(e.occurred_at) + ${length} ${matching}${window})`);
  }
  if (rule.aggregate === 'count')
    return sql`((SELECT count(*) ${matching}${window}) ${operator(rule.op)} ${rule.value}::numeric)`;
  if (rule.property === undefined) throw new InputError('rule-value', 'the sum of events needs the property to add up');
  const type = typeOf(rule.property);
  if (type !== 'integer' && type !== 'decimal')
    throw new InputError('rule-type', `${rule.property} is not numeric, so it has no sum`);
  return sql`(coalesce((SELECT sum((e.properties->>${rule.property}::text)::numeric) ${matching}${window}), 0) ${operator(rule.op)} ${rule.value}::numeric)`;
}
