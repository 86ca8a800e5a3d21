// Keeps what was made last. A crowd asks for one thing, again and again: two comparisons then stand in for joining a key,
// reading an id or writing a text. For values that depend on nothing but what they are made of.

/** The same value for the same part, or two, as long as nothing else is asked for in between. */
export function keepLast<A, V>(make: (a: A) => V): (a: A) => V;
export function keepLast<A, B, V>(make: (a: A, b: B) => V): (a: A, b: B) => V;
export function keepLast<A, B, V>(make: (a: A, b?: B) => V): (a: A, b?: B) => V {
  let last: { readonly a: A; readonly b: B | undefined; readonly value: V } | undefined;
  return (a, b) => {
    if (last === undefined || last.a !== a || last.b !== b) last = { a, b, value: make(a, b) };
    return last.value;
  };
}
