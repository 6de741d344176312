/* The bounds, each with its unit and the reason for its size.
 *
 * What happens at a bound is part of the contract of whoever keeps it; the
 * codes named here are those of err.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PYGMY_BUS_LIMITS_H
#define PYGMY_BUS_LIMITS_H

/* ---- Time ------------------------------------------------------------- */

/* Between our own peers: five missed beats are 500 ms, well under what a fail-over may take. */
#define HEARTBEAT_MS 100
#define HEARTBEAT_GONE_MS 500

/* Peers whose pace we don't know: the strictest worker seen gives up after 1 s of silence, the
 * most patient family beats every 2.5 s and is gone after three. */
#define HEARTBEAT_PLAIN_MS 500
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
#define CREDIT_MAX 1024
#define CREDIT_DEFAULT 64
/* How often a request is given to a worker before it is called poison: ERR_WORKER_LOST. */
#define ATTEMPTS_MAX 3

/* ---- The store -------------------------------------------------------- */

#define QUANTITY_MAX 1000000
#define STOCK_MAX 1000000000
#define PRICE_CENTS_MAX 1000000000
/* Lines of one order: its record must fit a log entry with room to spare. */
#define ORDER_LINES_MAX 100
#define KEY_BYTES_MAX 255
#define TITLE_BYTES_MAX 512
#define AUTHORS_BYTES_MAX 1024
#define TOPIC_BYTES_MAX 64
#define ISBN_BYTES_MAX 32
#define REASON_BYTES_MAX 256
#define QUERY_BYTES_MAX 256
/* Page of a list. */
#define PAGE_DEFAULT 50
#define PAGE_MAX 500
/* Rows of one import entry: 10,000 in one would hold a loop for 50 to 100 ms. */
#define IMPORT_ROWS_MAX 500

/* ---- Configuration and log lines --------------------------------------- */

/* Nodes of one cluster: far above any, and each is compared with each. */
#define CONFIG_NODES_MAX 256
/* The configuration's file: so many nodes fit, and a wrong path to something huge is noticed. */
#define CONFIG_BYTES_MAX (256 * 1024)
/* One line of it; zconfig cuts longer ones. */
#define CONFIG_LINE_BYTES_MAX 1024
/* A node's name: "node." and the name is the name of a service. */
#define NODE_NAME_BYTES_MAX 64
/* The cluster's secret, or a token. */
#define SECRET_BYTES_MAX 255
/* One value of a log line: enough for a path or a sentence, and a peer cannot fill the disk. */
#define LOG_VALUE_BYTES_MAX 512

/* ---- The replicated log ----------------------------------------------- */

/* One entry's command; a message of the peer link (256 KiB) must hold it. */
#define ENTRY_BYTES_MAX (192 * 1024)
/* Commands submitted and not yet applied; above it ERR_BUSY. */
#define SUBMIT_COUNT_MAX 16384
#define SUBMIT_BYTES_MAX (32 * 1024 * 1024)
/* Entries of one append, so that no turn of the loop is long. */
#define APPEND_COUNT_MAX 512
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
/* A leader that had nothing to write for so long writes an entry for its time alone: log time that
 * was told to clients is lost with the leader unless an entry holds it. Far below every horizon
 * that is counted in log time, far above what an idle disk would mind. */
#define LOG_TIME_TICK_MS 60000

#endif
