import { describe, expect, it } from 'vitest';
import { constantsOf, putConstants } from '../../core/redis/lua-constants.ts';

const lines = [
  'local TICKET, SKU = 7, 5',
  'local PAGE = 64 -- a page',
  'local PARTS, COUNT = {}, 3',
  '  local INNER = 1',
];
const constants = constantsOf(lines);

describe('the constants of a script', () => {
  it('are capitals that stand for whole numbers at its top level', () => {
    expect([...constants]).toEqual([
      ['TICKET', '7'],
      ['SKU', '5'],
      ['PAGE', '64'],
    ]);
  });

  it.each([
    ['if p[TICKET] > PAGE then', 'if p[7] > 64 then'],
    ["error('the SKU') -- a TICKET", "error('the SKU') -- a TICKET"],
    ["say('don\\'t', SKU, '--', SKU)", "say('don\\'t', 5, '--', 5)"],
    ["'SKU_NOT_FOUND', s.SKU, SKUS, SKU_NAME, MY_SKU", "'SKU_NOT_FOUND', s.SKU, SKUS, SKU_NAME, MY_SKU"],
    ['local TICKET, SKU = 7, 5', ''],
  ])('are put into %s', (text, put) => {
    expect(putConstants(`x\n${text}`, constants)).toBe(`x\n${put}`);
  });
});
