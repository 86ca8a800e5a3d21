// Tuned numbers that only the scripts know: how `npm start` watches over its processes, and what the operators' tools take at a
// time. As in core/constants.ts, each has its unit in its name and its reason beside it; what a lower floor needs is there.

const SECOND_MS = 1_000;

// --- Processes --------------------------------------------------------------------------------------------------

/** A process that died is started again after this pause, doubled at each further death, up to the second. */
export const RESTART_PAUSE_MS = 100;
export const RESTART_PAUSE_MAX_MS = 2 * SECOND_MS;
/** A process that lived this long is a healthy one: its next death starts again at the short pause. */
export const RESTART_FORGIVEN_AFTER_MS = 10 * SECOND_MS;
/** Deaths before it was ever ready, after which a start is given up: it is not going to work. */
export const START_ATTEMPTS_MAX = 3;
/** From the start of a process to its word that it is ready. */
export const READY_LIMIT_MS = 60 * SECOND_MS;
/** How long `npm start` waits for GET /readyz before it says what it waits for. */
export const READINESS_PATIENCE_MS = 5 * SECOND_MS;
/** Young generation of V8, a half of it, in API and workers. What a batch makes dies with it: at 64 instead of 16 a purchase cost the API
 *  32 us instead of 38 and the workers 9 instead of 12, for 100 MB more of memory each. */
export const SEMI_SPACE_MB = 64;
/** A second Ctrl-C sooner than this is the first one, handed on by npm as well as by the terminal. */
export const SECOND_SIGNAL_AFTER_MS = 1 * SECOND_MS;
/** After SIGKILL a process is gone as soon as the system has time for it. */
export const PROCESS_KILL_LIMIT_MS = 2 * SECOND_MS;
/** Of the machine's memory, for the private Redis: the other half is for Postgres, Node and a rewrite of the append-only file. */
export const LOCAL_REDIS_MEMORY_SHARE = 0.5;
/** How soon `npm start` notices that npm is gone. */
export const PARENT_WATCH_MS = 500;

// --- Operators' tools -------------------------------------------------------------------------------------------

/** Rows of a stock file that one worker thread checks at a time: some ms, so that the progress moves and workers share. */
export const SEED_CHUNK_ROWS = 5_000;
/** Errors of a stock file that are listed; their number is always told. */
export const SEED_ERRORS_MAX = 50;
/** Calls to the API that a stock file keeps in flight. */
export const SEED_PARALLEL_CALLS = 8;
/** Tokens that one worker thread signs at a time: 2,000 take it about 50 ms. */
export const TOKEN_CHUNK = 2_000;
/** Fewer tokens than this are signed here: a thread costs more to start. */
export const TOKEN_POOL_MIN = 1_000;
/** Tries of an operator's call while the system says "later": with its Retry-After of a second, about 20 s. */
export const OPS_API_TRIES = 20;
