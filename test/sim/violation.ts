// What a check throws: which rule was broken, and how it shows.
export type Rule =
  | 'conservation'
  | 'order'
  | 'limit'
  | 'once'
  | 'acknowledged'
  | 'sold-out'
  | 'idle-units'
  | 'hold-ends'
  | 'records'
  | 'money'
  | 'postgres'
  | 'rest'
  | 'answers';

export class Violation extends Error {
  override readonly name = 'Violation';
  readonly rule: Rule;

  constructor(rule: Rule, message: string) {
    super(`${rule}: ${message}`);
    this.rule = rule;
  }
}

export function mustHold(condition: boolean, rule: Rule, message: () => string): asserts condition {
  if (!condition) throw new Violation(rule, message());
}
