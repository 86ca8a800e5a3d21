// Holds an answer against the served OpenAPI document: its status is documented, its body has the documented shape, an
// error is a problem that says what and where. Answers what is wrong in sentences; none for an answer as promised.
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { Json, TestAnswer } from '../support/api.ts';
import type { Schema } from './from-schema.ts';

export interface Operation {
  method: string;
  /** With parameters in braces, as in the document. */
  path: string;
  access: 'public' | 'user' | 'admin' | 'internal';
  parameters: { name: string; in: 'path' | 'query' | 'header'; required: boolean; schema: Schema }[];
  /** Undefined where the operation takes no body, or any bytes. */
  body: Schema | undefined;
  takesBytes: boolean;
}

export interface Contract {
  readonly operations: readonly Operation[];
  /** Whether the document allows this body. */
  allows(operation: Operation, body: unknown): boolean;
  faultsOf(operation: Operation, answer: TestAnswer): string[];
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

function toOperation(path: string, method: string, told: Json): Operation {
  const content = told.requestBody?.content ?? {};
  return {
    method: method.toUpperCase(),
    path,
    access: told['x-access'] ?? (told.security.length === 0 ? 'public' : 'user'),
    parameters: told.parameters,
    body: content['application/json']?.schema,
    takesBytes: '*/*' in content,
  };
}

const escape = (part: string): string => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));

/** What every problem must be, whatever the document says of this one. */
function problemFaults({ status, body, headers }: TestAnswer, told: Json): string[] {
  const faults: string[] = [];
  if (headers.get('content-type') !== 'application/problem+json') return [`${status} is no problem+json`];
  if (body.status !== status) faults.push(`the problem says ${body.status}`);
  // A description is made of the codes that the operation may answer with this status.
  if (!String(told.description).includes(`${body.code}: `)) faults.push(`${body.code} is not documented`);
  const isNamed = Array.isArray(body.fields) && body.fields.length > 0;
  if (body.code === 'VALIDATION_FAILED' && !isNamed) faults.push('a failed validation names no field');
  if ((status === 429 || status === 503) && !/^\d+$/.test(headers.get('retry-after') ?? '')) {
    faults.push(`${status} does not say when to come back`);
  }
  return faults;
}

export function createContract(document: Json): Contract {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema({ $id: 'doorbuster', ...document });
  const operations = Object.entries<Json>(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => toOperation(path, method, item[method])),
  );
  const pointer = ({ path, method }: Operation): string => `doorbuster#/paths/${escape(path)}/${method.toLowerCase()}`;

  return {
    operations,
    allows: (operation, body) =>
      ajv.validate({ $ref: `${pointer(operation)}/requestBody/content/${escape('application/json')}/schema` }, body),

    faultsOf(operation, answer) {
      const { status, body, headers } = answer;
      const told = document.paths[operation.path][operation.method.toLowerCase()].responses[status];
      if (status >= 500) return [`a ${status}: ${JSON.stringify(body)}`];
      if (told === undefined) return [`${status} (${body?.code}) is not documented`];
      const faults = status >= 400 ? problemFaults(answer, told) : [];
      const [type = ''] = (headers.get('content-type') ?? '').split(';');
      const documented = Object.keys(told.content ?? {}).find((one) => one.split(';')[0] === type);
      if (documented === undefined) return [...faults, `${type} is not documented for ${status}`];
      if (!type.includes('json') || told.content[documented].schema === undefined) return faults;
      const ref = `${pointer(operation)}/responses/${status}/content/${escape(documented)}/schema`;
      // The document itself is told to be a string: it has no schema of its own.
      if (operation.path === '/openapi.json') return faults;
      return ajv.validate({ $ref: ref }, body) ? faults : [...faults, ajv.errorsText()];
    },
  };
}
