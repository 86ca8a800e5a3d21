// The one table: every endpoint that this server has, in one list. Dispatch, the OpenAPI document and the tests read it.
import type { Route } from '../shop/route.ts';
import type { Shop } from '../shop/shop.ts';
import { guestRoutes } from './guests.ts';
import { createOpenApi } from './openapi.ts';
import { type PageOptions, pageRoutes } from './page.ts';
import { systemRoutes } from './system-routes.ts';
import type { Readiness } from './wire.ts';

export const API_VERSION = '1.0.0';

export interface RouteTableDependencies {
  shop: Pick<Shop, 'routes'>;
  checkReadiness(): Promise<Readiness>;
  guests: Parameters<typeof guestRoutes>[0];
  page: PageOptions;
}

export function createRoutes({ shop, checkReadiness, guests, page }: RouteTableDependencies): Route[] {
  const routes: Route[] = [
    ...shop.routes,
    ...guestRoutes(guests),
    ...systemRoutes({ checkReadiness, openApi: () => document }),
    ...pageRoutes(page),
  ];
  const document = createOpenApi(routes, API_VERSION);
  return routes;
}
