/* The bounds, each with its unit and the reason for its size.
 *
 * What happens at a bound is part of the contract of whoever keeps it; the
 * codes named here are those of err.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_LIMITS_H
#define PYGMY_BUS_LIMITS_H

#include <stdint.h>

/* ---- Time ------------------------------------------------------------- */

/* Between our own peers: five missed beats are 500 ms, well under what a fail-over may take. */
#define HEARTBEAT_MS      100
#define HEARTBEAT_GONE_MS 500

/* Peers whose pace we don't know: the strictest worker seen gives up after 1 s of silence, the
 * most patient family beats every 2.5 s and is gone after three. */
#define HEARTBEAT_PLAIN_MS      500
#define HEARTBEAT_PLAIN_GONE_MS 7500

/* A request that names no deadline gets this one. */
#define REQUEST_DEADLINE_MS 30000
/* None gets more: a record must not be held for ever. */
#define REQUEST_DEADLINE_MS_MAX 300000

/* A service that had a worker so recently queues its requests: a fail-over is no outage. */
#define SERVICE_GRACE_MS 10000

/* ---- The bus ---------------------------------------------------------- */

/* One message, all frames. Above it libzmq closes the connection (ZMQ_MAXMSGSIZE). */
#define MESSAGE_BYTES_MAX (1024 * 1024)
/* One request's or reply's body; above it ERR_TOO_LARGE. Leaves room for a batch of small ones. */
#define BODY_BYTES_MAX (512 * 1024)
/* Frames of one message; above it the message is malformed. */
#define MESSAGE_FRAMES_MAX 32
/* Name of a service: readable, and small enough that a table of them is bounded. */
#define SERVICE_NAME_BYTES_MAX 127
/* Requests or replies in one coalesced message, and the bytes at which no more are added: about
 * where the cost of a message stops mattering. */
#define BATCH_COUNT_MAX 64
#define BATCH_BYTES_MAX (64 * 1024)
/* Credit a worker may ask for, and what our own ask for: 64 in flight reaches the knee of the
 * measured curve. */
#define CREDIT_MAX     1024
#define CREDIT_DEFAULT 64
/* How often a request is given to a worker before it is called poison: ERR_WORKER_LOST. */
#define ATTEMPTS_MAX 3

/* Our side of one connection to a broker (link.h). The tick is half a heartbeat, so that none is
 * late by more than that. */
#define LINK_TICK_MS (HEARTBEAT_MS / 2)
/* Pause before a new connection, drawn at random between the first and a bound that doubles with
 * each failure up to the second: a broker that is started again is found at once, and is not
 * stormed by all at the same instant. */
#define RECONNECT_MS_MIN 50
#define RECONNECT_MS_MAX 1000
/* The same of a worker, of which a store has few: what is asked of a broker that is started again
 * waits for its workers. */
#define RECONNECT_WORKER_MS_MAX 200
/* High-water marks, in messages: a few batches under way are enough to keep both ends busy; what
 * waits beyond them waits with us, where it can be counted, coalesced and expire. */
#define LINK_MESSAGES_MAX 256
/* When libzmq would connect a lost socket again: never, for sockets are closed long before. */
#define LINK_RECONNECT_MS (24 * 3600 * 1000)
/* How long a closed link goes on sending what was handed to libzmq: a local exchange takes less
 * than one, and no program should be slow to end. */
#define LINK_LINGER_MS 200
/* Records taken in one turn of the loop, so that heartbeats and other sockets get theirs. */
#define LINK_RECORDS_MAX 1024
/* And the time after which no further one is taken in that turn: with a few links in a process, and
 * one record that takes long by itself, all heartbeats are still out well within
 * HEARTBEAT_GONE_MS. */
#define LINK_TURN_MS 10
/* A client's requests under way when its owner names no number, and the bytes of their bodies;
 * above either ERR_QUEUE_FULL. */
#define CLIENT_REQUESTS_MAX 16384
#define CLIENT_BYTES_MAX    (64 * 1024 * 1024)
/* How long a client waits for answers of a broker that is going away before it asks another, unless
 * it has something to say that they may depend on (bus_client_request_once). */
#define CLIENT_LEAVE_MS HEARTBEAT_GONE_MS
/* Bytes of requests in a worker's hands and of its answers that are not sent yet; a request above
 * it is answered ERR_QUEUE_FULL. */
#define WORKER_BYTES_MAX (64 * 1024 * 1024)

/* ---- The broker ------------------------------------------------------- */

/* Frames of a plain body; above it the message is malformed. What a broker puts in front of it must
 * fit as well (MESSAGE_FRAMES_MAX). */
#define BODY_FRAMES_MAX 24
/* Frames up to this size are copied when they have to wait, see body.h. */
#define BODY_SETTLE_BYTES 512

/* Connections that are known; the descriptor limit is raised to hold them. Above it a plain client
 * that waits for nothing is forgotten for a new one; if there is none, who comes is told
 * DISCONNECT, or dropped where the protocol has no such word. */
#define BROKER_PEERS_MAX 16384
/* How many plain clients that wait for nothing are looked at for that. */
#define BROKER_PEERS_LOOK 8
/* A peer without heartbeats and without requests is forgotten after this: it costs it nothing. */
#define BROKER_PEER_IDLE_MS 60000
/* Malformed or misplaced messages of one peer before it is told DISCONNECT and ignored. */
#define BROKER_STRIKES_MAX 16
/* Names that are known. Above it READY is answered DISCONNECT, a request ERR_NO_SERVICE. */
#define BROKER_SERVICES_MAX 4096

/* Requests that are held, waiting or with workers, and the bytes of their bodies; above any of
 * these ERR_QUEUE_FULL. Counts are what the patient asynchronous clients in the wild send at once
 * (100,000); bytes are what a small machine can hold. */
#define BROKER_REQUESTS_MAX (256 * 1024)
#define BROKER_BYTES_MAX    (256 * 1024 * 1024)
/* Of one client. */
#define BROKER_CLIENT_REQUESTS_MAX (128 * 1024)
#define BROKER_CLIENT_BYTES_MAX    (64 * 1024 * 1024)
/* Of a new client, with workers that take several at once: it might not read. It is new for so many
 * answers; or until it has waited so long for one of them, since then waiting tells nothing. */
#define CLIENT_NEW_CREDIT  4
#define CLIENT_NEW_ANSWERS 64
#define CLIENT_NEW_MS      100
/* Waiting for one service. */
#define BROKER_SERVICE_REQUESTS_MAX (128 * 1024)
#define BROKER_SERVICE_BYTES_MAX    (128 * 1024 * 1024)
/* Waiting for services that nobody serves, all of them together: each request counts 1, and 1 more
 * for each such piece of its body. Few, since most of them wait in vain: no more memory is taken by
 * a hundred thousand than by the first thousand. Above it the oldest of the client with most goes,
 * ERR_QUEUE_FULL. */
#define BROKER_UNSERVED_MAX         640
#define BROKER_UNSERVED_PIECE_BYTES 2048

/* Deadlines are kept to this, and the broker's timer turns at this pace. */
#define WHEEL_TICK_MS 16
/* Above REQUEST_DEADLINE_MS_MAX, and a power of two of ticks. */
#define WHEEL_SPAN_MS (WHEEL_TICK_MS * 32768)

/* So soon after the broker's start, a service that never had a worker may yet get one: workers find
 * a broker that was started again within a few heartbeats. */
#define START_GRACE_MS 2000
/* A worker that answered ERR_NOT_LEADER gets nothing for so long, unless it registers anew. */
#define NOT_LEADER_REST_MS 50
/* A draining process waits so long for what is under way. */
#define DRAIN_MS_MAX 5000
/* Between two events the broker takes no more than this for time in which it listened: peers are
 * not gone because the broker was stopped. */
#define AWAKE_STEP_MS_MAX HEARTBEAT_MS
/* Services, and workers, that a status names; more are only counted. It must fit one body. */
#define STATUS_ROWS_MAX 1000
/* Events noted for the log between two turns; more are counted and not told. */
#define BROKER_NOTES_MAX 256

/* Events of one kind that are logged in a second. */
#define NOTES_PER_SECOND_MAX 20
/* A connection is probed after so long without a byte, and ended after so many probes, or as long
 * with bytes that nobody acknowledges. */
#define BROKER_PROBE_S    5
#define BROKER_PROBES_MAX 3
/* Connections that wait to be accepted: a store's peers all come back at once. */
#define BROKER_BACKLOG 1024

/* Messages taken from a socket in one turn of the loop: enough that the turn's own cost does not
 * matter, few enough that timers keep their pace. */
#define TURN_MESSAGES_MAX 1000
/* The broker's high-water marks, in messages, for each connection and direction: libzmq counts no
 * bytes, so this is also up to so many MiB. What is beyond waits in the outbox, by bytes. */
#define BROKER_MESSAGES_MAX 128
/* What the system may hold for a connection (SO_SNDBUF; it takes twice that for itself): by its own
 * rules it would be megabytes for a peer that reads nothing, and the work that was done for it. */
#define BROKER_SEND_BYTES (64 * 1024)
/* What may wait for one peer that does not read, and for all; at the bound the peer counts as gone,
 * at that for all the one with most. The count is that of its requests. Each frame counts 64 bytes
 * beside its own. */
#define OUTBOX_PEER_MESSAGES_MAX BROKER_CLIENT_REQUESTS_MAX
#define OUTBOX_PEER_BYTES_MAX    (64 * 1024 * 1024)
#define OUTBOX_BYTES_MAX         (256 * 1024 * 1024)
/* With more bytes of large frames waiting for it, or more messages, a client is deaf: nobody works
 * for it until it has read all. A few dear answers; more small ones than a turn brings to one who
 * reads. */
#define OUTBOX_DEAF_BYTES    (8 * 1024)
#define OUTBOX_DEAF_MESSAGES 1024
/* A large frame, and how many bytes of such libzmq may hold that are not written to a peer's
 * connection yet, before what follows waits in the outbox: as many as leave at once if it reads. */
#define OUTBOX_LARGE_BYTES    2048
#define OUTBOX_OWED_BYTES_MAX (8 * 1024)
/* Pause before what waits since this turn is tried again, and how often with nobody taking any of
 * it; then the timer's pace has to do. */
#define OUTBOX_FLUSH_MS    1
#define OUTBOX_FLUSH_TRIES 32
/* How many of them are tried in one turn of the loop: about a tenth of a millisecond. */
#define OUTBOX_FLUSH_PEERS_MAX 64
/* The feed's high-water marks, in messages, for each publisher and subscriber: seconds of feed, and
 * tens of MB of it when all of them are as large as they get. What is beyond is dropped for that
 * subscriber. */
#define RELAY_MESSAGES_MAX 1000
/* How long a broker that ends goes on sending its last words. */
#define BROKER_LINGER_MS 500

/* ---- The store -------------------------------------------------------- */

#define QUANTITY_MAX    1000000
#define STOCK_MAX       1000000000
#define PRICE_CENTS_MAX 1000000000
/* Lines of one order: its record must fit a log entry with room to spare. */
#define ORDER_LINES_MAX   100
#define KEY_BYTES_MAX     255
#define TITLE_BYTES_MAX   512
#define AUTHORS_BYTES_MAX 1024
#define TOPIC_BYTES_MAX   64
#define ISBN_BYTES_MAX    32
#define REASON_BYTES_MAX  256
#define QUERY_BYTES_MAX   256
/* Page of a list. */
#define PAGE_DEFAULT 50
#define PAGE_MAX     500
/* Rows of one import entry: 10,000 in one would hold a loop for 50 to 100 ms. */
#define IMPORT_ROWS_MAX 500

/* ---- Clients ------------------------------------------------------------ */

/* A call of libpygmy that names no time gets this one: several fail-overs fit. */
#define CALL_TIMEOUT_MS 10000
/* Calls of one handle under way; above it ERR_QUEUE_FULL. */
#define CALLS_MAX 16384
/* Pause before a repetition: the first, and what doubling stops at. A fail-over takes about 400 ms,
 * and a request that fails at once must not become a storm. */
#define RETRY_PAUSE_MS_MIN 10
#define RETRY_PAUSE_MS_MAX 500
/* How old the last answer's log time may be to stamp a new operation. Old stamps are safe up to 24
 * hours, so this leaves all the repetitions of a day. */
#define STAMP_FRESH_MS (60 * 60 * 1000)
/* A catalog's CSV file: three million rows of real books would fit, and its copy in memory is
 * bounded. Fields and columns are bounded so that an unclosed quote is found early. */
#define CSV_FILE_BYTES_MAX  (256 * 1024 * 1024)
#define CSV_FIELD_BYTES_MAX (64 * 1024)
#define CSV_FIELDS_MAX      256
/* One import operation's JSON: its log entry must stay below ENTRY_BYTES_MAX with room to spare. */
#define IMPORT_BYTES_MAX (150 * 1024)
/* Import operations under way: enough to hide a round trip, few enough that other writes get
 * their turn between them. */
#define IMPORT_IN_FLIGHT_MAX 4
/* Rows that `pygmy import` puts into one: 500 hold the loop of each replica for 15 ms, and for
 * three times that where three of them share a processor, which is time without heartbeats. */
#define IMPORT_ROWS_EACH 100
/* Items whose ids `pygmy bench` collects to choose among. */
#define BENCH_ITEMS_MAX 1000000
/* How long `pygmy status` waits for each process. */
#define STATUS_TIMEOUT_MS 500
/* How long `pygmy verify` waits for an audit (some 100,000 items), how long it goes on looking for
 * an index that all replicas can be compared at, and the pause between two looks. */
#define VERIFY_AUDIT_MS 5000
#define VERIFY_MS       5000
#define VERIFY_PAUSE_MS 100
/* The stream of committed changes, as its subscribers take it. A leader's beat comes twice a
 * second: four that are missing are news. */
#define CHANGES_SILENCE_MS 2000
/* Live messages that a subscriber keeps above a gap, and their bytes: seconds of a busy leader's.
 * What is beyond is dropped, and asked for. */
#define CHANGES_KEPT_MAX       256
#define CHANGES_KEPT_BYTES_MAX (4 * 1024 * 1024)
/* How long it waits for a replica's answer, doubled with each question that got none up to the
 * second, since where all are slow none would ever; and how long a replica is passed over that did
 * not give one, or that has nothing of what is missing. */
#define CHANGES_ASK_MS     1000
#define CHANGES_ASK_MS_MAX 8000
#define CHANGES_LOST_MS    1000
#define CHANGES_BEHIND_MS  200
/* Live messages that libzmq holds for a subscriber, and those taken in one turn of its loop. */
#define CHANGES_QUEUE_MAX 1000
#define CHANGES_TURN_MAX  64
/* A feed that brought nothing for so long is connected anew: libzmq gives up some connections for
 * good, and says nothing. */
#define CHANGES_FEED_MS 5000
/* Entries that a replica may be behind its leader and be called well: a tenth of a second of full
 * load, above what is under way in the moment in which each of them is asked. */
#define STATUS_LAG_MAX 1000
/* And how long ago it may have heard its leader: above any heartbeat that may be configured. */
#define STATUS_CONTACT_MS_MAX 2000
/* Pause before `pygmy cluster add` asks again whether a replica has caught up: it shall not be what
 * the group is busy with. */
#define CLUSTER_LOOK_MS 100
/* Processes whose troubles are named in the verdict's sentence; the rows have those of all. */
#define STATUS_NAMED_MAX 3

/* ---- HTTP ---------------------------------------------------------------- */

/* A request's body: 100 order lines or one item are a tenth of it. Above it 413. */
#define HTTP_BODY_BYTES_MAX (64 * 1024)
/* How much of a longer body is read all the same, so that the client gets to see the refusal. */
#define HTTP_BODY_READ_MAX (4 * HTTP_BODY_BYTES_MAX)
/* Target and headers together, and headers by number; above either 431. */
#define HTTP_HEAD_BYTES_MAX (8 * 1024)
#define HTTP_HEADERS_MAX    64
/* What libmicrohttpd may use for a connection: the above; 64 bytes of its own for each header and
 * parameter; and the head of our answer, 2 KiB with the Link of the longest search. Without room
 * for that it closes and says nothing: a Cookie, which it copies and takes apart, may have taken
 * it. A request somewhat beyond the bounds has its 431 from us; where memory ends before, it answers
 * 431 with a page of its own. It sets all of it to zero after each request: with more, that is what
 * an answer from memory takes longest for. */
#define HTTP_MEMORY_BYTES (16 * 1024)
/* Connections in all; more wait in the kernel's queue. And from one address, so that no client has
 * them all; more are closed at once. */
#define HTTP_CONNECTIONS_MAX        1024
#define HTTP_CONNECTIONS_PER_IP_MAX 512
/* From the start of a connection, or of a request line, to the end of the headers; then the
 * connection is cut off: one byte a second keeps no place. */
#define HTTP_HEAD_MS 5000
/* From there to the end of the body, and from the answer to its last byte; then cut off. */
#define HTTP_BODY_MS 10000
#define HTTP_SEND_MS 30000
/* Without a request; then closed. */
#define HTTP_IDLE_MS 30000
/* From the whole request to the answer; then 504. Above CALL_TIMEOUT_MS: the store's own word comes
 * first. */
#define HTTP_ANSWER_MS 12000
/* How often deadlines are looked at. */
#define HTTP_TICK_MS 250
/* How long the server of HTTP goes on with requests that follow each other before others get their
 * turn, and how long it waits for the next one meanwhile. Together it is what a message on the bus
 * waits longer, those of the leases' feed too. */
#define HTTP_TURN_US   2000
#define HTTP_LINGER_MS 1
/* On SIGTERM: /readyz says 503 for so long before the listener closes, and answers under way get so
 * long. */
#define HTTP_DRAIN_GRACE_MS 250
#define HTTP_DRAIN_MS       HTTP_ANSWER_MS
/* A client's Request-Id; another is made in its place when it is longer. */
#define REQUEST_ID_BYTES_MAX 128
/* Objects and arrays within one another in a request of ours, which need four; above it
 * ERR_MALFORMED (over HTTP ERR_INVALID), before anything is parsed. */
#define JSON_DEPTH_MAX 16
/* Parameters of one query; no route knows more. */
#define HTTP_PARAMETERS_MAX 8
/* How often the bridge asks whether the services answer, while they do and while they don't; how
 * old the last answer may be; how long one may take. */
#define PROBE_MS         1000
#define PROBE_AGAIN_MS   100
#define PROBE_FRESH_MS   3000
#define PROBE_TIMEOUT_MS 1000

/* ---- The catalog ------------------------------------------------------- */

/* Ids, amounts of money and times stay below 2^53: every language's JSON reads them exactly. */
#define ITEM_ID_MAX     ((INT64_C(1) << 53) - 1)
#define TOTAL_CENTS_MAX ((INT64_C(1) << 53) - 1)
#define STAMP_MS_MAX    ((INT64_C(1) << 53) - 1)
#define YEAR_MAX        9999 /* and -YEAR_MAX; the oldest book of the sample is of -1750 */
/* Items on sale; above it ERR_LIMIT. About 1 GB of tables, and an audit of a second. */
#define ITEMS_MAX 1000000
/* Topics in use; above it ERR_LIMIT. All of them are one answer. */
#define TOPICS_MAX 1000
/* Ids of one topic in one answer; above it ERR_TOO_LARGE, for it is for caches, which hold a topic
 * whole or not at all. 170 KB when they are as large as can be. */
#define TOPIC_IDS_MAX 10000
/* Rows of a page end early here, so that the answer stays well below BODY_BYTES_MAX. */
#define PAGE_BYTES_MAX (320 * 1024)
/* Of an item's row, beside its texts: names and numbers take less. Store and caches count alike, so
 * that their pages end at the same rows. */
#define PAGE_ROW_BYTES 256
/* Digits of the largest place in a list, which is what a cursor is. */
#define CURSOR_BYTES_MAX 19
/* Keys of one settle or close: what the order leader's scan finishes in one entry. */
#define KEYS_MAX 500
/* A stamp this old is refused when its key is not known: longer than anybody retries. */
#define STAMP_AGE_MS_MAX (INT64_C(24) * 3600 * 1000)
/* A stamp this far ahead of the log's time was made up; see services/catalog/records.h. */
#define STAMP_AHEAD_MS_MAX (INT64_C(3600) * 1000)
/* A key is remembered for this long after it was last used: more than the two above together. */
#define RECORD_MEMORY_MS (INT64_C(48) * 3600 * 1000)
/* Records forgotten by one apply: no entry pays for the traffic of an hour two days ago. */
#define FORGET_COUNT_MAX 100
/* What answers say of the log's time is at most this far ahead of the last entry; and after half
 * of it without an entry the leader makes one. */
#define LOG_TIME_AHEAD_MS (INT64_C(600) * 1000)
#define LOG_TIME_IDLE_MS  (INT64_C(300) * 1000)
/* How often the leader looks for automatic rules to act on, for how many at once, and the longest
 * period of one (a year). */
#define RESTOCK_CHECK_MS      1000
#define RESTOCK_COUNT_MAX     100
#define RESTOCK_PERIOD_MS_MAX (INT64_C(366) * 24 * 3600 * 1000)
/* Items looked at in one turn of the loop by an audit (about 1 ms), how often each replica makes
 * one by itself, and how many requests may wait for one (above it ERR_BUSY). */
#define AUDIT_ROWS_MAX    2000
#define AUDIT_PERIOD_MS   60000
#define AUDIT_WAITERS_MAX 256
/* SQLite's page cache in the catalog: the index pages of 10,000 items, and the process stays below
 * 30 MB. */
#define CATALOG_CACHE_KIB 6144

/* ---- Orders ------------------------------------------------------------- */

/* Buys and cancels under way at the leader; above it ERR_BUSY. Sixteen times what the measured
 * peak holds, and a few MB. */
#define SAGA_FLOWS_MAX 4096
/* Requests that wait for the outcome of one key; above it ERR_BUSY. Repetitions come one by one. */
#define SAGA_TICKETS_MAX 64
/* Flows that scans have begun and that are still under way; further finds wait for a next scan. */
#define SAGA_RECOVERED_MAX 1000
/* How long the first key of a SETTLE or CLOSE waits for company; KEYS_MAX go at once. */
#define SETTLE_WAIT_MS 50
/* Keys waiting for a SETTLE or CLOSE; above it a key is left to the scan. */
#define SETTLE_QUEUE_MAX 8192
/* How often grants without an order and releases not closed are asked for, how old they must be
 * (younger ones are most likely under way), and the rows of one answer. */
#define SCAN_PERIOD_MS 1000
#define SCAN_OLDER_MS  1000
#define SCAN_ROWS_MAX  500
/* Pause before a step of a flow is tried again, doubled each time. */
#define SAGA_BACKOFF_MS_MIN 20
#define SAGA_BACKOFF_MS_MAX 1000
/* Turn of the saga's timer. */
#define SAGA_TICK_MS 10
/* How long one request to the catalog may take; longer than the catalog's fail-over. */
#define SAGA_CALL_MS 2000
/* Kept of a request's remaining time for the way back of its answer. */
#define SAGA_ANSWER_MS 20
/* Rows of one page of the tally: some 40 bytes each. */
#define TALLY_ROWS_MAX 10000
/* Code of a currency (ISO 4217 has three letters). */
#define CURRENCY_BYTES_MAX 8

/* ---- Configuration and log lines --------------------------------------- */

/* Nodes of one cluster: far above any, and each is compared with each. */
#define CONFIG_NODES_MAX 256
/* The configuration's file: so many nodes fit, and a wrong path to something huge is noticed. */
#define CONFIG_BYTES_MAX (256 * 1024)
/* One line of it; zconfig cuts longer ones. */
#define CONFIG_LINE_BYTES_MAX 1024
/* A node's name: "node." and the name is the name of a service. */
#define NODE_NAME_BYTES_MAX 64
/* The periods of consensus: below the first a loop's own turns would look like a dead leader, and
 * twice the second must pass well within SERVICE_GRACE_MS, or a fail-over becomes an outage. */
#define CONFIG_PERIOD_MS_MIN 5
#define CONFIG_PERIOD_MS_MAX 5000
/* And the entries between two snapshots: fewer would be nothing but snapshots, more would make each
 * start wait for a minute. */
#define CONFIG_ENTRIES_MIN 10
#define CONFIG_ENTRIES_MAX 1000000
/* What a bridge may keep in memory, if anything: at least the longest page and its list, which else
 * would push themselves out each time. In bytes that is a list of TOPIC_IDS_MAX, 80 KB, and items
 * of twice the usual size. Above the most, entries take gigabytes. */
#define CONFIG_CACHE_ENTRIES_MIN (PAGE_MAX + 1)
#define CONFIG_CACHE_ENTRIES_MAX 10000000
#define CONFIG_CACHE_BYTES_MIN   262144
#define CONFIG_CACHE_BYTES_MAX   500000000
/* The cluster's secret, or a token. */
#define SECRET_BYTES_MAX 255
/* One value of a log line: enough for a path or a sentence, and a peer cannot fill the disk. */
#define LOG_VALUE_BYTES_MAX 512
/* Lines that are written together: those of some two hundred requests. */
#define LOG_HELD_BYTES_MAX (32 * 1024)

/* ---- The replicated log ----------------------------------------------- */

/* One entry's command; a message of the peer link (256 KiB) must hold it. */
#define ENTRY_BYTES_MAX (192 * 1024)
/* Commands submitted and not yet applied; above it ERR_BUSY. */
#define SUBMIT_COUNT_MAX 16384
#define SUBMIT_BYTES_MAX (32 * 1024 * 1024)
/* Entries of one append, so that no turn of the loop is long. */
#define APPEND_COUNT_MAX 512
/* And the time after which no further entry is applied in that turn: an import of 500 rows takes
 * several ms, and a great many may come back from a slow disk at once. */
#define APPLY_TURN_MS 20
/* Free space below which new writes are refused (ERR_DISK_LOW). */
#define DISK_FREE_BYTES_MIN (256LL * 1024 * 1024)
/* How old an answer about the free space may be: what is written in that time is far below the
 * reserve. */
#define DISK_CHECK_MS 1000
/* Appends handed to the disk thread and not yet back: far below what its pipe holds, so that the
 * loop never waits for it. What comes meanwhile waits in the submit queue. */
#define DISK_BATCH_COUNT_MAX 64
/* Entries of one transaction of the disk thread; one fsync for so many is as good as free, and the
 * first of them does not wait long for the last. */
#define DISK_GROUP_COUNT_MAX 4096
/* Pages of the log's write-ahead log at which they are moved to the database: 8 MiB. */
#define LOG_WAL_PAGES_MAX 2048
/* A leader that had nothing to write for so long appends an entry for its time alone, and tells
 * nobody more than so much beyond the last entry: log time is lost with the leader unless an entry
 * holds it. Far below every horizon that is counted in log time, and far above what an idle disk
 * would mind. */
#define LOG_TIME_TICK_MS      60000
#define LOG_TIME_AHEAD_MS_MAX (2 * LOG_TIME_TICK_MS)

/* ---- Snapshots ---------------------------------------------------------- */

/* Entries, or bytes of commands, after which a replica takes a snapshot: what a start has to apply
 * anew, about half a second of it; a copy of the tables takes less. */
#define SNAPSHOT_ENTRIES   20000
#define SNAPSHOT_LOG_BYTES (64 * 1024 * 1024)
/* Entries that stay in the log behind a snapshot: a member that was away for so long, some ten
 * seconds of full load, catches up by the log, which costs less than the tables. */
#define SNAPSHOT_TRAILING 10000
/* While a member that is there lacks what the next snapshot would cut off, that waits until the log
 * is so many times as long: half a gigabyte at most, and a way back of some minutes. */
#define SNAPSHOT_WAIT_FACTOR 8
/* A snapshot that failed, as on a full disk, is tried again after this. */
#define SNAPSHOT_AGAIN_MS 10000
/* After one that took some time, none is taken for so many times that time. */
#define SNAPSHOT_REST_FACTOR 9
/* Pages copied, and bytes read for a checksum, before the thread looks whether it is to stop: a few
 * milliseconds. */
#define SNAPSHOT_COPY_PAGES 1024
#define SNAPSHOT_COPY_BYTES (1024 * 1024)
/* Jobs of the snapshot thread: a snapshot being taken, fetches that replaced each other, a
 * restore. */
#define SNAPSHOT_JOBS_MAX 8
/* A piece of a snapshot's file on its way to another replica: some 50 us of the loop. */
#define SNAPSHOT_CHUNK_BYTES (64 * 1024)
/* Pieces asked for and not yet here: more than a local round trip hides, and half a megabyte. */
#define SNAPSHOT_CREDIT 8
/* Pieces that don't come are asked for again after this, and over a new connection after that;
 * without any for so long the fetch is given up, and the leader offers anew. */
#define SNAPSHOT_ASK_AGAIN_MS 1000
#define SNAPSHOT_RECONNECT_MS 3000
#define SNAPSHOT_STALL_MS     10000
/* How often a fetch says how far it is. */
#define SNAPSHOT_PROGRESS_MS 250
/* Replicas that fetch from one at a time (more are told ERR_BUSY), and when one that does not ask
 * any more is forgotten: who waits for an answer asks four times in it. */
#define SNAPSHOT_FETCHERS_MAX    4
#define SNAPSHOT_FETCHER_GONE_MS (4 * SNAPSHOT_ASK_AGAIN_MS)
/* Files that are open for them: the last one, and the one before it. One that nobody asks for stays
 * open for so long, though it was removed: a fetch outlives its connection. */
#define SNAPSHOT_OPEN_FILES_MAX 2
#define SNAPSHOT_FILE_IDLE_MS   (2 * SNAPSHOT_STALL_MS)

/* ---- Digests ------------------------------------------------------------ */

/* Entries from one mark of the digest to the next, and how many marks a replica knows: 65,536
 * entries, seconds of the highest load, so that replicas which are not far apart have some in
 * common. */
#define DIGEST_EVERY     1024
#define DIGEST_MARKS_MAX 64
/* Processes of a member that have ended, whose late messages are known for what they are: a message
 * does not stay on its way while its member is started again so often. */
#define DIGEST_STARTS_MAX 8
/* A replica says its newest mark again after this: the message may have been lost, and who was away
 * may be there by now. */
#define DIGEST_REPEAT_MS 1000
/* A replica that ends because its tables are wrong waits so long for its last mark to leave: the
 * others can then say who it was. A moment for the kernel, and far below an election timeout. */
#define DIGEST_FAREWELL_MS 30

/* ---- The stream of changes ---------------------------------------------- */

/* Rows of one message or answer, and the bytes at which no further entry is begun in it: about 3 ms
 * of the loop. An entry's rows are never divided. */
#define CHANGES_COUNT_MAX 256
#define CHANGES_BYTES_MAX (64 * 1024)
/* Bytes of rows in one message, whatever an entry has touched: an import touches IMPORT_ROWS_MAX
 * items of up to 3 KB. A row that is beyond is named without its content; there is room for so many
 * names. */
#define CHANGES_ENTRY_BYTES_MAX (BODY_BYTES_MAX - 64 * 1024)
/* From one message of a leader to the next, when there is more to tell: what changes often is told
 * once; nobody who looks sees the delay. */
#define CHANGES_PAUSE_MS 5
/* A leader that has nothing to tell says so this often: a lost message is noticed by then. */
#define CHANGES_BEAT_MS 500

/* ---- Between replicas --------------------------------------------------- */

/* A follower that hears nothing of its leader for one to two times the first stands for election;
 * the second is a tenth of it, so that ten heartbeats in a row must be lost. No turn of a loop may
 * take longer than a third of the first. */
#define ELECTION_MS      150
#define ELECTION_BEAT_MS 15
/* A member is offered a snapshot again after this. */
#define SNAPSHOT_RETRY_MS 1000
/* Members of a group: five voters outlive two deaths, the rest is room for those who come and
 * go. */
#define MEMBERS_MAX 16
/* A member's name and its two endpoints. */
#define MEMBER_ADDRESS_BYTES_MAX 512
/* A message of the peer link, and the entries within: one of ENTRY_BYTES_MAX fits. */
#define PEER_BYTES_MAX (256 * 1024)
/* Messages that wait for one member, in each of the two sockets. */
#define PEER_MESSAGES_MAX 64
/* Taken of one member in one turn of the loop. */
#define PEER_TURN_MAX 64
/* What was sent over a connection and was not acknowledged for so long ends it, as does an attempt
 * that takes longer: it is made anew. */
#define PEER_GONE_MS 500
/* A connection over which nothing goes is probed so often, in seconds: TCP counts no less. */
#define PEER_PROBE_S 1
/* Pause before a lost connection is tried again, drawn between it and twice that: a replica that is
 * started again is heard within an election timeout, and an attempt costs some tens of
 * microseconds. */
#define PEER_RECONNECT_MS 10
/* Entries sent to a member and not yet acknowledged. */
#define PEER_IN_FLIGHT_MAX 4096
/* Entries of a leader that are not committed yet; above it ERR_BUSY. */
#define CONSENSUS_UNCOMMITTED_MAX 32768
/* Messages that wait until the term and vote of which they speak are durable: those of a second or
 * so to two or four members, which a slow disk takes. Above it the newest is dropped, like any that
 * the network loses. */
#define CONSENSUS_HELD_MAX 256
/* What is kept in memory of the log beyond what is still needed: some seconds of full load, so that
 * a member that was away for a moment is not sent to the disk. */
#define LOG_TAIL_BYTES_MAX (4 * 1024 * 1024)
/* Bytes of entries that are read from the disk for one message to a member, which is cut to size
 * then: a few ms of the loop. */
#define PEER_FILL_BYTES_MAX (4 * PEER_BYTES_MAX)
/* Reads that wait for the read index; above it ERR_BUSY. */
#define READS_MAX 16384
/* How long a replica lets a request wait for it: a fail-over fits. Then it is refused, unattempted,
 * and the replica takes no more reads before one of its own was possible. */
#define READ_WAIT_MS 1000
/* How late a read may learn that its time is up: all that wait are looked at then. */
#define READ_LOOK_MS 10
/* A question for the read index, and a round, are repeated after this when no answer came. */
#define READ_RETRY_MS 20

/* ---- Leased caches ------------------------------------------------------ */

/* A lease (L): so long at most does a cache that has died delay a writer, once. Renewals cost
 * less the longer it is; a second is what an operator hardly notices. */
#define LEASE_MS 1000
/* Clocks' rates are within so many thousandths of real time: ten times what the worst crystals
 * drift. A cache lets its lease end so much earlier. */
#define LEASE_DRIFT_PERMILLE 10
/* So long a leader waits for a lease to end (W), by its own clock: a lease ends by 1.0102 L of real
 * time, and W on a clock that is too fast lasts at least W / 1.01. So W is above 1.0204 L. */
#define LEASE_WAIT_MS 1030
/* What is not acknowledged is told again after so long, and then whenever its age has doubled; and
 * a leader that has nothing to tell says so this often: a lost message is noticed by then. */
#define LEASE_REPEAT_MS 20
#define LEASE_BEAT_MS   20
/* A key is released when no write of it came for so long: a hot one is approved once, and a
 * cache does without one that was written once for as long as nobody notices. */
#define LEASE_QUIET_MS 50
/* A cache that leaves a message unacknowledged for longer is not renewed: its lease then ends,
 * and the writer goes on. Five times the repetition. */
#define LEASE_UNACKED_MS 100
/* How old a confirmed round may be before an ask waits for another one: so much of a lease is
 * lost to it, and so seldom is a round made however many caches ask. */
#define LEASE_ROUND_MS 100
/* How long an ask waits for a round; then ERR_BUSY: half of the lease would be gone. */
#define LEASE_ROUND_WAIT_MS 500
/* Caches of one group; above it a new one is refused. Some 200 bytes each, and each is
 * looked at for an acknowledgement: some microseconds. */
#define LEASE_SESSIONS_MAX 1000
/* Keys that are being changed, or were a moment ago; above it "all keys" stands for them. A
 * message with so many is some 20 KB. */
#define LEASE_KEYS_MAX 256
/* Writes that wait until caches have let go; above it ERR_BUSY. As many as sagas may be under
 * way. */
#define LEASE_WRITES_MAX 4096
/* Writes that change who belongs to a topic, which go one after the other: those that wait for the
 * one before; above it ERR_BUSY. Each takes a commit, so these are a second or so. */
#define LEASE_ORDERED_MAX 256
/* Kept of a write's remaining time for the way back of a refusal, which says that nothing was
 * attempted: an answer that comes too late says nothing. */
#define LEASE_REFUSAL_MS 20
/* A session that was silent for so long is closed: ten leases. */
#define LEASE_SILENT_MS 10000
/* A cache that made a writer wait for its lease to end is let in again only after this, doubled
 * each time: one that is always slow costs writers little in the end. It begins anew with the
 * first when it kept up for as long as the second. */
#define LEASE_BACKOFF_MS     1000
#define LEASE_BACKOFF_MS_MAX 60000
/* Fills of one cache under way; what comes above it is read, and not stored. */
#define LEASE_FILLS_MAX 1024
/* Messages of the feed that a cache keeps while its SYNC is under way: what the busiest leader
 * says in ten round trips. Above it the SYNC is given up for another one. */
#define LEASE_KEPT_MAX 256
/* Asks of one cache under way: an acknowledgement need not wait for the answer to the one before
 * it, and a cache that is told much acknowledges several messages at once. */
#define LEASE_ASKS_MAX 8
/* When a cache asks again that got no answer, and how long one counts as under way: some round
 * trips. Doubled with each try, up to LEASE_BACKOFF_MS. */
#define LEASE_ANSWER_MS 100
/* The same for the opening of a session, which is an entry in the log: a fail-over fits. Doubled up
 * to the second: while nobody leads, what is asked for waits at the brokers, and all of it is done
 * when somebody does. */
#define LEASE_OPEN_MS     1000
#define LEASE_OPEN_MS_MAX 4000
/* What a cache holds unless it is told: a shop of some size whole, in some MB. CACHE_BYTES are keys
 * and values. */
#define CACHE_ENTRIES 10000
#define CACHE_BYTES   16000000
/* Messages of the feed that libzmq holds for a cache, and those taken in one turn of its loop: a
 * second or so of a busy leader. What is beyond is dropped, and the cache begins anew. */
#define CACHE_FEED_QUEUE_MAX 1000
#define CACHE_FEED_TURN_MAX  64
/* From one connection to a feed to the next, when one ends at once. */
#define CACHE_FEED_PAUSE_MS 100
/* Asks of a cache whose answers may yet come. It asks LEASE_ASKS_MAX times in LEASE_ANSWER_MS at
 * most, and begins a SYNC in LEASE_REPEAT_MS; the leader answers within LEASE_ROUND_WAIT_MS, and
 * who waited for less would have no lease when all are slow. */
#define CACHE_ASKS_MAX 64
/* Spellings of topics whose keys are known: many times TOPICS_MAX. Above it all are forgotten. */
#define CACHE_SPELLINGS_MAX 10000
/* Rows of pages, and lookups, that wait for fills. What comes above it is read without the cache.
 * Some 64 bytes each; and the other rows of a page, which it has already, wait with them. */
#define CACHE_WAITERS_MAX 65536
/* Items that one page asks for, because they are not in memory. With more missing the page is the
 * store's own, in one request, and so many are in memory for the next time: a page that is read
 * again and again comes out of memory in the end, and twenty long ones, read once, take neither all
 * of LEASE_FILLS_MAX nor the place of all CACHE_ENTRIES. */
#define CACHE_PAGE_FILLS_MAX 32
/* A cache that heard nothing of the feed for so long begins anew: 25 beats, and half a lease. */
#define LEASE_FEED_MS 500

#endif
