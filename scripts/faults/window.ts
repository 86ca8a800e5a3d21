// The windows of the relay in which a worker process can be made to die, and where the dying one reads which it is.

/** In the data directory: `{ step, pass }`. */
export const WINDOW_FILE = 'dying-window.json';

export const WINDOWS = [
  ['relay.read', 'after the relay read the outbox, before it made jobs of it'],
  ['relay.added', 'after the relay made jobs of what it read'],
  ['apply.read', 'after a job read its entries, before the transaction'],
  ['apply.committed', 'after the commit, before the follow-up jobs'],
  ['apply.enqueued', 'after the follow-up jobs, before the entries leave the outbox'],
  ['apply.acknowledged', 'after the entries left the outbox'],
] as const;
