// The shop, composed for the API: every slice is made here with what it needs, and their endpoints are gathered.
// The workers compose the few parts that do their jobs themselves (workers/work.ts).
import type { Counter } from '../actors/sku-actor.ts';
import type { StockFeed } from '../actors/stock-feed.ts';
import type { StockStore } from '../actors/stock-store.ts';
import type { Clock } from '../core/clock.ts';
import type { RuntimeConfig } from '../core/config.ts';
import type { Log } from '../core/log.ts';
import type { Postgres } from '../core/postgres/postgres.ts';
import type { JobQueue } from '../core/queue/queue.ts';
import { createAuditView } from './admin/audit-view.ts';
import { createDeadLetters } from './admin/dead-letters.ts';
import { auditRoutes } from './admin/routes.ts';
import { deadLetterRoutes } from './admin/routes-dead.ts';
import { createSkuBlocks } from './admin/sku-blocks.ts';
import type { JobMap } from './job-map.ts';
import { createOrders, type Orders } from './orders/orders.ts';
import { orderRoutes } from './orders/routes.ts';
import { createPaymentGateway, createPayments, type Payments, startsPerSecond } from './payments/payments.ts';
import { createPaymentRoutes } from './payments/routes.ts';
import { paymentAdminRoutes } from './payments/routes-admin.ts';
import type { Route } from './route.ts';
import { createInventory, type Inventory } from './sales/inventory.ts';
import { createPurchases, type Purchases } from './sales/purchases.ts';
import { saleRoutes } from './sales/routes.ts';
import { inventoryRoutes } from './sales/routes-inventory.ts';
import { purchaseRoutes } from './sales/routes-purchases.ts';
import { createSales, type Sales } from './sales/sales.ts';

export interface ShopDependencies {
  config: Pick<RuntimeConfig, 'stripe'>;
  postgres: Postgres;
  stock: StockStore;
  counter: Counter;
  feed: StockFeed;
  queue: JobQueue<JobMap>;
  clock: Clock;
  log: Log;
}

export interface Shop {
  readonly sales: Sales;
  readonly purchases: Purchases;
  readonly inventory: Inventory;
  readonly orders: Orders;
  readonly payments: Payments;
  readonly routes: readonly Route[];
}

export function createShop(dependencies: ShopDependencies): Shop {
  const { config, postgres, stock, counter, feed, queue, clock, log } = dependencies;
  const gateway = createPaymentGateway(config.stripe);
  const payments = createPayments({
    postgres,
    stock,
    gateway,
    queue,
    feed,
    startsPerSecond: startsPerSecond(config.stripe),
    log,
    clock,
  });
  const sales = createSales({ postgres, stock, clock, log });
  const purchases = createPurchases({
    postgres,
    stock,
    counter,
    paymentOf: payments.lookup,
    onPaymentWanted: payments.onPaymentWanted,
    log,
  });
  const inventory = createInventory({ postgres, stock, clock });
  const orders = createOrders({ postgres, stock, queue });
  return {
    sales,
    purchases,
    inventory,
    orders,
    payments,
    routes: [
      ...saleRoutes(sales),
      ...purchaseRoutes(purchases),
      ...inventoryRoutes(inventory),
      ...orderRoutes(orders),
      ...createPaymentRoutes({ payments, stock }),
      ...paymentAdminRoutes(payments),
      ...deadLetterRoutes(createDeadLetters({ postgres, records: orders.dead, events: payments.dead, queue, stock })),
      ...auditRoutes({
        audits: createAuditView({ postgres, stock, clock }),
        blocks: createSkuBlocks({ postgres, stock, log }),
      }),
    ],
  };
}
