// A value that comes later, for one listener, who is told in the very call that has it. A promise takes five objects and two
// turns of a queue for the same; thirty thousand times a second, four on the way of each, that was a twentieth of the door.
// Whoever is in no hurry awaits it like one. It is for what one call answers to many: nothing else needs it.

export interface Listener<T> {
  told(value: T): void;
  failed(error: unknown): void;
}

export class Later<T> implements PromiseLike<T> {
  private listener: Listener<T> | undefined;
  private state: 'coming' | 'there' | 'failed' = 'coming';
  private value: unknown;
  private promise: Promise<T> | undefined;

  static of<T>(value: T): Later<T> {
    const later = new Later<T>();
    later.settle(value);
    return later;
  }

  static failed<T>(error: unknown): Later<T> {
    const later = new Later<T>();
    later.fail(error);
    return later;
  }

  /** The first of settle and fail decides. */
  settle(value: T): void {
    if (this.state !== 'coming') return;
    this.state = 'there';
    this.value = value;
    if (this.listener !== undefined) tell(this.listener, value);
  }

  fail(error: unknown): void {
    if (this.state !== 'coming') return;
    this.state = 'failed';
    this.value = error;
    if (this.listener !== undefined) complain(this.listener, error);
  }

  /** One listener; a second one takes the place of the first. Told at once where the value is there. */
  listen(listener: Listener<T>): void {
    this.listener = listener;
    // What settle put there.
    if (this.state === 'there') tell(listener, this.value as T);
    else if (this.state === 'failed') complain(listener, this.value);
  }

  /** What `make` makes of the value; it may take its time, too, and what it throws is a failure. */
  map<U>(make: (value: T) => U | PromiseLike<U>): Later<U> {
    const made = new MadeLater(make);
    this.listen(made);
    return made;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- so that it can be awaited
  then<A = T, B = never>(
    onValue?: ((value: T) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.promise ??= new Promise<T>((resolve, reject) => this.listen({ told: resolve, failed: reject }));
    return this.promise.then(onValue, onError);
  }
}

/** Listens to the one, and is the other. */
class MadeLater<T, U> extends Later<U> implements Listener<T> {
  private readonly make: (value: T) => U | PromiseLike<U>;

  constructor(make: (value: T) => U | PromiseLike<U>) {
    super();
    this.make = make;
  }

  told(value: T): void {
    let made: U | PromiseLike<U>;
    try {
      made = this.make(value);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (!isComing(made)) this.settle(made);
    else
      made.then(
        (late) => this.settle(late),
        (error: unknown) => this.fail(error),
      );
  }

  failed(error: unknown): void {
    this.fail(error);
  }
}

function isComing<U>(made: U | PromiseLike<U>): made is PromiseLike<U> {
  return made instanceof Promise || made instanceof Later;
}

/** A listener that throws must not take the value from those who are told after it: it ends the process, like a lost rejection. */
function tell<T>(listener: Listener<T>, value: T): void {
  try {
    listener.told(value);
  } catch (error) {
    rethrow(error);
  }
}

function complain<T>(listener: Listener<T>, cause: unknown): void {
  try {
    listener.failed(cause);
  } catch (error) {
    rethrow(error);
  }
}

function rethrow(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
