// The API as an operator calls it: JSON in and out, an admin token made on the spot, and patience with a busy system.
// Whatever it refuses is told in the API's own words.
import { sleep } from '../../core/clock.ts';
import { OPS_API_TRIES } from '../constants.ts';
import { messageOf } from '../../core/errors.ts';
import { mintTokens } from '../tokens/mint.ts';
import { findApi } from './system-address.ts';
import { OpsFailure } from './verb.ts';

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface Api {
  readonly url: string;
  get(path: string): Promise<ApiAnswer>;
  /** The key makes a repetition harmless; the call is repeated by itself when its outcome is unknown. */
  post(path: string, body: unknown, idempotencyKey?: string): Promise<ApiAnswer>;
}

interface Problem {
  code?: string;
  detail?: string;
  title?: string;
  fields?: readonly { field: string; message: string }[];
  saleId?: unknown;
  [member: string]: unknown;
}

/** `userId` is who the changes are recorded under. */
export async function openApi(url: string | undefined, userId = 'u_ops'): Promise<Api> {
  const { apiUrl, jwtSecret } = findApi(url);
  const [token = ''] = await mintTokens([userId], 'ADMIN', jwtSecret);

  async function send(method: string, path: string, body?: unknown, key?: string): Promise<ApiAnswer> {
    for (let tries = 1; ; tries++) {
      const response = await request(`${apiUrl}/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const isLater = response.status === 429 || response.status === 503;
      // Without a key a change that may have happened is not sent twice.
      const mayRepeat = method === 'GET' || key !== undefined;
      if (!isLater || !mayRepeat || tries >= OPS_API_TRIES) return read(response, `${method} ${path}`);
      await response.body?.cancel();
      await sleep(1_000 * Number(response.headers.get('retry-after') ?? 1));
    }
  }

  return {
    url: apiUrl,
    get: (path) => send('GET', path),
    post: (path, body, key) => send('POST', path, body, key),
  };
}

async function request(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
    throw new OpsFailure(
      `the API at ${new URL(url).origin} cannot be reached (${cause}); start it with npm start, or give --url`,
    );
  }
}

async function read(response: Response, call: string): Promise<ApiAnswer> {
  const text = await response.text();
  const body = parse(text);
  if (response.ok) return { status: response.status, body };
  // What is not a problem document comes from something between us and the API.
  const problem: Problem = typeof body === 'object' && body !== null ? { ...body } : {};
  const fields = (problem.fields ?? []).map(({ field, message }) => `${field} ${message}`).join('; ');
  const said = problem.detail ?? problem.title ?? text.slice(0, 200);
  const message = `${said || `${call} was answered ${response.status}`}${fields === '' || said.includes(fields) ? '' : ` (${fields})`}`;
  const saleId = typeof problem.saleId === 'string' && !message.includes(problem.saleId) ? ` (${problem.saleId})` : '';
  throw new OpsFailure(`${message}${saleId}`, { ...problem, status: response.status });
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
