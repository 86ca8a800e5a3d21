// Who is measured in the same way as everybody else: a system with a shop's door, its own books about a sale, and a way to
// hold them together afterwards. Ours is the stage; the baselines are in baselines/.
import type { Offer, Stage } from './stage.ts';

export interface Contender {
  readonly name: string;
  readonly url: string;
  /** It accepts less on any machine of this size: how large its first crowd must be. */
  readonly perSecondMax: number;
  /** Its door takes the tokens that are signed with it. */
  readonly jwtSecret: string;
  /** For their processor time. */
  processes(): readonly { name: string; pid: number }[];
  /** An open sale of one SKU, one unit a buyer. `terms` are for ours. */
  openSale(name: string, stock: number, terms?: Readonly<Record<string, unknown>>): Promise<Offer>;
  /** How many were accepted and are not orders in Postgres yet (ours: outbox records of the partition). */
  backlog(offer: Offer): Promise<number>;
  /** What contradicts that exactly `acknowledged` units were sold once each, or up to `unanswered` more. */
  inspect(offer: Offer, acknowledged: number, unanswered: number): Promise<string[]>;
}

export interface Baseline extends Contender {
  close(): Promise<void>;
}

export function contenderOf(stage: Stage): Contender {
  return { ...stage, name: 'doorbuster', perSecondMax: 60_000, jwtSecret: stage.config.jwtSecret };
}

/** All at once. If one does not come up, the others are closed. */
export async function openTogether(openings: readonly Promise<Baseline>[]): Promise<Baseline[]> {
  const settled = await Promise.allSettled(openings);
  const opened = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = settled.find((one) => one.status === 'rejected');
  if (failed === undefined) return opened;
  await Promise.all(opened.map((baseline) => baseline.close()));
  throw failed.reason;
}
