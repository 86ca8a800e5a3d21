// The OpenAPI 3.1 document, generated from the one table of routes: what is served is what is described.
// Shapes come from the same zod schemas that validate; nothing is written twice.
import { type ZodType, z } from 'zod';
import { ERRORS, type ErrorCode } from '../core/errors.ts';
import type { Route } from '../shop/route.ts';
import { isLimited } from './gatekeeper.ts';
import { PROBLEM_TYPE } from './problem.ts';
import { problemSchema } from './wire.ts';

type Json = Record<string, unknown>;

function toSchema(schema: ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

/** The members of an object schema; empty for anything else. */
function membersOf(schema: ZodType | undefined): { properties: Record<string, Json>; required: readonly string[] } {
  if (schema === undefined) return { properties: {}, required: [] };
  const { properties, required } = toSchema(schema, 'input');
  // JSON Schema gives these two their types.
  return { properties: (properties ?? {}) as Record<string, Json>, required: (required ?? []) as string[] };
}

function parametersOf(route: Route): Json[] {
  const inPath = membersOf(route.params).properties;
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
  const query = membersOf(route.query);
  const parameters: Json[] = [
    ...names.map((name) => ({ name, in: 'path', required: true, schema: inPath[name] ?? { type: 'string' } })),
    ...Object.entries(query.properties).map(([name, schema]) => ({
      name,
      in: 'query',
      required: query.required.includes(name),
      schema,
    })),
    ...route.headers.map((name) => ({ name, in: 'header', required: false, schema: { type: 'string' } })),
  ];
  if (route.takesIdempotencyKey) {
    const description = 'The same key gets the first answer again; another body under it is refused (KEY_REUSED).';
    const schema = { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]+$' };
    parameters.push({ name: 'Idempotency-Key', in: 'header', required: false, description, schema });
  }
  return parameters;
}

/** What the door may answer in a route's place, besides the route's own codes. */
function codesOf(route: Route): ErrorCode[] {
  const codes: ErrorCode[] = [
    ...route.errors,
    'BAD_REQUEST',
    'INTERNAL',
    'UNAVAILABLE',
    'SHUTTING_DOWN',
    'OUTCOME_UNKNOWN',
  ];
  if (isLimited(route.path)) codes.push('RATE_LIMITED');
  if (route.access !== 'public') codes.push('UNAUTHENTICATED', 'TOKEN_EXPIRED');
  if (route.access === 'admin' || route.access === 'internal') codes.push('FORBIDDEN');
  if (route.params !== undefined) codes.push('NOT_FOUND');
  if (route.query !== undefined || route.body !== undefined) codes.push('VALIDATION_FAILED');
  if (route.bodyKind !== 'none') codes.push('BODY_TOO_LARGE', 'REQUEST_TIMEOUT');
  if (route.bodyKind === 'json') codes.push('INVALID_JSON', 'UNSUPPORTED_MEDIA_TYPE');
  return [...new Set(codes)];
}

const RETRY_AFTER = { description: 'Seconds', schema: { type: 'integer', minimum: 1 } };

/** What is not final tells when to come back. */
function saysWhen(status: number, codes: readonly ErrorCode[]): boolean {
  return status === 429 || status === 503 || codes.includes('LINE_FULL');
}

function errorResponses(route: Route): Record<string, Json> {
  const byStatus = Map.groupBy(codesOf(route), (code) => ERRORS[code].status);
  const responses: Record<string, Json> = {};
  for (const [status, codes] of byStatus) {
    responses[String(status)] = {
      description: codes.map((code) => `${code}: ${ERRORS[code].title}`).join('. '),
      ...(saysWhen(status, codes) ? { headers: { 'Retry-After': RETRY_AFTER } } : {}),
      content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
    };
  }
  return responses;
}

function replyResponses(route: Route): Record<string, Json> {
  const responses: Record<string, Json> = {};
  for (const [status, reply] of Object.entries(route.replies)) {
    const contentType = reply.contentType ?? (reply.schema === undefined ? undefined : 'application/json');
    const schema = reply.schema === undefined ? { type: 'string' } : toSchema(reply.schema, 'output');
    const content = contentType === undefined ? {} : { content: { [contentType]: { schema } } };
    responses[status] = { description: reply.description, ...content };
  }
  return responses;
}

function toOperation(route: Route): Json {
  const operation: Json = {
    operationId: `${route.method.toLowerCase()}${route.path
      .replace(/^\/api\/v1/, '')
      .replace(/\W+(\w)/g, (_, c: string) => c.toUpperCase())
      .replace(/\W/g, '')}`,
    summary: route.summary,
    tags: [route.tag],
    security: route.access === 'public' ? [] : [{ bearer: [] }],
    parameters: parametersOf(route),
    // A status may be both an answer and an error (a readiness of 503): the answer's own shape is the one that is documented.
    responses: { ...errorResponses(route), ...replyResponses(route) },
  };
  if (route.access === 'admin' || route.access === 'internal') operation['x-access'] = route.access;
  if (route.bodyKind === 'json' && route.body !== undefined) {
    const content = { 'application/json': { schema: toSchema(route.body, 'input') } };
    operation['requestBody'] = { required: !route.isBodyOptional, content };
  }
  if (route.bodyKind === 'raw') operation['requestBody'] = { required: true, content: { '*/*': { schema: {} } } };
  return operation;
}

/** Built once, at the start: a schema that cannot be described fails there and not at the first reader. */
export function createOpenApi(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const item = paths[route.path] ?? {};
    item[route.method.toLowerCase()] = toOperation(route);
    paths[route.path] = item;
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Doorbuster',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: 'Sells exactly the units there are, in the order people came. Live updates: WebSocket at /ws.',
    },
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: { Problem: toSchema(problemSchema, 'output') },
    },
  };
}
