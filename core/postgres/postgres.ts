// Postgres: a typed pool. BIGINT comes as a number (a value that is not safe throws), TIMESTAMPTZ as a Date.
// Every statement has a time-out, and a connection of doubtful state never goes back into the pool.
// Which error means "again later" and which "the data is wrong" is decided here, once.
import pg from 'pg';
import {
  IDLE_IN_TRANSACTION_TIMEOUT_MS,
  LOCK_TIMEOUT_MS,
  POSTGRES_CONNECT_TIMEOUT_MS,
  POSTGRES_IDLE_MS,
  QUERY_TIMEOUT_MS,
  STATEMENT_TIMEOUT_MS,
} from '../constants.ts';
import { CodedError } from '../errors.ts';
import type { Log } from '../log.ts';
import { copyIn, isCopy } from './copy.ts';

export interface Queryable {
  /** A `COPY … FROM STDIN (FORMAT binary)` takes its rows as its one value (copy.ts). */
  query<R extends object = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ rows: R[]; rowCount: number }>;
}

export interface Postgres extends Queryable {
  /** Commits what `work` did with `tx`, or nothing. `tx` is of no use afterwards. */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const INT8 = 20;
const NUMERIC = 1700; // what sum(bigint) gives

export function openPostgres(url: string, options: { max: number; name: string; log?: Log }): Postgres {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max,
    application_name: options.name,
    connectionTimeoutMillis: POSTGRES_CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: POSTGRES_IDLE_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    keepAlive: true,
    types: { getTypeParser },
  });
  // Without these two a connection that the server ends, idle or checked out, would end the process.
  const report = (error: Error) => options.log?.warn({ reason: error.message }, 'a Postgres connection was lost');
  pool.on('error', report);
  pool.on('connect', (client) => client.on('error', report));

  async function query<R extends object>(text: string, values?: readonly unknown[]) {
    const client = await pool.connect();
    let isBroken = true;
    try {
      const answer = await run<R>(client, text, values);
      isBroken = false;
      return answer;
    } catch (error) {
      isBroken = isConnectionDoubtful(error);
      throw error;
    } finally {
      client.release(isBroken);
    }
  }

  async function transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    const client = await pool.connect();
    let isBroken = true;
    let isOpen = true;
    const tx: Queryable = {
      query: (text, values) => {
        if (!isOpen) return Promise.reject(new Error('The transaction has ended'));
        return run(client, text, values);
      },
    };
    try {
      await client.query('BEGIN');
      const value = await work(tx);
      isOpen = false;
      const { command } = await client.query('COMMIT');
      isBroken = false;
      // Postgres answers COMMIT of a failed transaction with ROLLBACK and no error: the work swallowed one.
      if (command !== 'COMMIT') throw new Error('The transaction was rolled back: a failed statement was ignored');
      return value;
    } catch (error) {
      isOpen = false;
      if (isBroken && !isConnectionDoubtful(error)) isBroken = !(await rollBack(client));
      throw error;
    } finally {
      client.release(isBroken);
    }
  }

  return { query, transaction, close: () => pool.end() };
}

async function run<R extends object>(client: pg.PoolClient, text: string, values: readonly unknown[] | undefined) {
  if (isCopy(text)) return { rows: [], rowCount: await copyIn(client, text, values?.[0]) };
  // Without values the simple protocol is used, which takes several statements (migrations).
  const result = await (values === undefined ? client.query(text) : client.query(text, [...values]));
  const last = Array.isArray(result) ? result.at(-1) : result;
  // The driver cannot know a row's shape; the caller states it beside its SQL.
  return { rows: (last?.rows ?? []) as R[], rowCount: last?.rowCount ?? 0 };
}

async function rollBack(client: pg.PoolClient): Promise<boolean> {
  try {
    await client.query('ROLLBACK');
    return true;
  } catch {
    return false; // the connection is dropped, which rolls back as well
  }
}

/** True: the work may be tried again as it is. False: the statement or its data is wrong, and will be next time. */
export function isInfrastructureError(error: unknown): boolean {
  if (error instanceof CodedError)
    return error.status === 503 || error.status === 429 || isInfrastructureError(error.cause);
  if (!(error instanceof Error)) return false;
  const code = codeOf(error);
  if (code !== undefined && (INFRASTRUCTURE_CLASSES.has(code.slice(0, 2)) || INFRASTRUCTURE_CODES.has(code)))
    return true;
  if (DRIVER_MESSAGES.some((text) => error.message.includes(text))) return true;
  if (error instanceof AggregateError) return error.errors.some(isInfrastructureError);
  return error.cause !== undefined && isInfrastructureError(error.cause);
}

// SQLSTATE classes: connection, credentials (a password was changed, and not here yet), insufficient resources, operator
// intervention (time-outs too), system error.
const INFRASTRUCTURE_CLASSES = new Set(['08', '28', '53', '57', '58']);
const INFRASTRUCTURE_CODES = new Set([
  '25006', // read-only transaction: a failover is under way
  '25P03', // idle in transaction for too long: this process was stopped
  '3D000', // the database is not there: it is being restored
  '40001', // serialization failure
  '40P01', // deadlock
  '42501', // a privilege is missing: the role's fault, never the row's
  '55P03', // a lock was not granted in time
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);
// The drivers, pg and ioredis, have no code for these.
const DRIVER_MESSAGES = [
  'Connection terminated',
  'timeout exceeded when trying to connect',
  'Query read timeout',
  'is not queryable',
  'Cannot use a pool after calling end',
  'Connection is closed',
  'connection close',
  "Stream isn't writeable",
  'max retries per request',
  'LOADING Redis',
];

/** After an answer of the server the connection is sound; after anything else nobody knows what is still on it. */
function isConnectionDoubtful(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || ['08', '57', '58'].includes((error.code ?? '').slice(0, 2));
}

function codeOf(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function getTypeParser(oid: number, format?: 'text' | 'binary') {
  if (format !== 'binary' && (oid === INT8 || oid === NUMERIC)) return parseSafeNumber;
  return pg.types.getTypeParser(oid, format ?? 'text');
}

function parseSafeNumber(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && !Number.isSafeInteger(value))
    throw new RangeError(`${text} is too large for a number`);
  return value;
}
