import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newBuyer, openSale, startTestApi, type TestApi, tokenOf } from '../support/api.ts';

let api: TestApi;

beforeAll(async () => {
  api = await startTestApi();
  await api.api.attached;
});
afterAll(() => api?.close());

const buy = (saleId: string, token: string, body: unknown, headers: Record<string, string> = {}) =>
  api.call('POST', `/api/v1/sales/${saleId}/purchases`, { token, body, headers });

describe('buying over HTTP', () => {
  it('gives a hold with everything that is needed to pay', async () => {
    const { saleId, sku } = await openSale(api);
    const { token } = await newBuyer();
    const answer = await buy(saleId, token, { sku, quantity: 1 });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      status: 'RESERVED',
      saleId,
      sku,
      quantity: 1,
      ticket: 1,
      unitPrice: 499.5,
      totalAmount: 499.5,
      currency: 'INR',
    });
    expect(answer.body.purchaseId).toMatch(/^pur_0[0-7]/);
    expect(answer.body.orderId).toBe(answer.body.purchaseId.replace('pur_', 'ord_'));
    expect(Date.parse(answer.body.expiresAt)).toBeGreaterThan(Date.now() + 590_000);
    expect(answer.headers.get('location')).toBe(`/api/v1/purchases/${answer.body.purchaseId}`);
  });

  it('puts those who come later into the line, and tells when there is nothing left', async () => {
    const { saleId, sku } = await openSale(api, { stock: 1 });
    const [first, second, third, fourth] = await Promise.all([newBuyer(), newBuyer(), newBuyer(), newBuyer()]);
    expect((await buy(saleId, first.token, { sku })).status).toBe(201);
    const waiting = await buy(saleId, second.token, { sku });
    expect(waiting.status).toBe(202);
    expect(waiting.body).toMatchObject({ status: 'WAITING', ticket: 2, ahead: 0 });
    expect(waiting.body).toHaveProperty('estimatedWaitSeconds');
    expect((await buy(saleId, third.token, { sku })).status).toBe(202);
    const full = await buy(saleId, fourth.token, { sku });
    expect(full.status).toBe(409);
    expect(full.body.code).toBe('LINE_FULL');
    expect(Number(full.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('answers a retry with the same purchase, and another body with KEY_REUSED', async () => {
    const { saleId, sku } = await openSale(api, { perBuyerLimit: 3 });
    const { token } = await newBuyer();
    const headers = { 'idempotency-key': 'click-1' };
    const first = await buy(saleId, token, { sku, quantity: 1 }, headers);
    const again = await buy(saleId, token, { sku, quantity: 1 }, headers);
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(again.body.purchaseId).toBe(first.body.purchaseId);
    const other = await buy(saleId, token, { sku, quantity: 2 }, headers);
    expect([other.status, other.body.code]).toEqual([422, 'KEY_REUSED']);
    const someoneElse = await newBuyer();
    const theirs = await buy(saleId, someoneElse.token, { sku, quantity: 1 }, headers);
    expect(theirs.body.purchaseId).not.toBe(first.body.purchaseId);
  });

  it('keeps to the limit per buyer and names the live purchase', async () => {
    const { saleId, sku } = await openSale(api);
    const { token } = await newBuyer();
    const first = await buy(saleId, token, { sku });
    const second = await buy(saleId, token, { sku });
    expect([second.status, second.body.code]).toEqual([409, 'LIMIT_EXCEEDED']);
    expect(second.body.purchaseId).toBe(first.body.purchaseId);
  });

  it('refuses while paused and after the close', async () => {
    const { saleId, sku } = await openSale(api);
    const admin = await tokenOf('u_operator', 'ADMIN');
    const { token } = await newBuyer();
    await api.call('POST', `/api/v1/sales/${saleId}/pause`, { token: admin });
    expect((await buy(saleId, token, { sku })).body.code).toBe('SALE_PAUSED');
    await api.call('POST', `/api/v1/sales/${saleId}/close`, { token: admin });
    expect((await buy(saleId, token, { sku })).body.code).toBe('SALE_CLOSED');
    expect((await buy(saleId, token, { sku }, { 'idempotency-key': 'late' })).body.code).toBe('SALE_CLOSED');
  });

  it('shows a purchase to its owner only', async () => {
    const { saleId, sku } = await openSale(api);
    const [owner, other] = [await newBuyer(), await newBuyer()];
    const { body } = await buy(saleId, owner.token, { sku });
    const path = `/api/v1/purchases/${body.purchaseId}`;
    expect((await api.call('GET', path, { token: owner.token })).body).toMatchObject({
      purchaseId: body.purchaseId,
      status: 'RESERVED',
    });
    for (const method of ['GET', 'DELETE']) {
      const refused = await api.call(method, path, { token: other.token });
      expect([refused.status, refused.body.code]).toEqual([404, 'PURCHASE_NOT_FOUND']);
    }
    expect((await api.call('GET', path)).status).toBe(401);
    const stillThere = await api.call('GET', path, { token: owner.token });
    expect(stillThere.body.status).toBe('RESERVED');
  });

  it('gives a hold back to the next in line, and says the same when repeated', async () => {
    const { saleId, sku } = await openSale(api, { stock: 1 });
    const [first, second] = [await newBuyer(), await newBuyer()];
    const held = await buy(saleId, first.token, { sku });
    const waiting = await buy(saleId, second.token, { sku });
    const path = `/api/v1/purchases/${held.body.purchaseId}`;
    for (let times = 0; times < 2; times += 1) {
      const released = await api.call('DELETE', path, { token: first.token });
      expect([released.status, released.body.status]).toEqual([200, 'CANCELLED']);
    }
    await expect
      .poll(
        async () =>
          (await api.call('GET', `/api/v1/purchases/${waiting.body.purchaseId}`, { token: second.token })).body.status,
      )
      .toBe('RESERVED');
  });
});
