// Every tuned number of the system but those of the scripts alone (scripts/constants.ts), with its unit in its name and its reason beside it.
// Nothing else may hold a tuned number; nothing here may read the environment (that is config.ts).
// Grouped by subject; append to the group a number belongs to.

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

// --- Partitions -------------------------------------------------------------------------------------------------

/** Hash tags over which sales are spread. Ids carry it, so it is fixed for the life of a deployment's data:
 *  8 spread over the nodes of a small cluster, while relay and sweep still read a handful of keys. */
export const PARTITIONS = 8;
/** Between two looks of the balancer at the sales that are split, and between two looks whether there is one. */
export const BUCKET_BALANCE_INTERVAL_MS = 100;
export const BUCKET_IDLE_INTERVAL_MS = 1 * SECOND_MS;
/** How long Redis remembers a half of a transfer: the ledger has it within a second, and is asked first. */
export const BUCKET_MOVE_KEPT_MS = 168 * HOUR_MS;
/** Transfers that one look takes a step further; each is one script call and one read. */
export const BUCKET_TRANSFERS_MAX = 64;

// --- Actors and batches -----------------------------------------------------------------------------------------

/** Purchases in one reserve script: 110,000/s at 512 against 80,000/s at 128; beyond it Redis blocks for longer than it gains. */
export const RESERVE_BATCH_MAX = 512;
/** Purchases that make a second call worth while behind one in flight: it costs Redis 50 us whatever is in it, here 0.4 us each.
 *  512 connections on two cores, in turns: 26,100/s without it and 29,500/s with it, p50 16.8 and 15.1 ms. */
export const RESERVE_SECOND_FROM = 128;
/** Callers that may wait at one actor of one process: at 30,000/s about 0.7 s of work, far inside the request's deadline. */
export const MAILBOX_MAX = 20_000;
/** Longest expected wait in a mailbox, by its length and the time a batch took: who comes then would meet the deadline in it. */
export const MAILBOX_WAIT_MAX_MS = 2 * SECOND_MS;
/** Purchases that admit, expire, close, snapshot and rebuild touch in one call: 177,000 in one script blocked Redis for 4 s. */
export const SLICE_MAX = 256;
/** How long an actor may repeat SOLD_OUT from memory before one request must ask again. */
export const SOLD_OUT_MEMORY_MS = 250;
/** Pause before a batch with an unknown outcome is sent again: a restarted Redis is met within some tries, and one that is down is not hammered. */
export const RETRY_DELAY_MS = 50;
/** An actor nobody asked for this long is forgotten; a new one costs microseconds. */
export const ACTOR_IDLE_MS = 5 * MINUTE_MS;
/** Actors one process keeps. Unknown SKUs get one too, so this bounds what a scan over random names can allocate. */
export const ACTORS_MAX = 10_000;

// --- Sweep and line ---------------------------------------------------------------------------------------------

/** A hold ends within 1 s of its deadline; four looks in that second leave room for one slow script. */
export const SWEEP_INTERVAL_MS = 250;
/** Slices of due holds after which the sweep looks at openings and lines again: one round trip a slice, not three. 100,000 due
 *  at once ended in 3.4 s so, with a fifth of the admissions; one slice a process at a time and pauses: 10.6 s, and half. */
export const SWEEP_SLICES_A_ROUND = 16;
/** Between two slices of one process, as long as no hold is late by more than the second: with API and workers 22,000 holds a second,
 *  so that 100,000 end within 5 s and leave a core of two to who buys meanwhile. As fast as possible they left a fifth of it. */
export const SWEEP_SLICE_SPACING_MS = 23;
export const SWEEP_HURRY_LAG_MS = 4 * SECOND_MS;
/** The line's head is published per SKU at most this often: a person cannot read faster, and it is one message, not one per buyer. */
export const LINE_BROADCAST_INTERVAL_MS = 100;
/** Whoever watches a line knows of a change within this: of 10 a second, an audience of 20,000 hears every third. */
export const LINE_TOLD_WITHIN_MS = 250;
/** Of that, what the writes take, and a machine that is busy. */
export const LINE_TOLD_MARGIN_MS = 40;
/** Between two turns of telling, however fast a line changes: each tells its part of the audience. */
export const LINE_TURN_MIN_MS = 50;
/** The part of a process's time in which lines are told to a large audience, at 8.8 us a socket: a third of 10,000, ten times a second. */
export const LINE_TELLING_SHARE_MAX = 0.3;
/** Watchers that are told in one turn: some ms of writes, which a buyer of the same process waits for. */
export const LINE_GROUP_SOCKETS = 1_000;
/** Who is refused by a full line comes back when the next hold ends, and not later than this. */
export const LINE_FULL_RETRY_MAX_SECONDS = 60;
/** Their return is spread over this: 18,000 refused in one second came back as 5,000 requests/s for as long as the sale ran. */
export const LINE_FULL_SPREAD_SECONDS = 8;
/** Units one buyer may be allowed in one sale. */
export const PER_BUYER_LIMIT_MAX = 100;
/** What a purchase leaves behind in Redis lives this long after its sale closed; afterwards Postgres alone answers. */
export const RETENTION_AFTER_CLOSE_MS = 24 * HOUR_MS;

// --- Outbox and relay -------------------------------------------------------------------------------------------

/** Records that may wait for Postgres before reserve answers BACKLOG_FULL: estimated at 250 bytes each, 125 MB of Redis. */
export const OUTBOX_BACKLOG_MAX_RECORDS = 500_000;
/** Records in one apply job: all that RELAY_GATHER_MS brings at 25,000/s, since a job costs some 6 ms of processor time however small. Rows
 *  gain nothing beyond some hundreds; a poison record is bisected out. */
export const APPLY_RECORDS_MAX = 2_000;
/** What one script call did to many alike is sent once a statement, and named by number: some ten in a job of 1,000, in a quiet shop all. */
export const APPLY_PATTERNS_MAX = 128;
/** Records of a partition that may be in unfinished jobs; what comes meanwhile waits in the stream and forms larger jobs. */
export const RELAY_AHEAD_MAX_RECORDS = 8_000;
/** The same in entries, for a quiet shop with one record an entry. */
export const RELAY_AHEAD_MAX_ENTRIES = 512;
/** Entries of a partition in one read: at 512 records each 6 MB, at one record each still a worthwhile job. */
export const RELAY_READ_MAX_ENTRIES = 128;
/** One read of the relay waits this long for something new: it bounds how fast a stop is noticed, nothing else. */
export const RELAY_BLOCK_MS = 1 * SECOND_MS;
/** Pause while every partition is as far ahead as it may be: a job takes about this long. */
export const RELAY_FULL_PAUSE_MS = 10;
/** Pause after a read that filled no job: at 10,000/s jobs of 800 instead of 200, each some 6 ms of processor time however small. */
export const RELAY_GATHER_MS = 80;
/** An entry unfinished for this long may have lost its job: it is handed out again, which is harmless if it had not. */
export const RELAY_TAKEOVER_IDLE_MS = 5 * SECOND_MS;
/** Jobs that one worker process runs at a time: they wait for Postgres and Stripe, they do not compute. */
export const WORKER_CONCURRENCY = 16;
/** Purchases in one payment.start or payment.cancel job: a few calls to Stripe each, well within a job's lock. */
export const PAYMENT_JOB_PURCHASES_MAX = 25;
/** A hold's second end (the delayed job) comes this long after its deadline, when the sweep should have been there twice. */
export const HOLD_EXPIRE_DELAY_MS = 500;
/** Seconds with such a job that a worker process remembers having asked for: eight partitions for eight minutes. */
export const EXPIRIES_REMEMBERED_MAX = 4_096;
/** As many refused purchases, and more than half of a batch, are not bad data but a bad deployment: stop, do not end them all. */
export const SYSTEMIC_REFUSALS_MIN = 32;
/** How often a process looks whether it must attach again, and writes down what it saw: until then its calls are refused. */
export const EPOCH_FOLLOW_INTERVAL_MS = 500;
/** How often the workers look for work whose job or message was lost (sales not installed, events not settled). */
export const RESCUE_INTERVAL_MS = 5 * SECOND_MS;
/** Pause between attempts to reach Postgres and Redis at the start of a process. */
export const START_RETRY_MS = 500;
/** Sales whose payment terms a worker remembers; they never change. */
export const SALE_TERMS_CACHE_MAX = 10_000;

// --- Door (HTTP and WebSocket) ----------------------------------------------------------------------------------

/** A request is answered within this, whatever Redis does: shorter than the time-out of common proxies and browsers. */
export const REQUEST_DEADLINE_MS = 5 * SECOND_MS;
/** Largest request body. An item of a sale is about 100 bytes, so a sale may have several hundred of them. */
export const BODY_LIMIT_BYTES = 64 * 1024;
/** A socket that neither sends nor answers a ping for this long is closed. */
export const SOCKET_IDLE_SECONDS = 60;
/** Bytes that may wait for a slow reader before messages to it are dropped (it resynchronises by asking). */
export const SOCKET_BACKPRESSURE_BYTES = 64 * 1024;
/** How long a client may take to send its body: uWebSockets.js cuts a slow one off after 8 to 12 s, without a word. */
export const BODY_DEADLINE_MS = 6 * SECOND_MS;
/** What a handler gets beyond REQUEST_DEADLINE_MS before the door answers in its place. */
export const REQUEST_GRACE_MS = 2 * SECOND_MS;
/** How often overdue requests, silent sockets and expired tokens are looked for. */
export const WATCH_INTERVAL_MS = 1 * SECOND_MS;
/** How long a stopping process waits for its last answers: a request's own deadline and a little, within STOP_GRACE_MS. */
export const DRAIN_DEADLINE_MS = 6 * SECOND_MS;
/** What /readyz gives Redis and Postgres: probes come every few seconds and must not pile up. */
export const READINESS_TIMEOUT_MS = 1 * SECOND_MS;
/** A JWT of ours has about 200 characters; uWebSockets.js takes 4 KB of headers. */
export const TOKEN_LENGTH_MAX = 2_048;
/** By how much the issuer's clock may differ from ours: NTP keeps machines within a second, virtual ones drift by some. */
export const TOKEN_LEEWAY_SECONDS = 5;
/** Headers of tokens that are remembered with their key: an issuer has one per key. */
export const TOKEN_HEADERS_MAX = 64;
/** A person clicks a few times a second and a browser polls; a script that does more is slowed down. Of all processes together. */
export const BUYER_RATE_PER_SECOND = 50;
export const BUYER_BURST = 100;
/** Forged tokens from one address; valid, expired and missing ones are never held up by them. */
export const AUTH_FAILURE_RATE_PER_SECOND = 5;
export const AUTH_FAILURE_BURST = 50;
/** Reads and sockets without a token from one address, behind which a whole office may open the page at noon: 5,000 of
 *  them at once, then a look every few seconds each. A scraper alone costs a core at most a twentieth. */
export const ANONYMOUS_RATE_PER_SECOND = 1_000;
export const ANONYMOUS_BURST = 5_000;
/** Guest tokens (outside production) for one address: 20 a minute. */
export const GUEST_RATE_PER_SECOND = 20 / 60;
export const GUEST_BURST = 20;
export const GUEST_TOKEN_SECONDS = 3_600;
/** Buckets one rate limit keeps: about 100 bytes each, so 20 MB at most. */
export const RATE_BUCKETS_MAX = 200_000;
/** How long the processes that share a limit may not know of each other: one burst more, which is owed afterwards. */
export const RATE_REPORT_INTERVAL_MS = 100;
/** The part of a burst from which a key is told of: who buys once or twice costs Redis nothing, whoever spreads over N
 *  processes gains N tenths of a burst. */
export const RATE_REPORT_SHARE = 0.1;
/** Keys in one call, as in every script: about 0.3 ms of Redis. */
export const RATE_REPORT_KEYS_MAX = 256;
/** Keys that may wait for their call; what comes on top is told with its next token. */
export const RATE_REPORT_DUE_MAX = 10_000;
/** Nobody waits for it, and the next call does: as long as a request may take. */
export const RATE_REPORT_TIMEOUT_MS = 5 * SECOND_MS;
/** Bursts that a key may owe: enough for 40 processes that each let a tenth through in vain, and for a buyer 8 s of waiting. */
export const RATE_DEBT_BURSTS = 4;
/** Peers whose address is remembered in its one spelling: 2 MB. */
export const ADDRESSES_REMEMBERED_MAX = 10_000;
/** Bodies of a route that are remembered with what became of them: 200 KB. A buy has 40 bytes. */
export const COMMON_BODIES_MAX = 1_000;
export const COMMON_BODY_BYTES_MAX = 128;
/** A buy is about 200 bytes, a resume of 50 purchases 2 KB. */
export const SOCKET_PAYLOAD_BYTES = 16 * 1024;
/** A socket without a token is closed after this. */
export const SOCKET_AUTH_DEADLINE_MS = 5 * SECOND_MS;
export const SOCKET_MESSAGE_RATE_PER_SECOND = 20;
export const SOCKET_MESSAGE_BURST = 40;
/** Refused messages after which a socket is closed: a client that does not listen. */
export const SOCKET_REFUSALS_MAX = 200;
export const SOCKET_SUBSCRIPTIONS_MAX = 32;
export const SOCKET_BUYS_IN_FLIGHT_MAX = 16;
/** Purchases that a socket remembers having told of, so that nothing is told twice and a lost feed can be made up for. */
export const SOCKET_PURCHASES_MAX = 100;
export const SOCKET_RESUME_MAX = 50;
/** How long news of a purchase waits for the answer that tells the same: without it every fourth buyer was told twice. */
export const SOCKET_NEWS_DELAY_MS = 5;
export const SOCKETS_PER_BUYER_MAX = 20;
/** How long the answer "this SKU is in that sale" is kept: the public inventory read costs Postgres one query a second. */
export const SKU_LOOKUP_MEMORY_MS = 1 * SECOND_MS;
export const SKU_LOOKUPS_MAX = 10_000;
/** Wishes whose fingerprint is remembered: 100 KB. */
export const WISH_PRINTS_MAX = 1_000;
/** What an overloaded door asks clients to wait: the mailbox drains in less. */
export const OVERLOAD_RETRY_AFTER_SECONDS = 1;
/** And at most, where many times more are turned away than are served. */
export const OVERLOAD_RETRY_AFTER_MAX_SECONDS = 10;
/** Requests one process works on at once: three batches, 0.15 s of work at 10,000 purchases/s. At ten times the load 4,000 of them
 *  waited 0.53 s and 6,900/s were accepted; with 1,536 it was 0.24 s and 7,200/s. */
export const REQUESTS_IN_FLIGHT_MAX = 1_536;
/** However slow the answers: a batch under way and a full one behind it. With fewer, batches shrink and all gets slower still. */
export const REQUESTS_IN_FLIGHT_MIN = 1_024;
/** Where half of the purchases take longer, fewer are taken in: a fifth of the deadline, and about what people wait for. */
export const ANSWER_TARGET_MS = 1 * SECOND_MS;
/** Rejections given without delay: at about 18 us of the door each when it was chosen, a third of a purchase then, under 1 % of a core. */
export const REJECTIONS_PER_SECOND = 300;
/** Beyond them a rejection comes this late: who is to come back later loses nothing by it, and cannot ask again sooner.
 *  Measured at 10 times the load, 16,000 connections: 8,500 purchases/s with a hold of 1 s; without it 50,000 rejections/s left 2,500. */
export const REJECTION_HOLD_MS = 4 * SECOND_MS;
/** How often held rejections are given: with 10,000 of them, 500 at a time. */
export const SHED_INTERVAL_MS = 50;
/** How often it is judged how many requests may be under way: no sooner than the last judgement can have shown. */
export const SHED_ADJUST_INTERVAL_MS = 500;
/** Connections of a process where the system does not tell its limit of open files. */
export const CONNECTIONS_FALLBACK_MAX = 1_024;

// --- Redis ------------------------------------------------------------------------------------------------------

/** A script that has not answered in this time is of unknown outcome; at 177,000 admissions in 4 s a slice of SLICE_MAX takes about 6 ms. */
export const SCRIPT_TIMEOUT_MS = 2 * SECOND_MS;
/** First and longest pause between attempts to connect: at once after a restart, never a storm. */
export const REDIS_RECONNECT_MIN_MS = 25;
export const REDIS_RECONNECT_MAX_MS = 1 * SECOND_MS;
/** Longest pause before a Redis that is loading its data is asked again: ioredis would believe Redis' guess, and was seen to wait 9 s for a load of 1 s. */
export const REDIS_LOADING_RETRY_MAX_MS = 100;
/** How often a client of a cluster asks who serves which slot, beside being told so by a MOVED: WAIT and SCAN go to a node, and no MOVED answers them. */
export const REDIS_SLOTS_REFRESH_MS = 5 * SECOND_MS;
export const REDIS_CONNECT_TIMEOUT_MS = 5 * SECOND_MS;
/** TCP keep-alive, so that a peer that vanished without a word is noticed. */
export const REDIS_KEEP_ALIVE_MS = 10 * SECOND_MS;
/** Added to a blocking command's own time-out before the connection is taken for dead. */
export const REDIS_BLOCKING_GRACE_MS = 5 * SECOND_MS;

/** After Redis was restarted, what the other processes get to write down what they saw: two looks of their sweeps. */
export const WITNESS_PAUSE_MS = 500;
/** What a rebuild gives the other processes to notice the new epoch: twice as long as they take to look. */
export const REBUILD_SETTLE_MS = 2 * EPOCH_FOLLOW_INTERVAL_MS;
/** Versions that a purchase may have had in what was lost: each change is one, and a hold sees some five. */
export const REBUILD_VERSION_MARGIN = 100;
/** The longest that an outbox may have been behind when it was lost, for the versions of what has ended: a day of an outage. */
export const REBUILD_LOSS_MAX_MS = 24 * HOUR_MS;
/** Keys that one SCAN looks at and one UNLINK removes: some ms of Redis. */
export const REBUILD_SCAN_COUNT = 1_000;
/** A rebuild's SKU counts begin at the epoch times this: above every version told before, within a double's integers. */
export const SKU_VERSIONS_PER_EPOCH = 1_000_000_000;
/** A replica beside its primary answers within some ms; one that does not for this long is not there. */
export const REPLICA_WAIT_MS = 1 * SECOND_MS;

// --- Postgres ---------------------------------------------------------------------------------------------------

/** No statement of ours runs longer: the largest writes some thousand rows, at 107,000 rows/s by unnest. */
export const STATEMENT_TIMEOUT_MS = 10 * SECOND_MS;
/** A row lock that is not granted in this time is an infrastructure error: the work is tried again. */
export const LOCK_TIMEOUT_MS = 5 * SECOND_MS;
/** Client-side limit, for a server that vanished and cannot say so: longer than the server's own. */
export const QUERY_TIMEOUT_MS = 30 * SECOND_MS;
export const POSTGRES_CONNECT_TIMEOUT_MS = 5 * SECOND_MS;
/** A connection that nobody needs is closed after this: a crowd comes in waves, and a new one costs both sides a handshake (SCRAM) and the server a process. */
export const POSTGRES_IDLE_MS = 30 * SECOND_MS;
/** A transaction that is left open and silent holds locks and the fence's row: the server ends it. */
export const IDLE_IN_TRANSACTION_TIMEOUT_MS = 15 * SECOND_MS;
/** Rows of a job on their way into a COPY: 2,000 at 512 bytes. Such buffers are used again, as many as jobs of some partitions fill at once. */
export const COPY_BUFFER_BYTES = 1024 * 1024;
export const COPY_BUFFERS_MAX = 4;
/** How long a process waits for another one's migrations. */
export const MIGRATION_LOCK_WAIT_MS = 2 * MINUTE_MS;
export const MIGRATION_LOCK_POLL_MS = 100;

// --- Jobs -------------------------------------------------------------------------------------------------------

/** Back-off of a failed job: 100 ms, doubled each time, never above the cap, so that a returning Postgres is used at once. */
export const JOB_BACKOFF_MIN_MS = 100;
export const JOB_BACKOFF_MAX_MS = 5 * SECOND_MS;
/** Tries of a job that fails for neither infrastructure nor a final reason, that is of a bug: then it is a dead letter. */
export const JOB_FAULTS_MAX = 10;
/** BullMQ wants numbers where we mean "without end": at the longest back-off this is 150 years. */
export const JOB_ATTEMPTS_ENDLESS = 1_000_000_000;
/** Dead letters that are looked through for one: as many are not to be worked off one by one. */
export const DEAD_LETTERS_MAX = 10_000;
/** The lock of a worker that died is given up after this; then its jobs run elsewhere. */
export const JOB_LOCK_MS = 10 * SECOND_MS;
export const JOB_STALLED_CHECK_MS = 5 * SECOND_MS;
/** Events BullMQ keeps in its own stream; nothing here reads them. */
export const JOB_EVENTS_MAX = 1_000;

// --- Payments ---------------------------------------------------------------------------------------------------

/** Intents started a second over all workers: Stripe's live mode allows about 100 calls/s, webhooks and refunds need some. */
export const PAYMENT_STARTS_PER_SECOND = 90;
/** The bundled sandbox on one core answers more; the demo should not wait for a limit that is not there. */
export const SANDBOX_STARTS_PER_SECOND = 500;
/** Calls to the provider at once, per job: at Stripe's usual 150 to 300 ms these 16 make about the rate above. */
export const PAYMENT_START_CONCURRENCY = 16;
/** New keys in one run of a job after the provider failed; then the queue's back-off takes over. */
export const PAYMENT_START_TRIES = 3;
/** The provider's SDK default is 80 s, longer than most holds; its slowest usual answers take about 2 s. */
export const PROVIDER_TIMEOUT_MS = 10 * SECOND_MS;
/** Repeats inside the SDK, with the same key, for connection errors and conflicts. */
export const PROVIDER_RETRIES_MAX = 2;
/** Stripe's own tolerance: an older signature is a replay. */
export const PAYMENT_WEBHOOK_TOLERANCE_SECONDS = 300;
/** A stored event that is not settled after this gets its job again: that job was lost with its Redis. */
export const SETTLE_POLL_AGE_MS = 5 * SECOND_MS;
/** A payment that can still be made after its order ended is looked at this often: the provider may be at work on it. */
export const CANCEL_POLL_AGE_MS = 1 * MINUTE_MS;
/** A refund that its purchase does not tell of for this long is one that Redis had forgotten; until then it is told again. */
export const REFUND_TOLD_MAX_MS = 60 * MINUTE_MS;
/** Events that one look re-enqueues. */
export const SETTLE_POLL_MAX = 500;
/** Events in one settle job and in one insert: about 0.1 s of work, and a payload of 3 kB. */
export const SETTLE_BATCH_MAX = 100;
/** Events of one job that are settled at once: as many as the process's share of Postgres connections. */
export const SETTLE_CONCURRENCY = 8;
/** From here on an event that cannot be settled is an alarm, not a delay. */
export const SETTLE_ALARM_MS = 10 * MINUTE_MS;
/** Work of money that Postgres shows undone for this long has lost its job: a job takes a second, or its turn at the provider's rate. */
export const LOST_WORK_AGE_MS = 10 * SECOND_MS;
/** Lost work that one look finds of each kind, and that one page of a rebuild's look holds. */
export const LOST_WORK_MAX = 500;
/** How often open payments are compared with the provider. */
export const RECONCILE_INTERVAL_MS = 30 * SECOND_MS;
/** A payment younger than this, or compared within it, is left alone: its webhook is on its way. */
export const RECONCILE_AGE_MS = 1 * MINUTE_MS;
/** Payments and refunds that one run asks for: 7 calls/s, beside PAYMENT_STARTS_PER_SECOND within the provider's 100. */
export const RECONCILE_MAX = 200;
/** The same in an operator's own run: a request's deadline is 5 s. It may be asked for again, until nothing is left. */
export const RECONCILE_ASKED_MAX = 50;
/** What an operator's run leaves alone: compared, or begun, a moment ago. */
export const RECONCILE_ASKED_AGE_MS = 3 * SECOND_MS;
/** Calls of a run at once: at 150 to 300 ms each, about 20 a second for as long as it lasts. */
export const RECONCILE_CONCURRENCY = 4;
/** Pages of the provider's list of refunds that one run reads, of 100 each: the next one goes on where it stopped. */
export const RECONCILE_PAGES_MAX = 10;
/** Lists are read again from this long before: an object may be listed a little after its own time. */
export const RECONCILE_OVERLAP_MS = 5 * MINUTE_MS;
/** A run that died gives up its place in a list after this. */
export const RECONCILE_LEASE_MS = 2 * MINUTE_MS;
/** The provider forgets an idempotency key after 24 h: before that, what was done under it is looked for first. */
export const PROVIDER_KEY_LIFE_MS = 23 * HOUR_MS;
/** Pages of 100 that a search for one purchase's refund or intent reads. */
export const PROVIDER_LIST_PAGES_MAX = 50;

// --- Services and supervision -----------------------------------------------------------------------------------

/** Between two looks at a process that starts or ends: Redis is ready after 40 ms, Postgres after 100 ms (900 ms the first time). */
export const PROCESS_POLL_MS = 15;
/** Redis that neither answers nor says that it is loading its data for this long did not start. */
export const REDIS_SILENCE_LIMIT_MS = 20 * SECOND_MS;
/** A private cluster of masters has met after 1 to 3 s: nodes gossip once a second. */
export const CLUSTER_READY_LIMIT_MS = 20 * SECOND_MS;
/** Recovery after a crash replays the WAL; a server that lives and works on it is waited for. */
export const POSTGRES_START_LIMIT_MS = 2 * MINUTE_MS;
/** What API and workers get to finish what they have accepted before they are killed. */
export const STOP_GRACE_MS = 10 * SECOND_MS;

// --- Audit ------------------------------------------------------------------------------------------------------

/** Readings of a SKU's purchases in the hope that it stands still; a sale in full swing is compared by versions instead. */
export const AUDIT_CENSUS_PASSES = 2;
/** SKUs read from Redis at a time: the scripts run one after the other anyway, this hides the round trips. */
export const AUDIT_PARALLEL_SKUS = 8;
export const AUDIT_RELAY_POLL_MS = 50;
/** An outbox that has not moved for this long is not lag any more: the workers are gone or stuck. */
export const AUDIT_RELAY_PATIENCE_MS = 30 * SECOND_MS;
/** A difference must be found in two rounds in a row; a third one tells a busy moment from a violation. */
export const AUDIT_ROUNDS_MAX = 3;
export const AUDIT_ROUND_PAUSE_MS = 1 * SECOND_MS;
/** Differences that one check lists; the first of them says how many there are. */
export const AUDIT_FINDINGS_MAX = 100;
/** Ten times what a hold may outlive its deadline: Redis may just have been restarted. */
export const AUDIT_HOLD_OVERDUE_MS = 10 * SECOND_MS;
/** Purchases sent to Postgres in one INSERT of the census: about 1 MB. */
export const AUDIT_LOAD_ROWS = 5_000;
/** The continuous audit reads at most this many slices of SLICE_MAX purchases a second: at 1.6 ms of Redis' CPU each, 3 % of it. */
export const AUDIT_SLICES_PER_SECOND = 20;
/** Of the time, what the continuous audit may spend waiting for an answer of either store: a store that is busy is asked less. */
export const AUDIT_TIME_SHARE = 0.1;
/** Purchases that one statement of it compares with Postgres, by their keys: eight slices a round trip, however large the sale is. */
export const AUDIT_COMPARE_ROWS = 2_048;
/** Pause between two rounds over all live sales, when they are so few that a round takes no time. */
export const AUDIT_ROUND_INTERVAL_MS = 2 * SECOND_MS;
/** How often the counts alone are looked at: one read of a sale's hashes, cheap enough to stop a sale within a second. */
export const AUDIT_LOOK_INTERVAL_MS = 1 * SECOND_MS;
/** Before a difference is looked for again: what was on its way between two stores has arrived by then. */
export const AUDIT_CONFIRM_PAUSE_MS = 500;
/** An outbox that is behind makes the check unknown, not wrong; the next round asks again. */
export const AUDIT_LAG_PATIENCE_MS = 10 * SECOND_MS;
/** A worker that audits a sale and is not heard of for this long has lost it to another. */
export const AUDIT_LEASE_MS = 15 * SECOND_MS;
/** Holds of a closed sale may still be paid: it is audited for this long after the close. */
export const AUDIT_AFTER_CLOSE_MS = 1 * HOUR_MS;
/** Findings of the past that one answer of the API tells of. */
export const AUDIT_HISTORY_MAX = 100;
