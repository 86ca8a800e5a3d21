// A bounded collection of objects in the order in which they were made. When full, the oldest leaves: the sandbox keeps
// its memory limited however long it runs. Pages are newest first, as in Stripe's lists.

export interface Shelf<T extends { id: string }> {
  get(id: string): T | undefined;
  put(item: T): void;
  values(): IterableIterator<T>;
  page(o: { limit: number; startingAfter?: string | undefined; keep: (item: T) => boolean }): {
    data: T[];
    hasMore: boolean;
  };
  clear(): void;
  readonly size: number;
}

export function createShelf<T extends { id: string }>(
  maxItems: number,
  onDropped: (item: T) => void = () => {},
): Shelf<T> {
  const items = new Map<string, T>();
  // Ids in order of creation; `first` skips those that have left, so that dropping one is not a shift of thousands.
  let order: string[] = [];
  let first = 0;
  const places = new Map<string, number>();
  let shifted = 0;

  const dropOldest = () => {
    const id = order[first];
    if (id === undefined) return;
    first += 1;
    const item = items.get(id);
    items.delete(id);
    places.delete(id);
    if (item !== undefined) onDropped(item);
    if (first > maxItems) {
      order = order.slice(first);
      shifted += first;
      first = 0;
    }
  };

  return {
    get: (id) => items.get(id),
    put(item) {
      if (!items.has(item.id)) {
        if (items.size >= maxItems) dropOldest();
        places.set(item.id, shifted + order.length);
        order.push(item.id);
      }
      items.set(item.id, item);
    },
    values: () => items.values(),
    page({ limit, startingAfter, keep }) {
      const place = startingAfter === undefined ? undefined : places.get(startingAfter);
      const data: T[] = [];
      for (let at = (place === undefined ? order.length : place - shifted) - 1; at >= first; at -= 1) {
        const item = items.get(order[at] ?? '');
        if (item === undefined || !keep(item)) continue;
        if (data.length === limit) return { data, hasMore: true };
        data.push(item);
      }
      return { data, hasMore: false };
    },
    clear() {
      items.clear();
      places.clear();
      order = [];
      first = 0;
      shifted = 0;
    },
    get size() {
      return items.size;
    },
  };
}
