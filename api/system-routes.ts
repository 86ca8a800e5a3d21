// The endpoints about the process itself: alive, ready, metrics, the document of the API. They are in the table like all others.
import { METRICS_CONTENT_TYPE, renderMetrics } from '../core/metrics.ts';
import { defineRoute, type Route } from '../shop/route.ts';
import { livenessSchema, type Readiness, readinessSchema } from './wire.ts';

const TAG = 'System';

export interface SystemDependencies {
  checkReadiness(): Promise<Readiness>;
  /** Called when asked, because the document describes this route too. */
  openApi(): unknown;
}

export function systemRoutes(dependencies: SystemDependencies): Route[] {
  const live = defineRoute({
    method: 'GET',
    path: '/livez',
    summary: 'Whether the process answers at all',
    tag: TAG,
    access: 'public',
    replies: { 200: { description: 'It does', schema: livenessSchema } },
    handle: () => ({ status: 200, body: { status: 'live' } }),
  });

  const ready = defineRoute({
    method: 'GET',
    path: '/readyz',
    summary: 'Whether purchases can be taken: Redis and Postgres are there and Redis is trusted',
    tag: TAG,
    access: 'public',
    replies: {
      200: { description: 'Ready', schema: readinessSchema },
      503: { description: 'Not ready, and why', schema: readinessSchema },
    },
    async handle() {
      const readiness = await dependencies.checkReadiness();
      if (readiness.status === 'ready') return { status: 200, body: readiness };
      return { status: 503, body: readiness, headers: { 'retry-after': '1' } };
    },
  });

  const metrics = defineRoute({
    method: 'GET',
    path: '/metrics',
    summary: 'Metrics of the one process that answers, for Prometheus; the label pid says which',
    tag: TAG,
    access: 'public',
    replies: { 200: { description: 'Prometheus text format', contentType: METRICS_CONTENT_TYPE } },
    async handle() {
      return { status: 200, text: await renderMetrics(), contentType: METRICS_CONTENT_TYPE };
    },
  });

  const document = defineRoute({
    method: 'GET',
    path: '/openapi.json',
    summary: 'This document',
    tag: TAG,
    access: 'public',
    replies: { 200: { description: 'OpenAPI 3.1', contentType: 'application/json' } },
    handle: () => ({ status: 200, body: dependencies.openApi() }),
  });

  return [live, ready, metrics, document];
}
