import {
  prefixClash,
  profileIdNamespace,
  type CsvDialect,
  type EventMapping,
  type EventType,
  type ImportProfilesGoal,
} from '@millrace/domain';
import {
  inputsOf,
  outputsOf,
  processorMisfit,
  valueFormatMisfits,
  type Catalogue,
  type CatalogueProperty,
} from '@millrace/mapping';
import { checkFiles, type Ancestors } from './check-files.js';
import { quoted, repeatedAt, type Complaints } from './complaints.js';

type Path = readonly (string | number)[];

export function checkImport(goal: ImportProfilesGoal, catalogue: Catalogue, complaints: Complaints): void {
  checkMatching(goal, catalogue, complaints);
  checkMappings(goal, catalogue, complaints);
  for (const index of repeatedAt(goal.consent, ({ objective }) => objective)) {
    complaints.add(['consent', index, 'objective'], 'is set by another column already');
  }
  const ancestors = checkFiles(goal, complaints);
  checkFormats(goal, complaints);
  checkProcessors(goal, complaints);
  checkGroupLinks(goal, catalogue, complaints);
  goal.events.forEach((event, index) => checkEvent(event, ['events', index], ancestors, catalogue, complaints));
  checkColumns(goal, complaints);
}

function checkFormats({ csv, linked }: ImportProfilesGoal, complaints: Complaints): void {
  const check = (dialect: CsvDialect | undefined, path: Path): void => {
    if (dialect === undefined) return;
    for (const { field, message } of valueFormatMisfits(dialect)) complaints.add([...path, field], message);
  };
  check(csv, ['csv']);
  linked.forEach((link, index) => check(link.csv, ['linked', index, 'csv']));
}

function checkMatching(goal: ImportProfilesGoal, catalogue: Catalogue, complaints: Complaints): void {
  const { identifiers, domainGroupId } = goal.matching;
  if (domainGroupId !== undefined && !catalogue.domainGroups.has(domainGroupId.toLowerCase()))
    complaints.add(['matching', 'domainGroupId'], 'the workspace has no such domain group');
  identifiers.forEach(({ namespace }, index) => {
    if (catalogue.namespaces.has(namespace) || namespace === profileIdNamespace) return;
    complaints.add(
      ['matching', 'identifiers', index, 'namespace'],
      `the workspace has no identity namespace ${quoted(namespace)}`,
    );
  });
  for (const index of repeatedAt(identifiers, ({ column, namespace }) => JSON.stringify([column, namespace]))) {
    complaints.add(['matching', 'identifiers', index], 'stands here twice');
  }
}

function checkGroupLinks(goal: ImportProfilesGoal, catalogue: Catalogue, complaints: Complaints): void {
  goal.groupLinks.forEach(({ type }, index) => {
    if (catalogue.groupTypes.has(type)) return;
    complaints.add(
      ['groupLinks', index, 'type'],
      `the workspace has no group type ${quoted(type)}: declare it before profiles are linked to its groups`,
    );
  });
  for (const index of repeatedAt(goal.groupLinks, ({ column, type }) => JSON.stringify([column, type])))
    complaints.add(['groupLinks', index], 'stands here twice');
  const replacing = goal.groupLinks.flatMap(({ type, replace }) => (replace ? [type] : []));
  for (const index of repeatedAt(goal.groupLinks, ({ type }) => type)) {
    if (replacing.includes(goal.groupLinks[index]?.type ?? ''))
      complaints.add(
        ['groupLinks', index, 'replace'],
        'one column alone can say which groups of this type a profile is in',
      );
  }
}

function checkMappings(goal: ImportProfilesGoal, catalogue: Catalogue, complaints: Complaints): void {
  if (goal.mapAll !== undefined && !goal.csv.header)
    complaints.add(['mapAll'], 'needs a header, whose names are those of properties');
  goal.mappings.forEach(({ property: name, rule }, index) => {
    const property = catalogue.properties.get(name);
    if (property === undefined) {
      complaints.add(['mappings', index, 'property'], `the workspace has no property ${quoted(name)}: create it first`);
      return;
    }
    const misfit = ruleMisfit(rule, property);
    if (misfit !== undefined) complaints.add(['mappings', index, 'rule'], misfit);
  });
  for (const index of repeatedAt(goal.mappings, ({ property }) => property)) {
    complaints.add(['mappings', index, 'property'], 'is the target of another column already');
  }
  const clash = prefixClash(goal.mappings.map(({ property }) => property));
  if (clash === undefined) return;
  const [shorter, longer] = clash;
  const index = goal.mappings.findIndex(({ property }) => property === longer);
  complaints.add(
    ['mappings', index, 'property'],
    `cannot stand beside ${quoted(shorter)}: one would be nested in the other`,
  );
}

function ruleMisfit(
  rule: ImportProfilesGoal['mappings'][number]['rule'],
  property: CatalogueProperty,
): string | undefined {
  const numeric = property.type === 'integer' || property.type === 'decimal';
  if (rule === 'sum' && (!numeric || property.list)) {
    return `"sum" needs a single integer or decimal, and ${quoted(property.name)} is a ${property.list ? 'list' : property.type}`;
  }
  if (rule === 'add' && !property.list)
    return `"add" needs a list, and ${quoted(property.name)} holds a single ${property.type}`;
  return undefined;
}

function checkEvent(
  event: EventMapping,
  path: Path,
  ancestors: Ancestors,
  catalogue: Catalogue,
  complaints: Complaints,
): void {
  if (event.file !== 'root' && !ancestors.has(event.file))
    complaints.add([...path, 'file'], `there is no file ${quoted(event.file)}`);
  const definition = catalogue.eventTypes.get(event.type)?.definition;
  if (definition === undefined) {
    complaints.add([...path, 'type'], `the workspace has no event type ${quoted(event.type)}`);
  } else {
    checkTargets(
      event.mappings,
      definition.properties,
      [...path, 'mappings'],
      `event type ${quoted(event.type)}`,
      complaints,
    );
    checkProducts(event, definition, [...path, 'products'], complaints);
  }
  for (const index of repeatedAt(event.lists, ({ name }) => name))
    complaints.add([...path, 'lists', index, 'name'], 'is filled already');
  event.lists.forEach((list, index) => {
    const listPath = [...path, 'lists', index];
    if (list.mappings.length === 0 && list.mapAll === undefined)
      complaints.add([...listPath, 'mappings'], 'must fill at least one property, or use mapAll');
    if (ancestors.get(list.file)?.includes(event.file) !== true) {
      const advice = `link ${quoted(list.file)} to ${quoted(event.file)}, or to a file below it`;
      complaints.add(
        [...listPath, 'file'],
        `rows of ${quoted(list.file)} cannot be nested in events of ${quoted(event.file)}: ${advice}`,
      );
    }
    if (definition !== undefined) checkList(list, definition, listPath, complaints);
  });
}

/** What the product store is fed with must be filled, and quantities must be numbers. */
function checkProducts({ products, lists }: EventMapping, type: EventType, path: Path, complaints: Complaints): void {
  if (products === undefined) return;
  const filled = lists.find(({ name }) => name === products.list);
  if (filled === undefined) {
    complaints.add([...path, 'list'], `is no list that this mapping fills`);
    return;
  }
  const named = [
    ...Object.entries({ id: products.id, name: products.name, quantity: products.quantity }),
    ...products.properties.map((property, index) => [index, property] as const),
  ];
  for (const [role, property] of named) {
    const isFilled = filled.mappings.some((mapping) => mapping.property === property);
    // What `mapAll` fills is known when a file is there.
    if (property === undefined || isFilled || filled.mapAll !== undefined) continue;
    const at = typeof role === 'number' ? ['properties', role] : [role];
    complaints.add([...path, ...at], `no column fills ${quoted(property)} in the list ${quoted(products.list)}`);
  }
  const quantity = type.lists
    .find(({ name }) => name === products.list)
    ?.properties.find(({ name }) => name === products.quantity);
  if (quantity !== undefined && quantity.type !== 'integer' && quantity.type !== 'decimal')
    complaints.add([...path, 'quantity'], `must be a number, and ${quoted(quantity.name)} is a ${quantity.type}`);
}

function checkList(
  list: EventMapping['lists'][number],
  definition: EventType,
  path: Path,
  complaints: Complaints,
): void {
  const known = definition.lists.find(({ name }) => name === list.name);
  if (known === undefined)
    complaints.add([...path, 'name'], `event type ${quoted(definition.code)} has no list ${quoted(list.name)}`);
  else checkTargets(list.mappings, known.properties, [...path, 'mappings'], `list ${quoted(list.name)}`, complaints);
}

function checkTargets(
  mappings: EventMapping['mappings'],
  known: EventType['properties'],
  path: Path,
  owner: string,
  complaints: Complaints,
): void {
  mappings.forEach(({ property }, index) => {
    if (known.some(({ name }) => name === property)) return;
    complaints.add([...path, index, 'property'], `${owner} has no property ${quoted(property)}`);
  });
  for (const index of repeatedAt(mappings, ({ property }) => property)) {
    complaints.add([...path, index, 'property'], 'is the target of another column already');
  }
}

function checkProcessors(goal: ImportProfilesGoal, complaints: Complaints): void {
  goal.processors.forEach((processor, index) => {
    const path = ['processors', index];
    if (processor.file !== 'root' && !goal.linked.some(({ alias }) => alias === processor.file))
      complaints.add([...path, 'file'], `there is no file ${quoted(processor.file)}`);
    const misfit = processorMisfit(processor);
    if (misfit !== undefined) complaints.add(path, misfit);
  });
}

/** In a file without header a column is a position, or what a processor makes. */
function checkColumns(goal: ImportProfilesGoal, complaints: Complaints): void {
  const headerless = new Set<string>();
  if (!goal.csv.header) headerless.add('root');
  for (const { alias, csv } of goal.linked) if (!(csv ?? goal.csv).header) headerless.add(alias);
  const made = new Map<string, Set<string>>();
  const check = (file: string, column: string, path: Path): void => {
    if (!headerless.has(file) || /^[1-9]\d{0,4}$/.test(column) || made.get(file)?.has(column) === true) return;
    complaints.add(path, `${quoted(file)} has no header: name the column by its position, "1" for the first`);
  };
  goal.processors.forEach((processor, index) => {
    for (const column of inputsOf(processor)) check(processor.file, column, ['processors', index]);
    const known = made.get(processor.file) ?? new Set();
    made.set(processor.file, known);
    for (const column of outputsOf(processor)) known.add(column);
  });
  goal.matching.identifiers.forEach(({ column }, index) =>
    check('root', column, ['matching', 'identifiers', index, 'column']),
  );
  goal.mappings.forEach(({ column }, index) => check('root', column, ['mappings', index, 'column']));
  goal.consent.forEach(({ column }, index) => check('root', column, ['consent', index, 'column']));
  goal.groupLinks.forEach(({ column }, index) => check('root', column, ['groupLinks', index, 'column']));
  if (goal.deleteFlag !== undefined) check('root', goal.deleteFlag.column, ['deleteFlag', 'column']);
  if (goal.occurredAtColumn !== undefined) check('root', goal.occurredAtColumn, ['occurredAtColumn']);
  goal.linked.forEach(({ alias, parent, column, parentColumn }, index) => {
    check(alias, column, ['linked', index, 'column']);
    check(parent, parentColumn, ['linked', index, 'parentColumn']);
  });
  const checkMapAll = (file: string, mapAll: object | undefined, path: Path): void => {
    if (mapAll !== undefined && headerless.has(file))
      complaints.add(path, `needs a header in ${quoted(file)}, whose names are those of properties`);
  };
  goal.events.forEach((event, index) => {
    checkMapAll(event.file, event.mapAll, ['events', index, 'mapAll']);
    event.lists.forEach((list, at) => checkMapAll(list.file, list.mapAll, ['events', index, 'lists', at, 'mapAll']));
    check(event.file, event.idColumn, ['events', index, 'idColumn']);
    check(event.file, event.occurredAtColumn, ['events', index, 'occurredAtColumn']);
    event.mappings.forEach(({ column }, at) => check(event.file, column, ['events', index, 'mappings', at, 'column']));
    event.lists.forEach((list, at) =>
      list.mappings.forEach(({ column }, position) =>
        check(list.file, column, ['events', index, 'lists', at, 'mappings', position, 'column']),
      ),
    );
  });
}
