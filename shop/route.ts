/**
 * What an endpoint is: a plain value that a slice exports and api/routes.ts collects into the one table.
 * It knows neither uWebSockets.js nor the way a request is authenticated or answered: api/ does that, once, for all.
 * A handler returns a RouteReply for every expected outcome and throws a CodedError (core/errors.ts) for a fault.
 */
import type { ZodType, ZodUndefined, z } from 'zod';
import { type ErrorCode, ERRORS } from '../core/errors.ts';
import type { Later } from '../core/later.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** `user` is anyone with a valid token; `internal` is ADMIN or INTERNAL. A bad token on a public route is no token. */
export type Access = 'public' | 'user' | 'admin' | 'internal';

export type Role = 'USER' | 'ADMIN' | 'INTERNAL';

export interface Caller {
  userId: string;
  role: Role;
}

/** What every handler gets, whatever its schemas. */
export interface RequestContext {
  caller: Caller | undefined;
  /** The `Idempotency-Key` header: 1 to 255 visible ASCII characters, already checked. */
  idempotencyKey: string | undefined;
  /** The body as it came over the wire; empty unless the route's `bodyKind` is 'raw'. */
  rawBody: Buffer;
  /** Only the headers that the route names in `headers`. */
  headers: { get(name: string): string | undefined };
  /** Without the query string. */
  path: string;
  /** The client's address, on public routes; '' where a token says who asks. */
  address: string;
  requestId: string;
  /** Milliseconds since the epoch; after it nobody waits for the answer. */
  deadlineAt: number;
  /** The client has gone away: what is not begun need not be. */
  isAbandoned?: (() => boolean) | undefined;
}

export interface RouteRequest<A extends Access, Params, Query, Body> extends RequestContext {
  caller: A extends 'public' ? Caller | undefined : Caller;
  params: Params;
  query: Query;
  body: Body;
}

/** An expected "no", as a value: to throw it would cost more than the rest of the answer. A crowd gets mostly these. */
export interface Refusal {
  code: ErrorCode;
  /** The title of the code when absent. */
  detail?: string | undefined;
  retryAfterSeconds?: number | undefined;
  /** Members of the answer beside the usual ones. */
  members?: Readonly<Record<string, unknown>> | undefined;
}

export interface RouteReply {
  status: number;
  /** Sent as a problem, like a fault; see `refuse`. */
  refusal?: Refusal;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, with `contentType` (text/plain when absent); never together with `body`. */
  text?: string;
  contentType?: string;
  headers?: Record<string, string>;
}

export function refuse(refusal: Refusal): RouteReply {
  return { status: ERRORS[refusal.code].status, refusal };
}

export interface ReplyDescription {
  description: string;
  /** Of the JSON body; absent where the reply has none, or is text. */
  schema?: ZodType;
  contentType?: string;
}

/** What api/ dispatches to. The schemas have already narrowed the values that `handle` is given. */
export interface Route {
  method: Method;
  /** From the root, with parameters in braces: `/api/v1/sales/{saleId}`. */
  path: string;
  summary: string;
  tag: string;
  access: Access;
  params: ZodType | undefined;
  query: ZodType | undefined;
  body: ZodType | undefined;
  bodyKind: 'json' | 'raw' | 'none';
  /** Whether an absent body is read as `{}` instead of refused. */
  isBodyOptional: boolean;
  /** Many send the very same body: what was read of it is shared among their requests, so it is flat and stays as it is. */
  hasCommonBody: boolean;
  /** Whether `Idempotency-Key` means something here (documentation; the header is checked everywhere). */
  takesIdempotencyKey: boolean;
  /** Lower-case names of the request headers that the handler reads. */
  headers: readonly string[];
  replies: Record<number, ReplyDescription>;
  errors: readonly ErrorCode[];
  handle(
    request: RouteRequest<Access, unknown, unknown, unknown>,
  ): RouteReply | Promise<RouteReply> | Later<RouteReply>;
}

export interface RouteDefinition<A extends Access, P extends ZodType, Q extends ZodType, B extends ZodType> {
  method: Method;
  path: string;
  summary: string;
  tag: string;
  access: A;
  params?: P;
  query?: Q;
  body?: B;
  /** 'json' where there is a body schema, else 'none'. */
  bodyKind?: 'json' | 'raw' | 'none';
  isBodyOptional?: boolean;
  hasCommonBody?: boolean;
  takesIdempotencyKey?: boolean;
  headers?: readonly string[];
  replies: Record<number, ReplyDescription>;
  errors?: readonly ErrorCode[];
  handle(
    request: RouteRequest<A, z.output<P>, z.output<Q>, z.output<B>>,
  ): RouteReply | Promise<RouteReply> | Later<RouteReply>;
}

/** Infers the handler's types from the schemas. */
export function defineRoute<
  A extends Access,
  P extends ZodType = ZodUndefined,
  Q extends ZodType = ZodUndefined,
  B extends ZodType = ZodUndefined,
>(definition: RouteDefinition<A, P, Q, B>): Route {
  return {
    method: definition.method,
    path: definition.path,
    summary: definition.summary,
    tag: definition.tag,
    access: definition.access,
    params: definition.params,
    query: definition.query,
    body: definition.body,
    bodyKind: definition.bodyKind ?? (definition.body === undefined ? 'none' : 'json'),
    isBodyOptional: definition.isBodyOptional ?? false,
    hasCommonBody: definition.hasCommonBody ?? false,
    takesIdempotencyKey: definition.takesIdempotencyKey ?? false,
    headers: definition.headers ?? [],
    replies: definition.replies,
    errors: definition.errors ?? [],
    // Wider on paper than in truth: dispatch parses with these very schemas and checks `access` before it calls.
    handle: definition.handle,
  };
}
