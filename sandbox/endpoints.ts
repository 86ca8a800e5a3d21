// The table of what the sandbox answers below /v1: method and path to a verb of the account. Pure dispatch: keys, planted
// failures, authorization and HTTP are the server's. A page with a publishable key may only reach its own intent.
import type { Account, Cause } from './account.ts';
import { Failure, invalidParameter, missingObject } from './failure.ts';
import { readCreatedFilter, readLimit, readRequired } from './form.ts';
import type { Form } from './form.ts';
import type { Intents } from './intents.ts';
import type { Refunds } from './refunds.ts';
import type { Answer, Intent, SandboxEvent } from './wire.ts';

export interface ApiRequest {
  method: string;
  path: string;
  form: Form;
  cause: Cause;
  /** True: the caller is a page with a publishable key, which must show the intent's client secret. */
  isPublic: boolean;
}

const page = (url: string, found: { data: unknown[]; hasMore: boolean }): Answer =>
  ok({ object: 'list', data: found.data, has_more: found.hasMore, url });
const ok = (body: unknown): Answer => ({ status: 200, body });

export function createEndpoints(account: Account, intents: Intents, refunds: Refunds) {
  const ownIntent = (request: ApiRequest, id: string): Intent => {
    const intent = intents.find(id);
    if (request.isPublic && request.form.get('client_secret') !== intent.client_secret) {
      const message = 'The client_secret provided does not match any associated PaymentIntent on this account.';
      throw invalidParameter('payment_intent_invalid_parameter', 'client_secret', message);
    }
    return intent;
  };
  const events = (form: Form): { data: SandboxEvent[]; hasMore: boolean } => {
    const isWanted = readCreatedFilter(form);
    const type = form.get('type');
    const keep = (event: SandboxEvent) => isWanted(event.created) && (type === undefined || event.type === type);
    return account.events.page({ limit: readLimit(form), startingAfter: form.get('starting_after'), keep });
  };
  const onIntent = (request: ApiRequest, id: string, verb: string | undefined): Answer | undefined => {
    const { form, cause, method } = request;
    if (method === 'GET' && verb === undefined) return ok(ownIntent(request, id));
    if (method === 'POST' && verb === 'confirm') return ok(intents.confirm(ownIntent(request, id).id, form, cause));
    if (method === 'POST' && verb === 'cancel' && !request.isPublic) return ok(intents.cancel(id, form, cause));
    return undefined;
  };
  const merchantOnly = ({ method, path, form, cause }: ApiRequest): Answer | undefined => {
    switch (`${method} ${path}`) {
      case 'POST /v1/payment_intents':
        return ok(intents.create(form, cause));
      case 'GET /v1/payment_intents':
        return page(path, intents.list(form));
      case 'GET /v1/payment_intents/search': {
        const data = intents.search(readRequired(form, 'query'), readLimit(form));
        return ok({ object: 'search_result', data, has_more: false, next_page: null, url: path });
      }
      case 'POST /v1/refunds':
        return ok(refunds.create(form, cause));
      case 'GET /v1/refunds':
        return page(path, refunds.list(form));
      case 'GET /v1/events':
        return page(path, events(form));
      default:
        return undefined;
    }
  };
  const oneOf = (kind: string, id: string): Answer => {
    if (kind === 'refunds') return ok(refunds.find(id));
    const found = kind === 'charges' ? account.charges.get(id) : account.events.get(id);
    if (found === undefined) throw missingObject(kind === 'charges' ? 'charge' : 'event', id, 'id');
    return ok(found);
  };

  return (request: ApiRequest): Answer => {
    const { method, path, isPublic } = request;
    const answer = isPublic ? undefined : merchantOnly(request);
    if (answer !== undefined) return answer;
    const [, , kind, id, verb, ...rest] = path.split('/');
    if (id !== undefined && rest.length === 0) {
      const onOne = kind === 'payment_intents' ? onIntent(request, id, verb) : undefined;
      if (onOne !== undefined) return onOne;
      const isReadable = kind === 'refunds' || kind === 'charges' || kind === 'events';
      if (method === 'GET' && isReadable && verb === undefined && !isPublic) return oneOf(kind, id);
    }
    const message = `Unrecognized request URL (${method}: ${path}).`;
    throw new Failure(404, { type: 'invalid_request_error', message });
  };
}
