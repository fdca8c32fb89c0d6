import { reason } from '../storage/reasons.js';
import { careOf, type ChangeMarks, type GoalTriggers } from './goals-that-care.js';

const nothing: ChangeMarks = {
  written: [],
  changed: [],
  segments: [],
  identities: false,
  consent: false,
  erased: false,
};
const goal: GoalTriggers = {
  propertyIds: new Set([1, 2]),
  segmentIds: new Set(['mapped']),
  suppressSameValue: false,
  readsConsent: false,
};

describe('a goal cares for', () => {
  it.each<readonly [string, Partial<GoalTriggers>, Partial<ChangeMarks>, number]>([
    ['a mapped segment that changed', {}, { segments: ['other', 'mapped'] }, reason.segment],
    ['an identity that came or went', {}, { identities: true }, reason.identity],
    ['a mapped property that was written with the value it had', {}, { written: [3, 2] }, reason.attribute],
    ['a mapped property that was changed', {}, { changed: [1] }, reason.attribute],
    ['a changed one where same values are suppressed', { suppressSameValue: true }, { changed: [1] }, reason.attribute],
    ['consent where it reads consent', { readsConsent: true }, { consent: true }, reason.consent],
    [
      'an erasure, whatever else happened',
      {},
      { erased: true, segments: ['mapped'], identities: true },
      reason.erasure,
    ],
    [
      'several things at once',
      {},
      { segments: ['mapped'], written: [1], identities: true },
      reason.segment | reason.identity | reason.attribute,
    ],
  ])('%s', (_, triggers, marks, reasons) => {
    expect(careOf({ ...goal, ...triggers }, { ...nothing, ...marks }).reasons).toBe(reasons);
  });

  it('names the mapped segments among those that changed, of an erased profile too', () => {
    expect(careOf(goal, { ...nothing, segments: ['other', 'mapped'] }).segments).toEqual(['mapped']);
    expect(careOf(goal, { ...nothing, erased: true, segments: ['mapped', 'other'] }).segments).toEqual(['mapped']);
  });
});

describe('a goal does not care for', () => {
  it.each<readonly [string, Partial<GoalTriggers>, Partial<ChangeMarks>]>([
    ['an unmapped segment', {}, { segments: ['other'] }],
    ['an unmapped property', {}, { written: [3], changed: [4] }],
    ['a same value where those are suppressed', { suppressSameValue: true }, { written: [1] }],
    ['consent where it reads none', {}, { consent: true }],
    ['nothing', {}, {}],
  ])('%s', (_, triggers, marks) => {
    expect(careOf({ ...goal, ...triggers }, { ...nothing, ...marks }).reasons).toBe(0);
  });
});
